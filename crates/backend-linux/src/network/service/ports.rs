//! Ports of the host, side by side for a sandbox that needs several.
//!
//! Pure, as the book is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use palisade_model::policy::Door;
use palisade_model::pool::Room;
use tokio::time::Instant;

use super::book::{BookError, Booking, Place};
use super::settings::NodePorts;

/// Which ports are taken.
#[derive(Debug)]
pub(super) struct Ports {
    range: NodePorts,
    rest: Duration,
    taken: BTreeSet<u16>,
    resting: BTreeMap<u16, Instant>,
    next: u16,
}

impl Ports {
    /// The ports of a range, some of them taken. `start` says where to begin.
    pub(super) fn new(range: NodePorts, rest: Duration, taken: BTreeSet<u16>, start: u32) -> Self {
        let count = u32::try_from(range.count()).unwrap_or(u32::MAX);
        Self {
            range,
            rest,
            taken,
            resting: BTreeMap::new(),
            next: range.first() + u16::try_from(start % count).unwrap_or(0),
        }
    }

    /// The first of enough ports side by side.
    pub(super) fn take(
        &mut self,
        doors: &[Door],
        now: Instant,
        is_free: impl Fn(&[Door]) -> bool,
    ) -> Result<u16, BookError> {
        self.resting.retain(|_, until| *until > now);
        let numbers = ports(doors);
        let exhausted = BookError::PortsExhausted {
            wanted: numbers.len(),
            count: self.range.count(),
            range: self.range,
            resting: self.resting.len(),
        };
        let fits = |first: &u16| {
            let places = run(*first, numbers.len());
            let node = Booking {
                doors: doors.to_vec(),
                place: Place::Node { first: *first },
            };
            places.len() == numbers.len()
                && places.iter().all(|port| self.is_free(*port))
                && is_free(&node.node_doors())
        };
        let later = self.range.iter().filter(|port| *port >= self.next);
        let sooner = self.range.iter().filter(|port| *port < self.next);
        let first = later.chain(sooner).find(fits).ok_or(exhausted)?;
        let places = run(first, numbers.len());
        self.next = places.last().map_or(first, |last| last.wrapping_add(1));
        self.taken.extend(places);
        Ok(first)
    }

    /// How many there are, and how many cannot be had now.
    pub(super) fn room(&self, now: Instant) -> Room {
        let resting = self.resting.values().filter(|until| **until > now);
        let used = self.taken.len() + resting.count();
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Room {
            size: number(self.range.count()),
            used: number(used),
        }
    }

    fn is_free(&self, port: u16) -> bool {
        self.range.contains(port)
            && !self.taken.contains(&port)
            && !self.resting.contains_key(&port)
    }

    pub(super) fn give_back(&mut self, ports: &[u16], now: Instant) {
        for port in ports {
            if self.taken.remove(port) {
                self.resting.insert(*port, now + self.rest);
            }
        }
    }
}

/// Ports side by side, as many as there are up to the last one.
pub(super) fn run(first: u16, len: usize) -> Vec<u16> {
    (first..=u16::MAX).take(len).collect()
}

/// The numbers of ports in the order in which they come, each once.
pub(super) fn ports(doors: &[Door]) -> Vec<u16> {
    let mut ports = Vec::with_capacity(doors.len());
    for door in doors {
        if !ports.contains(&door.port) {
            ports.push(door.port);
        }
    }
    ports
}
