//! The thread that sees what is refused, packet by packet.
//!
//! Input: packets that the router's rules show, a few a second of each sandbox.
//! Output: the last few of each sandbox, in memory. Ends when its network is
//! dropped. It only looks: what it misses was refused all the same, and is in the
//! counters.

use std::collections::{HashMap, VecDeque};
use std::io::{self, PipeReader, PipeWriter};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use palisade_model::denial::{Denials, Direction};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::time::Instant;
use tracing::warn;

use super::layout::UPLINK;
use super::lock;
use super::namespace::Namespace;
use crate::netlink::KernelError;
use crate::netlink::log::{Log, Packet, Seen};

/// The group to which the rules show what they refuse.
pub(super) const GROUP: u16 = 1;

/// A flow that was refused, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) direction: Direction,
    pub(crate) packet: Packet,
    pub(crate) at: Instant,
    pub(crate) times: u32,
}

/// Sees what is refused until it is dropped.
#[derive(Debug)]
pub(super) struct Witness {
    book: Arc<Mutex<Book>>,
    /// Closing it ends the thread.
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// The last flows of each sandbox, by its interface.
#[derive(Debug, Default)]
struct Book(HashMap<String, VecDeque<Refused>>);

impl Witness {
    /// Begins to look, inside the router.
    pub(super) fn begin(router: &Namespace) -> Result<Self, KernelError> {
        let broken = |error: &io::Error| KernelError::new("look at what rules refuse", error);
        let open = || {
            let names = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
            let names = names.map_err(|error| broken(&error))?;
            Ok::<_, KernelError>((Log::open(GROUP)?, names))
        };
        let (log, names) = router.visit(open).map_err(|error| broken(&error))??;
        let (ended, end) = io::pipe().map_err(|error| broken(&error))?;
        let book = Arc::new(Mutex::new(Book::default()));
        let watcher = Watcher {
            log,
            names,
            ended,
            book: Arc::clone(&book),
        };
        let thread = router
            .inhabit("witness", move || watcher.run())
            .map_err(|error| broken(&error))?;
        Ok(Self {
            book,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Keeps a page for a sandbox; what others have refused is not noted.
    pub(super) fn watch(&self, interface: &str) {
        let mut book = lock(&self.book);
        book.0.entry(interface.to_owned()).or_default();
    }

    /// Forgets a sandbox.
    pub(super) fn forget(&self, interface: &str) {
        lock(&self.book).0.remove(interface);
    }

    /// The last flows of a sandbox that were refused, the oldest first.
    pub(super) fn seen(&self, interface: &str) -> Vec<Refused> {
        let book = lock(&self.book);
        let page = book.0.get(interface);
        page.map(|page| page.iter().copied().collect())
            .unwrap_or_default()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was told when it did.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Watcher {
    log: Log,
    /// Any socket of the router, for the names of its interfaces.
    names: UdpSocket,
    ended: PipeReader,
    book: Arc<Mutex<Book>>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "what is refused to sandboxes is counted, but no longer told in detail"
                    );
                    return;
                }
            }
        }
    }

    /// Waits for packets and notes them; `false` when it is time to end.
    fn step(&mut self) -> Result<bool, KernelError> {
        let mut ready = [
            PollFd::new(&self.log, PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(KernelError::new("wait for packets", &error.into())),
        }
        let [log, ended] = ready.map(|descriptor| !descriptor.revents().is_empty());
        if ended {
            return Ok(false);
        }
        if log {
            let seen = match self.log.next() {
                Ok(seen) => seen,
                // There were more than it could take; they are in the counters.
                Err(error) if error.errno == rustix::io::Errno::NOBUFS => Vec::new(),
                Err(error) => return Err(error),
            };
            self.note(&seen);
        }
        Ok(true)
    }

    fn note(&self, seen: &[Seen]) {
        let now = Instant::now();
        for Seen { from, to, packet } in seen {
            // An interface that is gone has no name, and nobody who asks.
            let Some(from) = self.name(*from) else {
                continue;
            };
            let mut book = lock(&self.book);
            if from != UPLINK {
                book.note(&from, Direction::Outgoing, *packet, now);
            } else if let Some(to) = to.and_then(|to| self.name(to)) {
                book.note(&to, Direction::Incoming, *packet, now);
            }
        }
    }

    fn name(&self, index: u32) -> Option<String> {
        rustix::net::netdevice::index_to_name(&self.names, index).ok()
    }
}

impl Book {
    fn note(&mut self, interface: &str, direction: Direction, packet: Packet, now: Instant) {
        let Some(page) = self.0.get_mut(interface) else {
            return;
        };
        let is_same = |known: &Refused| {
            let port = known.packet.source_port;
            let alike = Packet {
                source_port: port,
                ..packet
            };
            alike == known.packet && direction == known.direction
        };
        let times = match page.iter().position(is_same) {
            Some(place) => page.remove(place).map_or(0, |known| known.times),
            None => 0,
        };
        if page.len() >= Denials::RECENT_MAX {
            page.pop_front();
        }
        page.push_back(Refused {
            direction,
            packet,
            at: now,
            times: times.saturating_add(1),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(port: u16, source_port: u16) -> Packet {
        Packet {
            protocol: 6,
            source: [10, 0, 0, 1].into(),
            source_port,
            destination: [10, 0, 0, 2].into(),
            destination_port: port,
        }
    }

    #[test]
    fn only_the_last_flows_are_kept_and_the_same_one_once() {
        let mut book = Book::default();
        let now = Instant::now();
        book.note("p1", Direction::Outgoing, packet(80, 1), now);
        assert!(book.0.is_empty(), "nobody is watched yet");
        book.0.entry("p1".to_owned()).or_default();
        for port in 1..=40 {
            book.note("p1", Direction::Outgoing, packet(port, port), now);
        }
        book.note("p1", Direction::Outgoing, packet(30, 7), now);
        let page = &book.0["p1"];
        assert_eq!(page.len(), Denials::RECENT_MAX);
        assert_eq!(page.front().unwrap().packet.destination_port, 25);
        let last = page.back().unwrap();
        assert_eq!((last.packet, last.times), (packet(30, 7), 2));
    }
}
