//! Where the store keeps what, and how a file lands there in one piece.
//!
//! ```text
//! <root>/                  mode 0700: a layer holds setuid programs
//!   version                "palisade image store 1"
//!   index.lock             flock: held for every change of a record
//!   layers.lock            flock: shared while images come in, exclusive to collect
//!   layers/<hex>/tree/     one unpacked layer, by the digest of its tar archive
//!   layers/<hex>/layer.json
//!   images/<hex>.json      one image, by the digest of its configuration
//!   references/<hex>.json  one name, by the digest of its canonical text
//!   leases/<holder>@<hex>  who uses which image; the name says it all
//!   partial/<hex>          the beginning of a layer that is being fetched
//!   locks/<name>           flock: one for each piece of work under way
//!   temporary/<pid>-<n>/   flock by its maker; without one it is rubbish
//!   empty/                 the lower directory of an image without layers
//! ```
//!
//! Invariant: what is under `layers`, `images` and `references` is complete, as
//! it came there by a rename after it was on the disk; and what a record names
//! is there as long as the record is. So a crash leaves nothing but temporary
//! directories, unreferenced layers and the beginnings of downloads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::Digest;
use crate::error::ImageError;

/// The directory of a store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// Makes names in `temporary` new.
    counter: AtomicU64,
}

const VERSION: &str = "palisade image store 1\n";

const DIRECTORIES: [&str; 8] = [
    "layers",
    "images",
    "references",
    "leases",
    "partial",
    "locks",
    "temporary",
    "empty",
];

impl Layout {
    /// Makes the directories of a store, unless they are there.
    pub(crate) fn create(root: &Path) -> Result<Self, ImageError> {
        let make = |path: &Path| {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| ImageError::store("making its directories", error))
        };
        make(root)?;
        let root = fs::canonicalize(root)
            .map_err(|error| ImageError::store("finding its directory", error))?;
        for name in DIRECTORIES {
            make(&root.join(name))?;
        }
        Ok(Self {
            root,
            counter: AtomicU64::new(0),
        })
    }

    /// Refuses a store of another version; writes ours into a new one.
    ///
    /// The caller holds the lock of the index.
    pub(crate) fn check_version(&self) -> Result<(), ImageError> {
        let path = self.root.join("version");
        match fs::read_to_string(&path) {
            Ok(text) if text == VERSION => Ok(()),
            Ok(_) => Err(ImageError::Unsupported {
                what: "the format of this image store".to_owned(),
                instead: "use the program that made it, or another directory",
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let failed = |error| ImageError::store("writing its version", error);
                let temporary = self.write_new(VERSION.as_bytes()).map_err(failed)?;
                fs::rename(&temporary, &path).map_err(failed)?;
                sync_directory(&self.root).map_err(failed)
            }
            Err(error) => Err(ImageError::store("reading its version", error)),
        }
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, layer: &Digest) -> PathBuf {
        self.layers().join(layer.hex())
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn references(&self) -> PathBuf {
        self.root.join("references")
    }

    pub(crate) fn reference(&self, key: &Digest) -> PathBuf {
        self.references().join(record_name(key))
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn index_lock(&self) -> PathBuf {
        self.root.join("index.lock")
    }

    pub(crate) fn layers_lock(&self) -> PathBuf {
        self.root.join("layers.lock")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    pub(crate) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// A path in `temporary` that this handle did not use before.
    pub(crate) fn fresh(&self) -> PathBuf {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        self.temporary().join(format!("{}-{n}", std::process::id()))
    }

    /// Puts `content` at `directory/<hex>.json`, whole or not at all.
    ///
    /// The caller holds the lock of the index, or a sweep could take the file
    /// away before it is in its place.
    pub(crate) fn write_record(
        &self,
        directory: &Path,
        key: &Digest,
        content: &[u8],
    ) -> Result<(), ImageError> {
        let failed = |error| ImageError::store("writing a record", error);
        let temporary = self.write_new(content).map_err(failed)?;
        fs::rename(&temporary, directory.join(record_name(key))).map_err(failed)?;
        sync_directory(directory).map_err(failed)
    }

    /// Writes a file in `temporary` and waits until it is on the disk.
    fn write_new(&self, content: &[u8]) -> io::Result<PathBuf> {
        loop {
            let path = self.fresh();
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    file.write_all(content)?;
                    file.sync_all()?;
                    return Ok(path);
                }
                // A process of our number died here, or lives in another namespace.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

pub(crate) fn record_name(key: &Digest) -> String {
    format!("{}.json", key.hex())
}

/// The digest in the name of a record or a layer, if it has one.
pub(crate) fn key_of(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)).ok()
}

/// The paths in a directory of the store.
pub(crate) fn paths_in(directory: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let failed = |error| ImageError::store("listing a directory of it", error);
    let entries = fs::read_dir(directory).map_err(failed)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        layout.check_version().unwrap();
        layout.check_version().unwrap();
        fs::write(folder.path().join("version"), "palisade image store 2\n").unwrap();
        assert!(matches!(
            layout.check_version(),
            Err(ImageError::Unsupported { .. })
        ));
    }

    #[test]
    fn nobody_else_can_look_into_a_store() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/b");
        Layout::create(&root).unwrap();
        let mode = fs::metadata(root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
