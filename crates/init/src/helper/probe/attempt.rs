//! One probe that is under way: a socket, and what is expected of it.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};
use palisade_init_protocol::probe::{Host, HostName, Outcome, Probe};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with, sockopt as options,
};

use super::dns;
use super::heard::{Heard, errors};

/// What is sent where nothing in particular is asked.
const HELLO: &[u8] = b"palisade";
/// The port of a server of names.
const DNS_PORT: u16 = 53;
/// No answer to any question here is longer.
const ANSWER_BYTES_MAX: usize = 4096;

/// A probe that was sent.
#[derive(Debug)]
pub(super) struct Attempt {
    socket: OwnedFd,
    is_v4: bool,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// That the connection comes about.
    Connection,
    /// Any data.
    Data,
    /// An answer to a question about a name.
    Addresses,
}

impl Attempt {
    /// Sends it, unless that alone tells everything.
    pub(super) fn begin(probe: &Probe) -> Result<Self, Heard> {
        match probe {
            Probe::Tcp(host, port) => Self::connect(*host, port.get()),
            Probe::Udp(host, port) => {
                Self::send(*host, port.get(), Transport::Udp, Expects::Data, HELLO)
            }
            Probe::Icmp(host) => {
                let echo = echo(host.address);
                Self::send(*host, 0, Transport::Echo, Expects::Data, &echo)
            }
            Probe::Dns(server, name) => Self::question(*server, name),
        }
    }

    fn question(server: Host, name: &HostName) -> Result<Self, Heard> {
        let question = dns::question(name);
        Self::send(
            server,
            DNS_PORT,
            Transport::Udp,
            Expects::Addresses,
            &question,
        )
    }

    fn connect(host: Host, port: u16) -> Result<Self, Heard> {
        let attempt = Self::open(host, Transport::Tcp, Expects::Connection)?;
        match connect(&attempt.socket, &host.at(port)) {
            Ok(()) => Err(Heard::new(Outcome::Open)),
            Err(Errno::INPROGRESS) => Ok(attempt),
            Err(error) => Err(attempt.failed(error)),
        }
    }

    fn send(
        host: Host,
        port: u16,
        transport: Transport,
        expects: Expects,
        data: &[u8],
    ) -> Result<Self, Heard> {
        let attempt = Self::open(host, transport, expects)?;
        // Whoever says no says it in an ICMP message, of which the kernel keeps
        // more than an error number only on request.
        let asked = if attempt.is_v4 {
            setsockopt(&attempt.socket, sockopt::Ipv4RecvErr, &true)
        } else {
            setsockopt(&attempt.socket, sockopt::Ipv6RecvErr, &true)
        };
        asked.map_err(|error| Heard::failed(&error.to_string()))?;
        connect(&attempt.socket, &host.at(port))
            .and_then(|()| send(&attempt.socket, data, SendFlags::NOSIGNAL))
            .map_err(|error| attempt.failed(error))?;
        Ok(attempt)
    }

    fn open(host: Host, transport: Transport, expects: Expects) -> Result<Self, Heard> {
        let is_v4 = host.address.is_ipv4();
        let family = if is_v4 {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let (kind, protocol) = match transport {
            Transport::Tcp => (SocketType::STREAM, None),
            Transport::Udp => (SocketType::DGRAM, None),
            Transport::Echo if is_v4 => (SocketType::DGRAM, Some(ipproto::ICMP)),
            Transport::Echo => (SocketType::DGRAM, Some(ipproto::ICMPV6)),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match socket_with(family, kind, flags, protocol) {
            Ok(socket) => Ok(Self {
                socket,
                is_v4,
                expects,
            }),
            Err(Errno::AFNOSUPPORT) => {
                let what = "the sandbox has no such network";
                Err(Heard::with(Outcome::Unreachable, what))
            }
            Err(error) => Err(Heard::failed(&error.to_string())),
        }
    }

    /// What can be waited for.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What to wait for there, errors aside.
    pub(super) fn waits_for(&self) -> PollFlags {
        match self.expects {
            Expects::Connection => PollFlags::OUT,
            Expects::Data | Expects::Addresses => PollFlags::IN,
        }
    }

    /// What there is to be heard; `None` if that is nothing yet.
    pub(super) fn hear(&self) -> Option<Heard> {
        if self.expects == Expects::Connection {
            return Some(match options::socket_error(&self.socket) {
                Ok(Ok(())) => Heard::new(Outcome::Open),
                Ok(Err(error)) | Err(error) => self.failed(error),
            });
        }
        if let Some(heard) = errors(self.socket()) {
            return Some(heard);
        }
        let mut answer = [0; ANSWER_BYTES_MAX];
        match recv(&self.socket, &mut answer, RecvFlags::DONTWAIT) {
            Ok((_, len)) => {
                let answer = &answer[..len.min(ANSWER_BYTES_MAX)];
                match self.expects {
                    Expects::Addresses => dns::heard(answer),
                    Expects::Connection | Expects::Data => Some(Heard::new(Outcome::Open)),
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(error) => Some(self.failed(error)),
        }
    }

    fn failed(&self, error: Errno) -> Heard {
        let is_stream = self.expects == Expects::Connection;
        Heard::of_errno(error, is_stream, self.is_v4)
    }
}

#[derive(Clone, Copy)]
enum Transport {
    Tcp,
    Udp,
    Echo,
}

/// A request for an echo; the kernel fills in who asks and the sum.
fn echo(to: IpAddr) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(HELLO);
    packet
}
