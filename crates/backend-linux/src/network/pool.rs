//! Which places in the address pools are taken.
//!
//! A place that was given back is taken again only after all others have been:
//! whatever still remembers an address has the longest possible time to forget
//! it.

use std::collections::BTreeSet;

use super::layout::Slot;

/// The places of the pools.
#[derive(Debug)]
pub(super) struct Pool {
    capacity: u32,
    taken: BTreeSet<Slot>,
    next: u32,
}

/// Every place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "all {capacity} sandbox addresses of this runner are taken; \
     remove sandboxes or give the runner a larger pool"
)]
pub struct PoolExhausted {
    /// How many there are.
    pub capacity: u32,
}

impl Pool {
    /// A pool with some places taken. The first place to be given out is
    /// `start`, so that a restart does not begin with those given back last.
    pub(super) fn new(capacity: u32, taken: BTreeSet<Slot>, start: u32) -> Self {
        Self {
            capacity,
            taken,
            next: start % capacity.max(1),
        }
    }

    /// Takes a place.
    pub(super) fn take(&mut self) -> Result<Slot, PoolExhausted> {
        let exhausted = PoolExhausted {
            capacity: self.capacity,
        };
        if self.taken.len() >= self.capacity as usize {
            return Err(exhausted);
        }
        let free = |slot: &Slot| !self.taken.contains(slot);
        let slot = (self.next..self.capacity)
            .chain(0..self.next)
            .map(Slot)
            .find(free)
            .ok_or(exhausted)?;
        self.taken.insert(slot);
        self.next = (slot.0 + 1) % self.capacity;
        Ok(slot)
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, slot: Slot) {
        self.taken.remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_given_back_is_the_last_to_be_taken_again() {
        let mut pool = Pool::new(4, BTreeSet::new(), 2);
        let first = pool.take().unwrap();
        assert_eq!(first, Slot(2));
        pool.give_back(first);
        let others = [(); 3].map(|()| pool.take().unwrap());
        assert_eq!(others, [Slot(3), Slot(0), Slot(1)]);
        assert_eq!(pool.take(), Ok(first));
        assert_eq!(pool.take(), Err(PoolExhausted { capacity: 4 }));
    }

    proptest! {
        #[test]
        fn no_place_is_taken_twice(start in any::<u32>(), frees in prop::collection::vec(any::<bool>(), 0..100)) {
            let mut pool = Pool::new(7, BTreeSet::from([Slot(3)]), start);
            let mut held = vec![Slot(3)];
            for free in frees {
                match (free, pool.take()) {
                    (true, _) | (_, Err(_)) if !held.is_empty() => {
                        let slot = held.remove(0);
                        pool.give_back(slot);
                    }
                    (_, Ok(slot)) => {
                        prop_assert!(slot.0 < 7 && !held.contains(&slot));
                        held.push(slot);
                    }
                    (_, Err(_)) => prop_assert!(false, "exhausted with nothing held"),
                }
            }
        }
    }
}
