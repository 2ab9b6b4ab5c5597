//! Which places in the address pools are taken.
//!
//! A place that was given back rests before it is taken again, and is taken again
//! only after all others have been: whatever still remembers an address, such as
//! an answer to a question for a name, has the longest possible time to forget it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use palisade_model::pool::Room;
use tokio::time::Instant;

use super::layout::Slot;

/// The places of the pools.
#[derive(Debug)]
pub(super) struct Pool {
    capacity: u32,
    rest: Duration,
    taken: BTreeSet<Slot>,
    /// Until when those rest that were given back.
    resting: BTreeMap<Slot, Instant>,
    next: u32,
}

/// Every place is taken, or was until a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "all {capacity} sandbox addresses of this runner are taken{}; \
     remove sandboxes or give the runner a larger pool",
    Resting(*resting)
)]
pub struct PoolExhausted {
    /// How many there are.
    pub capacity: u32,
    /// How many of them will be free in a moment.
    pub resting: usize,
}

/// How many will be free in a moment, as the end of a clause.
pub(super) struct Resting(pub(super) usize);

impl std::fmt::Display for Resting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, ", {count} of them for some seconds only"),
        }
    }
}

impl Pool {
    /// A pool with some places taken. The first place to be given out is
    /// `start`, so that a restart does not begin with those given back last.
    pub(super) fn new(capacity: u32, rest: Duration, taken: BTreeSet<Slot>, start: u32) -> Self {
        Self {
            capacity,
            rest,
            taken,
            resting: BTreeMap::new(),
            next: start % capacity.max(1),
        }
    }

    /// Takes a place.
    pub(super) fn take(&mut self, now: Instant) -> Result<Slot, PoolExhausted> {
        self.resting.retain(|_, until| *until > now);
        let exhausted = PoolExhausted {
            capacity: self.capacity,
            resting: self.resting.len(),
        };
        if self.taken.len() + self.resting.len() >= self.capacity as usize {
            return Err(exhausted);
        }
        let free = |slot: &Slot| !self.taken.contains(slot) && !self.resting.contains_key(slot);
        let slot = (self.next..self.capacity)
            .chain(0..self.next)
            .map(Slot)
            .find(free)
            .ok_or(exhausted)?;
        self.taken.insert(slot);
        self.next = (slot.0 + 1) % self.capacity;
        Ok(slot)
    }

    /// How many places there are, and how many cannot be had now.
    pub(super) fn room(&self, now: Instant) -> Room {
        let resting = self.resting.values().filter(|until| **until > now);
        let used = self.taken.len() + resting.count();
        Room {
            size: self.capacity,
            used: u32::try_from(used).unwrap_or(u32::MAX),
        }
    }

    /// Gives a place back that nobody was told of.
    pub(super) fn put_back(&mut self, slot: Slot) {
        self.taken.remove(&slot);
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, slot: Slot, now: Instant) {
        if self.taken.remove(&slot) {
            self.resting.insert(slot, now + self.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: Duration = Duration::from_secs(10);

    #[test]
    fn a_place_given_back_is_the_last_to_be_taken_again() {
        let mut pool = Pool::new(4, Duration::ZERO, BTreeSet::new(), 2);
        let now = Instant::now();
        let first = pool.take(now).unwrap();
        assert_eq!(first, Slot(2));
        pool.give_back(first, now);
        let others = [(); 3].map(|()| pool.take(now).unwrap());
        assert_eq!(others, [Slot(3), Slot(0), Slot(1)]);
        assert_eq!(pool.take(now), Ok(first));
        let exhausted = PoolExhausted {
            capacity: 4,
            resting: 0,
        };
        assert_eq!(pool.take(now), Err(exhausted));
    }

    #[test]
    fn a_place_given_back_rests_before_it_is_taken_again() {
        let mut pool = Pool::new(2, REST, BTreeSet::from([Slot(1)]), 0);
        let start = Instant::now();
        let first = pool.take(start).unwrap();
        pool.give_back(first, start);
        let exhausted = PoolExhausted {
            capacity: 2,
            resting: 1,
        };
        let early = pool.take(start + REST / 2);
        assert_eq!(early, Err(exhausted));
        assert!(exhausted.to_string().contains("1 of them for some seconds"));
        assert_eq!(pool.take(start + REST), Ok(first));
    }

    proptest! {
        #[test]
        fn no_place_is_taken_twice(
            start in any::<u32>(),
            frees in prop::collection::vec((any::<bool>(), 0u64..20), 0..100),
        ) {
            let mut pool = Pool::new(7, REST, BTreeSet::from([Slot(3)]), start);
            let mut now = Instant::now();
            let mut held = vec![Slot(3)];
            let mut given = Vec::new();
            for (free, pause) in frees {
                now += Duration::from_secs(pause);
                if free && !held.is_empty() {
                    let slot = held.remove(0);
                    pool.give_back(slot, now);
                    given.push((slot, now));
                } else if let Ok(slot) = pool.take(now) {
                    prop_assert!(slot.0 < 7 && !held.contains(&slot));
                    let rested = |(other, at): &(Slot, Instant)| *other != slot || *at + REST <= now;
                    prop_assert!(given.iter().all(rested));
                    held.push(slot);
                }
            }
        }
    }
}
