//! A file on its way to the place of another one.
//!
//! It is written beside its place under another name, and renamed. Until then
//! nothing is seen of it; if it is dropped, nothing is left of it. A link is
//! followed: what it points to is replaced, not the link.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use palisade_init_protocol::answer::FileFailure;
use rustix::fs::{Access, AtFlags, CWD, Gid, Mode, Uid, accessat, fchmod, fchown};

use super::failure;
use crate::clock::unix_micros;

/// How many links lead on from each other at most, as in the kernel.
const LINKS_MAX: usize = 40;

/// Permissions of a new file.
const MODE_DEFAULT: u32 = 0o644;

/// A file on its way to its place.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: File,
    /// Where it is now; empty once it has arrived.
    temporary: PathBuf,
    place: PathBuf,
}

/// The file that is replaced.
#[derive(Clone, Copy, Debug)]
struct Old {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Replacement {
    /// Begins a file, making the directories above it.
    ///
    /// Without a mode it gets that of the file that it replaces.
    pub(crate) fn begin(path: &str, mode: Option<u32>) -> Result<Self, FileFailure> {
        let place = follow_links(path)?;
        let old = old(&place)?;
        // `follow_links` saw to it that there is a directory above.
        let above = place.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(above).map_err(|error| {
            // Something else than a directory is there.
            let is_taken = error.kind() == io::ErrorKind::AlreadyExists;
            if is_taken {
                FileFailure::BadPath
            } else {
                failure(&error)
            }
        })?;
        let name = format!(".palisade-{}-{}", std::process::id(), unix_micros().0);
        let temporary = above.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| failure(&error))?;
        let replacement = Self {
            file,
            temporary,
            place,
        };
        replacement.dress(old, mode)?;
        Ok(replacement)
    }

    /// Adds bytes at the end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileFailure> {
        self.file.write_all(bytes).map_err(|error| failure(&error))
    }

    /// Puts it into its place.
    pub(crate) fn finish(mut self) -> Result<(), FileFailure> {
        fs::rename(&self.temporary, &self.place).map_err(|error| failure(&error))?;
        self.temporary = PathBuf::new();
        Ok(())
    }

    fn dress(&self, old: Option<Old>, mode: Option<u32>) -> Result<(), FileFailure> {
        if let Some(old) = old {
            // Whoever may not give it away is its owner now.
            let (uid, gid) = (Uid::from_raw(old.uid), Gid::from_raw(old.gid));
            let _ = fchown(&self.file, Some(uid), Some(gid));
        }
        let mode = mode.or(old.map(|old| old.mode)).unwrap_or(MODE_DEFAULT);
        fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(|error| failure(&error.into()))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The place that a path leads to in the end, whether anything is there or not.
fn follow_links(path: &str) -> Result<PathBuf, FileFailure> {
    if path.ends_with('/') {
        let is_directory = Path::new(path).is_dir();
        return Err(if is_directory {
            FileFailure::IsDirectory
        } else {
            FileFailure::BadPath
        });
    }
    let mut path = PathBuf::from(path);
    for _ in 0..LINKS_MAX {
        if !matches!(path.components().next_back(), Some(Component::Normal(_))) {
            return Err(FileFailure::BadPath);
        }
        match fs::read_link(&path) {
            // An absolute target takes the place of the whole.
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(FileFailure::BadPath)
}

fn old(place: &Path) -> Result<Option<Old>, FileFailure> {
    let metadata = match fs::symlink_metadata(place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(&error)),
    };
    if metadata.is_dir() {
        return Err(FileFailure::IsDirectory);
    }
    if !metadata.is_file() {
        return Err(FileFailure::BadPath);
    }
    // Renaming asks only whether the directory may be written.
    accessat(CWD, place, Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|error| failure(&error.into()))?;
    Ok(Some(Old {
        mode: metadata.mode() & 0o777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    }))
}
