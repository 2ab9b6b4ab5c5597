//! Locks that end with the process that holds them.
//!
//! A lock belongs to an open file: whoever inherits the descriptor holds it as
//! well, which is how an OCI runtime keeps it until it is done.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A lock, until it and all inherited copies of it are gone.
#[derive(Debug)]
pub(crate) struct Held(File);

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes the lock, or `None` if somebody else has it.
pub(crate) fn hold(path: &Path) -> io::Result<Option<Held>> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Held(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Takes the lock, waiting at most so long for whoever has it.
pub(crate) fn hold_within(path: &Path, limit: Duration) -> io::Result<Option<Held>> {
    let end = monotonic() + limit;
    loop {
        if let Some(held) = hold(path)? {
            return Ok(Some(held));
        }
        if monotonic() >= end {
            return Ok(None);
        }
        // The kernel tells nobody when such a lock is let go; an OCI runtime
        // lets it go within milliseconds.
        let _ = rustix::thread::nanosleep(&rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: 2_000_000,
        });
    }
}

fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}
