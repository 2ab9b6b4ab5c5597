//! Filling a fresh file system with what a snapshot holds.
//!
//! Nothing of the sandbox runs before the whole archive was read and its digest
//! compared with the one that the launch names.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use palisade_backend::FetchError;
use palisade_image::ImageError;
use palisade_image::directory::{self, Filled};
use palisade_model::reason::Reason;
use palisade_model::snapshot::Content;
use rustix::fs::{AtFlags, Mode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Made, directory_of, limits};

/// What the directory is called that takes what one entry replaced of another:
/// no archive knows the name, so none can put something there.
const TRASH_PREFIX: &str = ".palisade-";

/// Reads what comes through a channel; blocks until it comes.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    chunks: mpsc::Receiver<Result<Bytes, FetchError>>,
    present: Bytes,
    lost: CancellationToken,
    /// Nobody wants it any more.
    cancel: CancellationToken,
    runtime: Handle,
}

impl ChunkReader {
    /// Must be called within a runtime, and read outside of it.
    pub(crate) fn new(
        chunks: mpsc::Receiver<Result<Bytes, FetchError>>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            cancel,
            runtime: Handle::current(),
            chunks,
            present: Bytes::new(),
            lost: CancellationToken::new(),
        }
    }

    /// Tells whether the way broke over which it came.
    pub(crate) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl ChunkReader {
    fn broken(&self, error: FetchError) -> io::Error {
        if error == FetchError::Lost {
            self.lost.cancel();
        }
        io::Error::other(error)
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.present.is_empty() {
            let next = self.cancel.run_until_cancelled(self.chunks.recv());
            let Some(next) = self.runtime.block_on(next) else {
                return Err(io::Error::other("nobody waits for it any more"));
            };
            match next {
                Some(Ok(chunk)) => self.present = chunk,
                Some(Err(error)) => return Err(self.broken(error)),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.present.len());
        self.present.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Made {
    /// Fills it; what is told of a failure is for the person who started the
    /// sandbox. Blocks.
    pub(crate) fn fill(
        &self,
        content: &Content,
        bytes: u64,
        archive: ChunkReader,
        cancel: &CancellationToken,
    ) -> Result<(), String> {
        let filled = self.unpack(bytes, archive, cancel).map_err(|error| {
            let what = if matches!(error, ImageError::NoSpace) {
                format!("its files do not fit into the {bytes} bytes that the file system has")
            } else {
                crate::driver::chain(&error)
            };
            failed(&what)
        })?;
        let digest = content.digest;
        if filled.digest.hex() == digest.to_string() && filled.bytes == content.bytes {
            return Ok(());
        }
        Err(failed(&format!(
            "what was restored is not what was archived: the SHA-256 should be {digest}, and is {}",
            filled.digest.hex()
        )))
    }

    fn unpack(
        &self,
        bytes: u64,
        archive: ChunkReader,
        cancel: &CancellationToken,
    ) -> Result<Filled, ImageError> {
        let failed = |cause: io::Error| ImageError::Store {
            doing: "preparing a file system",
            cause,
        };
        let top = directory_of(self.mount()).map_err(failed)?;
        let name = format!(
            "{TRASH_PREFIX}{}",
            crate::file_system::unguessable().map_err(failed)?
        );
        let mkdir = rustix::fs::mkdirat(&top, &name, Mode::RWXU);
        mkdir.map_err(|error| failed(error.into()))?;
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::CLOEXEC;
        let trash = rustix::fs::openat(&top, &name, flags, Mode::empty());
        let trash = trash.map_err(|error| failed(error.into()))?;
        let again = top.try_clone().map_err(failed)?;
        let times = rustix::fs::fstat(&top);
        let filled = directory::unpack(archive, (again, trash), &limits(bytes), cancel)?;
        // Taking the directory away changes the time of the one that it is in.
        let times = rustix::fs::fstat(&top).or(times);
        let removed = rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR);
        removed.map_err(|error| failed(error.into()))?;
        if let Ok(times) = times {
            let modified = rustix::fs::Timespec {
                tv_sec: times.st_mtime,
                tv_nsec: times.st_mtime_nsec.cast_signed(),
            };
            let set = rustix::fs::Timestamps {
                last_access: modified,
                last_modification: modified,
            };
            let set = rustix::fs::futimens(&top, &set);
            set.map_err(|error| failed(error.into()))?;
        }
        Ok(filled)
    }
}

/// A reason that clients find by the word at its beginning.
pub(crate) fn failed(what: &str) -> String {
    format!("{}: {what}", Reason::FssRestoreFailed)
}
