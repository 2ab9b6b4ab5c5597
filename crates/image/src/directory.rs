//! Whole directories as archives, and back.
//!
//! Neither side is trusted: what is packed was arranged by a sandbox, and what
//! is unpacked may have been changed where it lay. An archive is a tar archive,
//! packed with zstd, of one directory in one order, so that equal directories
//! make equal archives.
//!
//! Nothing here decides whether an archive is the right one: whoever unpacks it
//! compares the digest before anything of it is used.

mod pack;
mod unpack;

#[cfg(test)]
mod tests;

pub use pack::{PackError, Packed, pack};
pub use unpack::{Filled, unpack};

/// The bounds of one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Files, directories and links.
    pub entries_max: u64,
    /// What all files hold together, holes included.
    pub file_bytes_max: u64,
}

/// Directories above a file.
const DEPTH_MAX: usize = 512;
