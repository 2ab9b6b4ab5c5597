//! What is waited for: one epoll instance, and descriptors registered with it.
//!
//! Invariant: an event names a source by a token that is never used again, so
//! that an event that comes late finds nobody. A source takes itself off when it
//! is dropped, even if somebody else still holds what it refers to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use palisade_init_protocol::text::Stream;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

/// How many events are taken at once.
const EVENTS_MAX: usize = 64;

/// Whose event it is. The numbers are those of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Somebody connects.
    Listener,
    /// A child has ended.
    Children,
    /// The main process has been prepared, or has not.
    MainSetup,
    /// The main process wrote.
    MainOutput(Stream),
    /// A connection can be read or written.
    Socket(u64),
    /// A command has been prepared, or has not.
    Setup(u64),
    /// A command takes input.
    Stdin(u64),
    /// A command wrote.
    Output(u64, Stream),
    /// A connection to a port can be read or written.
    Tunnel(u64),
    /// Whoever started an agent says something, or nothing more.
    Control,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    epoll: Rc<OwnedFd>,
}

/// A descriptor that can be waited for. At first it is not.
#[derive(Debug)]
pub(crate) struct Source {
    descriptor: OwnedFd,
    token: Token,
    /// What it is registered for; empty is not registered.
    interest: EventFlags,
    poller: Poller,
}

impl Poller {
    /// Waits for nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll: Rc::new(epoll),
        })
    }

    /// Makes a descriptor one that can be waited for.
    pub(crate) fn source(&self, descriptor: OwnedFd, token: Token) -> Source {
        Source {
            descriptor,
            token,
            interest: EventFlags::empty(),
            poller: self.clone(),
        }
    }

    /// Waits until something happens, or for as long as this.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> io::Result<Vec<(Token, EventFlags)>> {
        // Rounded up: a limit that has not quite passed would be asked for again.
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs().min(3600)).unwrap_or(0),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let mut events = Vec::with_capacity(EVENTS_MAX);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let known = events.iter().filter_map(|event| {
            let (data, flags) = (event.data, event.flags);
            Some((Token::unpack(data.u64())?, flags))
        });
        Ok(known.collect())
    }
}

impl Source {
    /// Waits for this from now on; for nothing if it is empty.
    pub(crate) fn want(&mut self, interest: EventFlags) -> io::Result<()> {
        if interest == self.interest {
            return Ok(());
        }
        let data = EventData::new_u64(self.token.pack());
        let epoll = &self.poller.epoll;
        if interest.is_empty() {
            // Taken off altogether: an end would be reported even if nothing was
            // asked for.
            epoll::delete(epoll, &self.descriptor)?;
        } else if self.interest.is_empty() {
            epoll::add(epoll, &self.descriptor, data, interest)?;
        } else {
            epoll::modify(epoll, &self.descriptor, data, interest)?;
        }
        self.interest = interest;
        Ok(())
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if !self.interest.is_empty() {
            let _ = epoll::delete(&self.poller.epoll, &self.descriptor);
        }
    }
}

impl Token {
    fn pack(self) -> u64 {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Children => (1, 0),
            Self::MainSetup => (2, 0),
            Self::MainOutput(Stream::Stdout) => (3, 0),
            Self::MainOutput(Stream::Stderr) => (4, 0),
            Self::Socket(number) => (5, number),
            Self::Setup(number) => (6, number),
            Self::Stdin(number) => (7, number),
            Self::Output(number, Stream::Stdout) => (8, number),
            Self::Output(number, Stream::Stderr) => (9, number),
            Self::Tunnel(number) => (10, number),
            Self::Control => (11, 0),
        };
        number << 4 | kind
    }

    fn unpack(packed: u64) -> Option<Self> {
        let number = packed >> 4;
        Some(match packed & 0xf {
            0 => Self::Listener,
            1 => Self::Children,
            2 => Self::MainSetup,
            3 => Self::MainOutput(Stream::Stdout),
            4 => Self::MainOutput(Stream::Stderr),
            5 => Self::Socket(number),
            6 => Self::Setup(number),
            7 => Self::Stdin(number),
            8 => Self::Output(number, Stream::Stdout),
            9 => Self::Output(number, Stream::Stderr),
            10 => Self::Tunnel(number),
            11 => Self::Control,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_being_packed() {
        let tokens = [
            Token::Listener,
            Token::Children,
            Token::MainSetup,
            Token::MainOutput(Stream::Stdout),
            Token::MainOutput(Stream::Stderr),
            Token::Socket(1 << 50),
            Token::Setup(7),
            Token::Stdin(8),
            Token::Output(9, Stream::Stdout),
            Token::Output(10, Stream::Stderr),
            Token::Tunnel(11),
            Token::Control,
        ];
        for token in tokens {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(0xf), None);
    }
}
