//! A connection to a port of the sandbox's own loopback, for the host.
//!
//! ```text
//!     connecting (IPv4, then IPv6) ──► open ──► over
//!         └──► not connected
//! ```
//!
//! Each direction has an end of its own. What comes from the port goes to the
//! outbox one read at a time, and the next one waits until the outbox is empty;
//! what goes to the port is taken while little of it waits: a slow end slows the
//! other one down. Nothing but the loopback is ever connected to, so that this
//! opens no way that the sandbox itself does not have.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{Buf as _, Bytes};
use palisade_init_protocol::answer::{Answer, ConnectFailure};
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::Reason;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType, connect, send, shutdown,
    socket_with, sockopt,
};

use crate::outbox::Outbox;
use crate::poller::{Poller, Source, Token};

/// No more frames are taken while more than this waits.
const PENDING_BYTES_MAX: usize = 256 * 1024;

/// A connection to a port, for the host.
#[derive(Debug)]
pub(crate) struct Tunnel {
    socket: Source,
    /// Where to try next if nobody listens here; gone once it is known who does.
    connecting: Option<Attempts>,
    pending: VecDeque<Bytes>,
    pending_bytes: usize,
    outward: Outward,
    has_received_all: bool,
    is_over: bool,
}

/// What goes to the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outward {
    /// The host may send more.
    Open,
    /// The host sends nothing more; the port is told once it has the rest.
    Closing,
    /// The port was told so, or takes nothing any more.
    Done,
}

/// How to go on connecting.
#[derive(Debug)]
struct Attempts {
    port: NonZeroU16,
    number: u64,
    poller: Poller,
    /// Why IPv4 did not work, once IPv6 is tried.
    failed: Option<Errno>,
}

impl Tunnel {
    /// Begins to connect to the port, for the connection of this number.
    pub(crate) fn connect(
        port: NonZeroU16,
        number: u64,
        poller: &Poller,
    ) -> Result<Self, ConnectFailure> {
        let mut attempts = Attempts {
            port,
            number,
            poller: poller.clone(),
            failed: None,
        };
        let socket = attempts.begin().map_err(failure)?;
        Ok(Self {
            socket,
            connecting: Some(attempts),
            pending: VecDeque::new(),
            pending_bytes: 0,
            outward: Outward::Open,
            has_received_all: false,
            is_over: false,
        })
    }

    /// Whether the host was told all there is to tell.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether nothing more comes from the port.
    pub(crate) fn has_received_all(&self) -> bool {
        self.has_received_all || self.is_over
    }

    /// Whether more of the host can be taken.
    pub(crate) fn takes_input(&self) -> bool {
        !self.is_over && self.pending_bytes <= PENDING_BYTES_MAX
    }

    /// Takes what the host says.
    pub(crate) fn input(&mut self, input: Input) -> Result<(), Reason> {
        match input {
            Input::Data(data) => match self.outward {
                Outward::Open if data.bytes().is_empty() => {}
                Outward::Open => {
                    let bytes = data.into_bytes();
                    self.pending_bytes += bytes.len();
                    self.pending.push_back(bytes);
                }
                Outward::Closing => {
                    return Err(Reason::new("data came after the end of them"));
                }
                // What a port does not take any more is dropped.
                Outward::Done => {}
            },
            Input::Close if self.outward == Outward::Open => self.outward = Outward::Closing,
            Input::Close => {}
            Input::Resize(_) | Input::Signal(_) => {
                return Err(Reason::new("a port has no terminal and takes no signals"));
            }
        }
        Ok(())
    }

    /// Does all that can be done without waiting, and sees to what is waited for.
    ///
    /// An error means that the host is not there any more.
    pub(crate) fn advance(
        &mut self,
        host: impl AsFd,
        outbox: &mut Outbox,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        outbox.flush(&host)?;
        self.check_connected(outbox);
        if self.connecting.is_none() && !self.is_over {
            self.send();
            if outbox.is_empty() {
                self.receive(&host, outbox, buffer);
            }
            if self.outward == Outward::Done && self.has_received_all && !self.is_over {
                self.conclude(outbox, Answer::Done);
            }
        }
        outbox.flush(&host)?;
        self.socket.want(self.interest(outbox))
    }

    fn interest(&self, outbox: &Outbox) -> EventFlags {
        let mut interest = EventFlags::empty();
        if self.is_over {
            return interest;
        }
        if self.connecting.is_some() || !self.pending.is_empty() {
            interest |= EventFlags::OUT;
        }
        if self.connecting.is_none() && outbox.is_empty() && !self.has_received_all {
            interest |= EventFlags::IN;
        }
        interest
    }

    fn check_connected(&mut self, outbox: &mut Outbox) {
        let Some(attempts) = &mut self.connecting else {
            return;
        };
        match outcome(&self.socket) {
            Ok(true) => {
                self.connecting = None;
                // Small pieces are somebody's typing; they must not wait.
                let _ = sockopt::set_tcp_nodelay(&self.socket, true);
                outbox.push(Answer::Connected);
            }
            Ok(false) => {}
            Err(error) => match attempts.after(error) {
                Ok(socket) => self.socket = socket,
                Err(error) => self.conclude(outbox, Answer::NotConnected(failure(error))),
            },
        }
    }

    fn send(&mut self) {
        while let Some(bytes) = self.pending.front_mut() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    let sent = sent.min(bytes.len());
                    self.pending_bytes -= sent;
                    bytes.advance(sent);
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(_) => return self.give_up_sending(),
            }
            if bytes.is_empty() {
                self.pending.pop_front();
            }
        }
        if self.outward == Outward::Closing {
            let _ = shutdown(&self.socket, Shutdown::Write);
            self.outward = Outward::Done;
        }
    }

    fn give_up_sending(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
        self.outward = Outward::Done;
    }

    /// Reads once.
    fn receive(&mut self, host: impl AsFd, outbox: &mut Outbox, buffer: &mut [u8]) {
        if self.has_received_all {
            return;
        }
        match rustix::io::read(&self.socket, &mut *buffer) {
            Ok(0) => {
                self.has_received_all = true;
                outbox.push(Answer::ReceivedAll);
            }
            Ok(read) => {
                outbox.send(host, Answer::received_head(read), &buffer[..read]);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => self.conclude(outbox, Answer::NotConnected(failure(error))),
        }
    }

    fn conclude(&mut self, outbox: &mut Outbox, answer: Answer) {
        outbox.push(answer);
        self.give_up_sending();
        self.is_over = true;
    }
}

impl Attempts {
    /// The first attempt.
    fn begin(&mut self) -> Result<Source, Errno> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.get()));
        self.open(address).or_else(|error| self.after(error))
    }

    /// What to do after an attempt that failed.
    fn after(&mut self, error: Errno) -> Result<Source, Errno> {
        if let Some(first) = self.failed {
            return Err(first);
        }
        self.failed = Some(error);
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, self.port.get()));
        // Without IPv6, what IPv4 said is the answer.
        self.open(address).map_err(|_| error)
    }

    fn open(&self, address: SocketAddr) -> Result<Source, Errno> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(self.poller.source(socket, Token::Tunnel(self.number)))
    }
}

/// Whether a connection has come about; not before it can be written to.
fn outcome(socket: &Source) -> Result<bool, Errno> {
    sockopt::socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

fn failure(error: Errno) -> ConnectFailure {
    if error == Errno::CONNREFUSED {
        return ConnectFailure::Refused;
    }
    ConnectFailure::Other(Reason::new(io::Error::from(error).to_string()))
}
