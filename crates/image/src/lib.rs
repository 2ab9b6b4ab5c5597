//! The image store of a machine that runs sandboxes.
//!
//! All of an image is foreign data: every digest is verified, every count
//! bounded, and no entry of a layer can reach outside of its directory.

#![expect(
    dead_code,
    unused_imports,
    reason = "the store that unpacks images follows"
)]

mod archive;
mod config;
mod digest;
mod document;
mod error;
mod limits;
mod platform;
mod progress;
mod stream;
mod unpack;

#[cfg(test)]
mod testing;

pub use config::{Config, ExposedPort, ExposedPortError, Protocol, Signal, SignalError};
pub use digest::{Digest, DigestError};
pub use error::{Cause, ImageError};
pub use limits::Limits;
pub use platform::Platform;
pub use progress::{Event, Progress};
