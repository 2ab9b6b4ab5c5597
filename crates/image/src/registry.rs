//! Images from registries, over the OCI distribution protocol.
//!
//! A registry is a stranger: every document is read within a bound, every
//! content is compared with its digest, every wait has a limit, and nothing that
//! a registry or a manifest says makes this machine talk to its own network or
//! give a credential to another than the one that it is for. Addresses in a
//! manifest are never followed.
//!
//! What was fetched goes the same way into the store as what is imported: a
//! layer at a time, unpacked beside its place, moved there when it is whole.
//!
//! ```text
//! images ─► pull ─► session ─► auth ─► challenge
//!             └───► blob ──┘     └───► credentials
//! ```

mod address;
mod auth;
mod blob;
mod challenge;
mod credentials;
mod images;
mod pull;
mod session;
mod settings;

pub use images::Images;
pub use settings::{PullPolicy, Registries};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
