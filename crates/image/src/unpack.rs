//! Turning the archive of one layer into a directory for an overlay mount.
//!
//! One pass: read, count, hash, decompress, hash again, write. Nothing of the
//! result may be used before [`unpack`] has returned without an error, and the
//! caller has compared the digests in [`Unpacked`] with those it wanted.
//!
//! Whiteouts of the image format (files named `.wh.…`) become those of the
//! overlay file system. Everything is read from the layer alone: a directory
//! that no entry describes belongs to root with the mode that it has on most
//! systems, also where a layer below has it otherwise.

mod attribute;
mod compression;
mod tree;

use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;

use tokio_util::sync::CancellationToken;

use crate::archive::{Entries, Entry, Kind};
use crate::digest::{Digest, Hashing};
use crate::error::ImageError;
use crate::limits::{Budget, Limits};
use crate::stream::{Charged, Watched};
pub(crate) use compression::{Compression, unpacked};
pub(crate) use tree::Tree;
#[cfg(test)]
pub(crate) use tree::is_whiteout;

/// What an unpack needs beside its source and its target.
pub(crate) struct Job<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) budget: &'a Budget,
    pub(crate) cancel: &'a CancellationToken,
    /// Told how many packed bytes have been read so far.
    pub(crate) on_read: &'a dyn Fn(u64),
}

/// Two empty directories on the file system of the store.
#[derive(Debug)]
pub(crate) struct Target {
    /// Becomes the layer.
    pub(crate) tree: OwnedFd,
    /// Takes what one entry of a layer replaced of another.
    pub(crate) trash: OwnedFd,
}

/// What came out of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Of the content as it came, packed.
    pub(crate) blob: Digest,
    /// Of the content unpacked: the `diff_id` of the layer.
    pub(crate) layer: Digest,
    pub(crate) weight: Weight,
    /// Whether the layer hides everything below it.
    pub(crate) is_opaque: bool,
}

/// What a layer takes from the limits of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of the archive, unpacked.
    pub(crate) bytes: u64,
    /// Entries of the archive.
    pub(crate) entries: u64,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// What union file systems before overlay left behind; means nothing.
const WHITEOUT_META: &[u8] = b".wh..wh.";

/// Unpacks a layer into two empty directories.
pub(crate) fn unpack(
    packed: impl Read,
    target: Target,
    job: &Job<'_>,
) -> Result<Unpacked, ImageError> {
    let mut packed = Hashing::new(Watched::new(packed, job.cancel, job.on_read));
    let charged = Charged::new(unpacked(&mut packed)?, job.budget.bytes());
    let content = BufReader::with_capacity(128 << 10, Hashing::new(charged));
    let mut entries = Entries::new(content, job.limits.depth_max);
    let mut writer = Writer {
        tree: Tree::new(target.tree, target.trash, job.limits.depth_max),
        entries: 0,
        is_opaque: false,
    };
    while let Some(entry) = entries.next()? {
        job.budget.take_entries(1)?;
        writer.entries += 1;
        writer.write(&entry, &mut entries)?;
    }
    let drained = entries.drain();
    let drained = drained.map_err(|error| ImageError::store("reading a layer", error))?;
    let (layer, bytes) = drained.into_inner().finish();
    writer.tree.finish()?;
    Ok(Unpacked {
        blob: packed.finish().0,
        layer,
        weight: Weight {
            bytes,
            entries: writer.entries,
        },
        is_opaque: writer.is_opaque,
    })
}

struct Writer {
    tree: Tree,
    entries: u64,
    is_opaque: bool,
}

impl Writer {
    fn write(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), ImageError> {
        if self.write_mark(entry)? {
            return Ok(());
        }
        match &entry.kind {
            Kind::File => self.tree.file(entry, content),
            Kind::Directory => self.tree.directory(entry),
            Kind::Symlink(target) => self.tree.symlink(entry, target),
            Kind::Hardlink(target) => self.tree.hardlink(entry, target),
            Kind::Fifo => self.tree.fifo(entry),
            // A sandbox has a /dev of its own over the image's. Archives of
            // whole systems hold its nodes, so these are left out.
            Kind::Device if entry.path.is_in(b"dev") => Ok(()),
            Kind::Device => Err(ImageError::hostile(
                entry.path.as_bytes(),
                "is a device outside of /dev",
            )),
        }
    }

    /// Deals with an entry that says something about the layers below.
    fn write_mark(&mut self, entry: &Entry) -> Result<bool, ImageError> {
        let Some((directory, name)) = entry.path.split() else {
            return Ok(false);
        };
        if name == OPAQUE_MARK {
            self.is_opaque |= directory.is_root();
            self.tree.opaque(&directory)?;
            return Ok(true);
        }
        let Some(hidden) = name.strip_prefix(WHITEOUT) else {
            return Ok(false);
        };
        if name.starts_with(WHITEOUT_META) {
            return Ok(true);
        }
        if matches!(hidden, b"" | b"." | b"..") {
            let why = "hides nothing that could be named";
            return Err(ImageError::hostile(entry.path.as_bytes(), why));
        }
        self.tree.whiteout(&directory, hidden)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
