//! Filling an empty directory from an archive that may have been tampered with.
//!
//! Every entry is written beneath the directory, by the same code that unpacks
//! layers of images; devices are refused. Until [`unpack`] returned and its
//! digest was compared, nothing of the directory may be used.

use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;

use tokio_util::sync::CancellationToken;

use super::{DEPTH_MAX, DirectoryLimits};
use crate::archive::{Entries, Entry, Kind};
use crate::digest::{Digest, Hashing};
use crate::error::ImageError;
use crate::limits::{Budget, Limits};
use crate::stream::{Charged, Watched};
use crate::unpack::{Tree, unpacked};

/// What an archive takes beside the content of its files, for each entry.
const ENTRY_BYTES_MAX: u64 = 8 << 10;

/// What came out of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Of the archive as it came.
    pub digest: Digest,
    /// The bytes of the archive.
    pub bytes: u64,
}

/// Unpacks an archive into an empty directory. Blocks.
///
/// `trash` is another empty directory on the same file system; what is in it
/// afterwards means nothing.
pub fn unpack(
    packed: impl Read,
    (tree, trash): (OwnedFd, OwnedFd),
    limits: &DirectoryLimits,
    cancel: &CancellationToken,
) -> Result<Filled, ImageError> {
    let budget = Budget::new(&Limits {
        entries_max: limits.entries_max,
        unpacked_bytes_max: limits
            .file_bytes_max
            .saturating_add(limits.entries_max.saturating_mul(ENTRY_BYTES_MAX)),
        ..Limits::default()
    });
    let mut packed = Hashing::new(Watched::new(packed, cancel, &|_| {}));
    let content = Charged::new(unpacked(&mut packed)?, budget.bytes());
    let mut entries = Entries::new(BufReader::with_capacity(128 << 10, content), DEPTH_MAX);
    let mut tree = Tree::new(tree, trash, DEPTH_MAX);
    while let Some(entry) = entries.next()? {
        budget.take_entries(1)?;
        write(&mut tree, &entry, &mut entries)?;
    }
    let drained = entries.drain();
    drained.map_err(|error| ImageError::store("reading an archive", error))?;
    tree.finish()?;
    // Whatever is behind what was packed counts as well.
    let rest = io::copy(&mut packed, &mut io::sink());
    rest.map_err(|error| ImageError::store("reading an archive", error))?;
    let (digest, bytes) = packed.finish();
    Ok(Filled { digest, bytes })
}

fn write(tree: &mut Tree, entry: &Entry, content: &mut impl Read) -> Result<(), ImageError> {
    match &entry.kind {
        Kind::File => tree.file(entry, content),
        Kind::Directory => tree.directory(entry),
        Kind::Symlink(target) => tree.symlink(entry, target),
        Kind::Hardlink(target) => tree.hardlink(entry, target),
        Kind::Fifo => tree.fifo(entry),
        Kind::Device => Err(ImageError::hostile(
            entry.path.as_bytes(),
            "is a device, which no snapshot holds",
        )),
    }
}
