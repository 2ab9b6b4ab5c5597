//! Directories for work in progress.
//!
//! Each is locked by its maker for as long as it lives. One that nobody holds
//! is what a crash left behind; opening the store removes it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tracing::warn;

use super::layout::{Layout, paths_in};
use crate::error::ImageError;

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    _lock: File,
}

impl Temporary {
    /// Makes a directory of mode 0700.
    ///
    /// The caller holds the lock of the index, or a sweep could remove it
    /// before it is locked.
    pub(crate) fn create(layout: &Layout) -> Result<Self, ImageError> {
        let failed = |error| ImageError::store("making a temporary directory", error);
        loop {
            let path = layout.fresh();
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = File::open(&path).map_err(failed)?;
                    let operation = FlockOperation::NonBlockingLockExclusive;
                    rustix::fs::flock(&lock, operation).map_err(|error| failed(error.into()))?;
                    return Ok(Self { path, _lock: lock });
                }
                // A process of our number died here, or lives in another namespace.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it, of mode 0755 whatever the umask is.
    pub(crate) fn directory(&self, name: &str) -> Result<OwnedFd, ImageError> {
        let failed = |error| ImageError::store("making a temporary directory", error);
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(failed)?;
        let directory = File::open(&path).map_err(failed)?;
        let mode = rustix::fs::Mode::from_raw_mode(0o755);
        rustix::fs::fchmod(&directory, mode).map_err(|error| failed(error.into()))?;
        Ok(directory.into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            warn!(%error, path = %self.path.display(), "temporary directory of the image store remains");
        }
    }
}

/// Removes what crashed processes left. The caller holds the lock of the index.
pub(crate) fn sweep(layout: &Layout) -> Result<(), ImageError> {
    for path in paths_in(&layout.temporary())? {
        if let Err(error) = remove_if_abandoned(&path) {
            warn!(%error, path = %path.display(), "rubbish in the image store remains");
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        // Records are written under the lock that our caller holds.
        return fs::remove_file(path);
    }
    let directory = File::open(path)?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => fs::remove_dir_all(path),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_leaves_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let ours = Temporary::create(&layout).unwrap();
        let dead = layout.temporary().join("1-0");
        fs::create_dir_all(dead.join("tree/a")).unwrap();
        fs::write(layout.temporary().join("1-1"), "half a record").unwrap();
        sweep(&layout).unwrap();
        assert_eq!(paths_in(&layout.temporary()).unwrap(), [ours.path()]);
        drop(ours);
        assert!(paths_in(&layout.temporary()).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_a_dead_process_used_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let taken = layout.temporary().join(format!("{}-0", std::process::id()));
        fs::create_dir(&taken).unwrap();
        let fresh = Temporary::create(&Layout::create(folder.path()).unwrap()).unwrap();
        assert_ne!(fresh.path(), taken);
    }
}
