//! The output of a process, read without waiting.
//!
//! Once the process has ended, what it wrote itself is still read, and no more:
//! what it leaves behind may hold a pipe open, and write to it, for ever.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::poller::Source;

/// More than a terminal ever holds back of what was written to it.
const TERMINAL_BYTES_MAX: u64 = 256 * 1024;

/// How much fits into the pipe of a command.
const PIPE_BYTES: usize = 256 * 1024;

/// The output of a process.
#[derive(Debug)]
pub(crate) struct Output {
    source: Source,
    is_terminal: bool,
    /// How much may still be read; `None` while the process runs.
    left: Option<u64>,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes were read.
    Some(usize),
    /// Nothing is there now.
    NotYet,
    /// Nothing will be there any more.
    Over,
    /// All that the process itself wrote was read; others may still write.
    Rest,
}

impl Output {
    /// Reads a pipe, or the master of a terminal.
    pub(crate) fn new(source: Source, is_terminal: bool) -> Self {
        Self {
            source,
            is_terminal,
            left: None,
        }
    }

    /// Waits until there is something to read, or stops waiting.
    pub(crate) fn listen(&mut self, listen: bool) -> io::Result<()> {
        let interest = if listen {
            EventFlags::IN
        } else {
            EventFlags::empty()
        };
        self.source.want(interest)
    }

    /// The process has ended: what it wrote is now as much as it will ever be.
    pub(crate) fn writer_ended(&mut self) {
        let left = if self.is_terminal {
            TERMINAL_BYTES_MAX
        } else {
            // If it cannot be told, the pipe is read until it is empty.
            rustix::io::ioctl_fionread(&self.source).unwrap_or(u64::MAX)
        };
        self.left.get_or_insert(left);
    }

    /// From now on it is read for as long as anybody writes.
    pub(crate) fn go_on(&mut self) {
        self.left = None;
    }

    /// Reads what is there, as it was written.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let len = match self.left {
            Some(0) => return Read::Rest,
            Some(left) => usize::try_from(left).unwrap_or(usize::MAX),
            None => usize::MAX,
        }
        .min(buffer.len());
        loop {
            return match rustix::io::read(self.source.as_fd(), &mut buffer[..len]) {
                Ok(0) => Read::Over,
                Ok(read) => {
                    self.left = self.left.map(|left| left.saturating_sub(read as u64));
                    Read::Some(read)
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) if self.left.is_none() => Read::NotYet,
                // The last one who held the terminal has let go of it (`EIO`), or
                // the process has ended and all that it wrote was read.
                Err(_) => Read::Over,
            };
        }
    }
}

/// A pipe that is closed on exec: its reading and its writing end.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// A pipe for what a command reads or writes, which may be much: more fits in than usual, so
/// that it and process 1 take turns less often. Where that is not allowed, the usual fits in.
pub(crate) fn wide_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe()?;
    let _ = fcntl_setpipe_size(&writer, PIPE_BYTES);
    Ok((reader, writer))
}

/// Makes this end not wait.
pub(crate) fn do_not_wait(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(descriptor, true)?)
}
