//! Where connections come in.
//!
//! Those of process 1 come over a socket that only the host sees. Those of an
//! agent come over the network: each one is given to a child of its own
//! ([`crate::helper`]), which lets through what somebody with the key says, and the
//! server is given the other end of that. Nothing of a stranger reaches the
//! server, and few strangers are listened to at once.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use palisade_init_protocol::agent::Key;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Instant;
use crate::launch::relay;
use crate::pipes::pipe;
use crate::poller::{Poller, Source, Token};

/// How many connections are taken in one turn.
const ACCEPTS_MAX: usize = 64;

/// How long nobody is taken after there was no descriptor for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to say what it wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long one of the network may take to show that it has the key, and to say
/// what it wants.
pub(crate) const STRANGER_LIMIT: Duration = Duration::from_secs(5);

/// How many of the network may be about to do that.
const STRANGERS_MAX: usize = 64;

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Door {
    listener: Source,
    /// Until when nobody is taken.
    pause: Option<Instant>,
    guard: Option<Guard>,
}

/// What stands between the network and the server.
#[derive(Debug)]
struct Guard {
    key: Key,
    /// Children between a connection and the server.
    relays: HashSet<Pid>,
    relays_max: usize,
}

impl Door {
    /// One that only the host sees.
    pub(crate) fn local(listener: OwnedFd, poller: &Poller) -> io::Result<Self> {
        Self::new(listener, poller, None)
    }

    /// One at a network: whoever comes has to know the key.
    pub(crate) fn guarded(
        listener: OwnedFd,
        poller: &Poller,
        key: Key,
        connections_max: u32,
    ) -> io::Result<Self> {
        let guard = Guard {
            key,
            relays: HashSet::new(),
            relays_max: connections_max as usize + STRANGERS_MAX,
        };
        Self::new(listener, poller, Some(guard))
    }

    fn new(listener: OwnedFd, poller: &Poller, guard: Option<Guard>) -> io::Result<Self> {
        let mut listener = poller.source(listener, Token::Listener);
        listener.want(EventFlags::IN)?;
        Ok(Self {
            listener,
            pause: None,
            guard,
        })
    }

    /// How long a connection may take to say what it wants.
    pub(super) fn request_limit(&self) -> Duration {
        match self.guard {
            Some(_) => STRANGER_LIMIT,
            None => REQUEST_LIMIT,
        }
    }

    /// Takes those who wait; `asking` tells how many have not said yet what they want.
    pub(super) fn accept(&mut self, asking: impl FnOnce() -> usize) -> Vec<OwnedFd> {
        // Only who guards a door looks at them all.
        let mut asking = self.guard.as_ref().map_or(0, |_| asking());
        let mut taken = Vec::new();
        for _ in 0..ACCEPTS_MAX {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match accept_with(&self.listener, flags) {
                Ok(socket) => {
                    let socket = match &mut self.guard {
                        Some(guard) => guard.let_in(socket, asking),
                        None => Some(socket),
                    };
                    asking += usize::from(socket.is_some());
                    taken.extend(socket);
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    // No descriptor is left. They wait in line.
                    let _ = self.listener.want(EventFlags::empty());
                    self.pause = Some(Instant::now().after(ACCEPT_PAUSE));
                    break;
                }
            }
        }
        taken
    }

    /// When it takes somebody again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pause
    }

    /// Takes somebody again once it is time to.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.pause.is_some_and(|until| until.left(now).is_zero()) {
            self.pause = None;
            let _ = self.listener.want(EventFlags::IN);
        }
    }

    /// Takes nobody any more, and lets go of those who came over the network.
    pub(super) fn close(&mut self) {
        let _ = self.listener.want(EventFlags::empty());
        self.pause = None;
        for relay in self.guard.iter().flat_map(|guard| &guard.relays) {
            // None of them was reaped: the number is nobody else's.
            let _ = kill_process(*relay, Signal::KILL);
        }
    }

    /// A child has ended.
    pub(super) fn reaped(&mut self, pid: Pid) {
        if let Some(guard) = &mut self.guard {
            guard.relays.remove(&pid);
        }
    }
}

impl Guard {
    /// The end for the server of a connection of the network. One too many is
    /// closed: who wants something of this sandbox has another way.
    fn let_in(&mut self, network: OwnedFd, asking: usize) -> Option<OwnedFd> {
        if asking >= STRANGERS_MAX || self.relays.len() >= self.relays_max {
            return None;
        }
        // Small pieces are somebody's typing; they must not wait.
        let _ = sockopt::set_tcp_nodelay(&network, true);
        self.start_relay(network).ok()
    }

    fn start_relay(&mut self, network: OwnedFd) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let (key, writer) = pipe()?;
        // It fits: nobody is waited for.
        rustix::io::write(&writer, self.key.bytes())?;
        self.relays.insert(relay(network, theirs.into(), key)?);
        Ok(ours.into())
    }
}
