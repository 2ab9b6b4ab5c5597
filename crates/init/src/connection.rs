//! One connection of the host: a request, and what belongs to it.
//!
//! ```text
//!     asking ──► command | tunnel | watcher ──► closing
//!        ├─────► closing
//!        └─────► handed to a child that does a job on a file
//! ```
//!
//! While it is asking, not a byte behind the request is read: the rest of the
//! stream may be for somebody else. Once it hangs up, nobody listens: whatever
//! was done for it is given up.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use palisade_init_protocol::answer::Answer;
use palisade_init_protocol::frame::Assembler;
use palisade_init_protocol::request::{Input, Request};
use palisade_init_protocol::text::{Reason, Stream};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use crate::clock::Instant;
use crate::exec::Exec;
use crate::outbox::Outbox;
use crate::pipes::Output;
use crate::poller::Source;
use crate::tunnel::Tunnel;

/// One connection of the host.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Source,
    frames: Assembler,
    pub(crate) outbox: Outbox,
    pub(crate) role: Role,
    /// What its command left open when it ended.
    leftovers: Vec<(Stream, Output)>,
}

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// Its request has not been read; limited by this.
    Asking(Instant),
    /// It runs a command.
    Command(Box<Exec>),
    /// It is passed on to a port.
    Tunnel(Box<Tunnel>),
    /// It wants to know how the main process does.
    Watcher(Watcher),
    /// It is told the rest, and closed.
    Closing,
}

/// What somebody who watches was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watcher {
    /// Whether he knows that the main process runs.
    pub(crate) knows_start: bool,
    /// The end of the log as he knows it.
    pub(crate) log_end: u64,
}

/// What came of reading.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Not all of the request has come.
    NotYet,
    /// This is wanted.
    For(Request),
    /// It makes no sense.
    Nonsense(Reason),
    /// Nobody is there.
    Gone,
}

impl Connection {
    /// Waits for a request until then.
    pub(crate) fn new(mut socket: Source, limit: Instant) -> io::Result<Self> {
        socket.want(EventFlags::IN | EventFlags::RDHUP)?;
        Ok(Self {
            socket,
            frames: Assembler::default(),
            outbox: Outbox::default(),
            role: Role::Asking(limit),
            leftovers: Vec::new(),
        })
    }

    /// Reads the request, and nothing behind it.
    pub(crate) fn read_request(&mut self, buffer: &mut [u8]) -> Asked {
        loop {
            let len = self.frames.missing().min(buffer.len());
            let read = match rustix::io::read(&self.socket, &mut buffer[..len]) {
                Ok(0) => return Asked::Gone,
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Asked::NotYet,
                Err(_) => return Asked::Gone,
            };
            match self.frames.push(&mut &buffer[..read]) {
                Ok(None) => {}
                Ok(Some(body)) => {
                    return match Request::decode(body) {
                        Ok(request) => Asked::For(request),
                        Err(error) => Asked::Nonsense(Reason::new(error.to_string())),
                    };
                }
                Err(error) => return Asked::Nonsense(Reason::new(error.to_string())),
            }
        }
    }

    /// Reads once what the host says to a command or to a port.
    pub(crate) fn read_input(&mut self, buffer: &mut [u8]) -> Result<(), Reason> {
        let Ok(read) = rustix::io::read(&self.socket, &mut *buffer) else {
            // An end is noticed by the hanging up.
            return Ok(());
        };
        let mut bytes = &buffer[..read];
        while !bytes.is_empty() {
            let body: Option<Bytes> = self
                .frames
                .push(&mut bytes)
                .map_err(|error| Reason::new(error.to_string()))?;
            if let Some(body) = body {
                let input = Input::decode(body).map_err(|error| Reason::new(error.to_string()))?;
                self.role.input(input)?;
            }
        }
        Ok(())
    }

    /// Reads the output of its command, which has some.
    pub(crate) fn read_output(&mut self, stream: Stream, buffer: &mut [u8]) {
        if let Role::Command(exec) = &mut self.role {
            exec.read(stream, &self.socket, &mut self.outbox, buffer);
        }
    }

    /// Says one last thing.
    pub(crate) fn conclude(&mut self, answer: Answer) {
        self.outbox.push(answer);
        self.role = Role::Closing;
    }

    /// Does all that can be done without waiting, and sees to what is waited for.
    ///
    /// Returns whether the connection goes on.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> bool {
        self.try_advance(buffer).unwrap_or(false)
    }

    fn try_advance(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if let Role::Command(exec) = &mut self.role {
            exec.write_input()?;
            // It flushes itself: whether it listens depends on what is left.
            exec.advance(&self.socket, &mut self.outbox, buffer)?;
            if exec.is_over()
                && let Role::Command(exec) = std::mem::replace(&mut self.role, Role::Closing)
            {
                self.leftovers = exec.into_leftovers();
            }
        } else if let Role::Tunnel(tunnel) = &mut self.role {
            tunnel.advance(&self.socket, &mut self.outbox, buffer)?;
            if tunnel.is_over() {
                self.role = Role::Closing;
            }
        } else {
            self.outbox.flush(&self.socket)?;
        }
        let mut interest = EventFlags::RDHUP;
        if !self.outbox.is_empty() {
            interest |= EventFlags::OUT;
        }
        match &self.role {
            Role::Asking(_) => interest |= EventFlags::IN,
            Role::Command(exec) if exec.takes_input() => interest |= EventFlags::IN,
            Role::Tunnel(tunnel) if tunnel.takes_input() => interest |= EventFlags::IN,
            Role::Closing if self.outbox.is_empty() => return Ok(false),
            Role::Command(_) | Role::Tunnel(_) | Role::Watcher(_) | Role::Closing => {}
        }
        self.socket.want(interest)?;
        Ok(true)
    }

    /// Takes what its command left open when it ended.
    pub(crate) fn take_leftovers(&mut self) -> Vec<(Stream, Output)> {
        std::mem::take(&mut self.leftovers)
    }

    /// The socket once more, for somebody else to go on with.
    pub(crate) fn socket_again(&self) -> io::Result<OwnedFd> {
        Ok(rustix::io::fcntl_dupfd_cloexec(&self.socket, 0)?)
    }
}

impl Role {
    fn input(&mut self, input: Input) -> Result<(), Reason> {
        match self {
            Self::Command(exec) => exec.input(input),
            Self::Tunnel(tunnel) => return tunnel.input(input),
            Self::Asking(_) | Self::Watcher(_) | Self::Closing => {}
        }
        Ok(())
    }
}
