//! Locks between tasks of this process and between processes.
//!
//! All are `flock`s on files, so they end with their process, however it ends.
//! Tasks of one process queue at a mutex first and only its first waits for the
//! other processes, by trying again: the kernel has no way to wait for a file
//! lock without a thread.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::sync::OwnedMutexGuard;

use crate::error::ImageError;

/// Between two tries, at first and at most.
const WAIT_FIRST: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How long changes of records may keep others waiting. They take
/// milliseconds; a process that was stopped within one must not stop us too.
pub(crate) const INDEX_WAIT_MAX: Duration = Duration::from_secs(20);

/// A lock that one task of one process holds at a time.
#[derive(Debug)]
pub(crate) struct Exclusive {
    path: PathBuf,
    queue: Arc<tokio::sync::Mutex<()>>,
}

/// Holds a lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    // The file first: the next task of this process shall find it free.
    _file: File,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Exclusive {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            queue: Arc::default(),
        }
    }

    /// Waits for the lock, as long as it takes.
    pub(crate) async fn lock(&self) -> Result<Held, ImageError> {
        let turn = Arc::clone(&self.queue).lock_owned().await;
        let file = wait_for(&self.path, FlockOperation::NonBlockingLockExclusive).await?;
        Ok(Held {
            _file: file,
            _turn: Some(turn),
        })
    }

    /// Waits for the lock, but not longer than `limit`.
    pub(crate) async fn lock_within(&self, limit: Duration) -> Result<Held, ImageError> {
        let locked = tokio::time::timeout(limit, self.lock()).await;
        locked.unwrap_or(Err(ImageError::TimedOut {
            seconds: limit.as_secs(),
        }))
    }
}

/// Waits for a lock that many may hold at once.
pub(crate) async fn shared(path: &Path) -> Result<Held, ImageError> {
    let file = wait_for(path, FlockOperation::NonBlockingLockShared).await?;
    Ok(Held {
        _file: file,
        _turn: None,
    })
}

/// Takes a lock alone, if nobody holds it.
pub(crate) fn try_alone(path: &Path) -> Result<Option<Held>, ImageError> {
    let file = try_lock(path, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file.map(|file| Held {
        _file: file,
        _turn: None,
    }))
}

async fn wait_for(path: &Path, operation: FlockOperation) -> Result<File, ImageError> {
    let mut wait = WAIT_FIRST;
    loop {
        if let Some(file) = try_lock(path, operation)? {
            return Ok(file);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

fn try_lock(path: &Path, operation: FlockOperation) -> Result<Option<File>, ImageError> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path);
    let file = file.map_err(|error| ImageError::store("opening a lock", error))?;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(ImageError::store("taking a lock", error)),
    }
}

/// One lock for each piece of work, made when it is wanted.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    directory: PathBuf,
    known: Mutex<HashMap<String, Weak<Exclusive>>>,
}

/// Holds the lock of one piece of work.
#[derive(Debug)]
pub(crate) struct HeldKey {
    _held: Held,
    // Keeps the entry alive, so that others queue at the same one.
    _lock: Arc<Exclusive>,
}

impl KeyLocks {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            known: Mutex::default(),
        }
    }

    /// Waits until nobody else does the work `name`.
    pub(crate) async fn lock(&self, name: String) -> Result<HeldKey, ImageError> {
        let lock = self.of(name);
        Ok(HeldKey {
            _held: lock.lock().await?,
            _lock: lock,
        })
    }

    fn of(&self, name: String) -> Arc<Exclusive> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = known.get(&name).and_then(Weak::upgrade) {
            return lock;
        }
        known.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(Exclusive::new(self.directory.join(&name)));
        known.insert(name, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holds_the_lock_and_the_other_gets_it_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (ours, theirs) = (Exclusive::new(path.clone()), Exclusive::new(path));
        let held = ours.lock().await.unwrap();
        // Another task of this process, and another process.
        for other in [&ours, &theirs] {
            let refused = other.lock_within(Duration::from_millis(20)).await;
            assert!(matches!(refused, Err(ImageError::TimedOut { .. })));
        }
        drop(held);
        theirs.lock_within(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn sharers_keep_out_whom_wants_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (one, two) = (shared(&path).await.unwrap(), shared(&path).await.unwrap());
        drop(one);
        assert!(try_alone(&path).unwrap().is_none());
        drop(two);
        assert!(try_alone(&path).unwrap().is_some());
    }

    #[tokio::test]
    async fn different_work_does_not_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let locks = KeyLocks::new(folder.path().to_owned());
        let _one = locks.lock("one".to_owned()).await.unwrap();
        locks.lock("two".to_owned()).await.unwrap();
        let again = locks.lock("one".to_owned());
        assert!(
            tokio::time::timeout(Duration::from_millis(20), again)
                .await
                .is_err()
        );
    }
}
