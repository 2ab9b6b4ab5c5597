//! Where the bytes of snapshots lie.
//!
//! [`Blobs`] is the seam: bytes under the name of their content, put whole and
//! never changed. Which of them are still needed is not known here; whoever
//! removes one has made sure that nobody relies on it.

mod blobs;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod directory;
mod s3;

pub use blobs::{BlobError, BlobName, Blobs, Download, Upload};
pub use directory::DirectoryBlobs;
pub use s3::{BadServer, S3Blobs, S3Key, S3Server};
