//! Secret stores, and the values in them.
//!
//! [`Secrets`] is all that others see: it makes and lists stores, takes values
//! in, and finds them when a sandbox is to get them. A value that the server
//! keeps is sealed before it goes into the store, with a key that is in a file
//! beside it; others are where the operator of the server says. No value is in
//! a log, an error or anything that is shown.

mod configured;
mod failure;
mod keys;
mod part;
mod resolve;
mod rotation;
mod seal;
mod secrets;

pub use configured::{ConfiguredStore, Source};
pub use failure::Failure;
pub use keys::{KeyError, KeyFile};
pub use resolve::Unresolved;
pub use rotation::Rotated;
pub use secrets::{SECRETS_OF_STORE_MAX, STORES_MAX, SecretSettings, Secrets};
