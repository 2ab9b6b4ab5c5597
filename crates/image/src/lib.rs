//! The image store of a machine that runs sandboxes.
//!
//! Images come in from archives and registries, and lie unpacked and content-addressed, ready
//! to be the lower directories of overlay mounts. All of an image is foreign data: every digest is verified, every
//! count bounded, and no entry of a layer can reach outside of its directory.
//!
//! Nothing here mounts anything or starts a sandbox.

mod archive;
mod config;
mod debian;
mod digest;
pub mod directory;
mod document;
mod error;
mod image;
mod import;
mod limits;
mod platform;
mod progress;
mod registry;
mod store;
mod stream;
mod unpack;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod testing;

pub use config::{Config, ExposedPort, ExposedPortError, Protocol, Signal, SignalError};
pub use debian::{DebianRecipe, RecipeError};
pub use digest::{Digest, DigestError};
pub use error::{Cause, ImageError};
pub use image::{Image, Origin};
pub use import::{Imported, Source};
pub use limits::Limits;
pub use platform::Platform;
pub use progress::{Event, Progress};
pub use registry::{Images, PullPolicy, Registries};
pub use store::{Collected, Holder, HolderError, Lease, Listing, Settings, Store};
