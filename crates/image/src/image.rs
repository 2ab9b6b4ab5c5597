//! An image that is on this machine.
//!
//! A value of [`Image`] is a snapshot: it stays as it is when its reference
//! moves on. Only a lease keeps what it points to on the disk.

use std::path::PathBuf;

use crate::config::Config;
use crate::digest::Digest;
use crate::platform::Platform;

/// An image that is on this machine, ready to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of the image's configuration; equal images have equal ids.
    pub id: Digest,
    /// Digests of the unpacked layers, base first, as the image lists them.
    pub layers: Vec<Digest>,
    /// Lower directories for an overlay mount, topmost first.
    ///
    /// Never empty and without duplicates, which the kernel refuses: of a layer
    /// that occurs twice only the upper one can be seen. Layers under one that
    /// hides everything below it are left out. Their paths may be too long for
    /// the options of a single mount call: mount through
    /// `/proc/self/fd/N`, or one by one where the kernel takes `lowerdir+`.
    pub lower_dirs: Vec<PathBuf>,
    /// What the image says about running it.
    pub config: Config,
    /// What it was made for.
    pub platform: Platform,
    /// Bytes of all layers, unpacked.
    pub bytes: u64,
}

/// How an image came to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From a registry.
    Pulled,
    /// From a file.
    Imported,
    /// Made here from Debian packages.
    Built,
}
