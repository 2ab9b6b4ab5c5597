//! Who is connected, is being connected, or leaves.
//!
//! A sandbox holds its place in the pools from the moment at which somebody begins to
//! connect it until nothing of it is left. So there are at most as many entries
//! as places, whatever becomes of their sandboxes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::id::SandboxId;
use tokio::time::Instant;

use super::error::{AttachError, Busy};
use super::layout::{self, Slot};
use super::lock;
use super::pool::Pool;

/// How long anybody waits for sandboxes that leave; it takes a fraction of that.
const LEAVING_MAX: Duration = Duration::from_secs(10);

/// Where a sandbox is connected.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) interface: String,
    pub(super) slot: Slot,
}

/// A sandbox that leaves.
pub(super) type Leaver = (SandboxId, Record);

/// The sandboxes of a network.
#[derive(Debug)]
pub(super) struct Roll {
    sandboxes: Mutex<Sandboxes>,
    /// Somebody began to leave, or is gone, or nobody else will come.
    changed: Condvar,
}

#[derive(Debug)]
struct Sandboxes {
    pool: Pool,
    by_id: HashMap<SandboxId, Entry>,
    /// Those that leave and that nobody is removing yet.
    waiting: VecDeque<Leaver>,
    /// Those that leave.
    leaving: usize,
    is_ended: bool,
}

#[derive(Clone, Debug)]
enum Entry {
    /// Somebody is connecting or disconnecting it.
    Busy,
    Attached(Record),
    /// Everything is closed to it, and parts of it are still there.
    Leaving,
}

impl Roll {
    /// Those who are connected already, and the pool in which their places are taken.
    pub(super) fn new(pool: Pool, attached: impl Iterator<Item = (SandboxId, Record)>) -> Self {
        let by_id = attached.map(|(id, record)| (id, Entry::Attached(record)));
        let sandboxes = Sandboxes {
            pool,
            by_id: by_id.collect(),
            waiting: VecDeque::new(),
            leaving: 0,
            is_ended: false,
        };
        Self {
            sandboxes: Mutex::new(sandboxes),
            changed: Condvar::new(),
        }
    }

    /// Takes a place for a sandbox that is not connected. Waits for those that
    /// leave if one of them is in the way.
    pub(super) fn reserve(&self, id: SandboxId) -> Result<Record, AttachError> {
        let limit = Instant::now() + LEAVING_MAX;
        let mut sandboxes = lock(&self.sandboxes);
        loop {
            let refusal = match sandboxes.take(id) {
                Ok(slot) => {
                    let interface = layout::interface(id);
                    return Ok(Record { interface, slot });
                }
                Err(refusal) => refusal,
            };
            if !sandboxes.may_change_for(id) || Instant::now() >= limit {
                return Err(refusal);
            }
            sandboxes = self.wait(sandboxes, limit);
        }
    }

    /// Keeps others from a sandbox, if it is connected, until it is settled,
    /// released or dismissed.
    pub(super) fn claim(&self, id: SandboxId) -> Result<Option<Record>, Busy> {
        let mut sandboxes = lock(&self.sandboxes);
        let Some(entry) = sandboxes.by_id.get_mut(&id) else {
            return Ok(None);
        };
        match std::mem::replace(entry, Entry::Busy) {
            Entry::Attached(record) => Ok(Some(record)),
            Entry::Busy => Err(Busy),
            Entry::Leaving => {
                *entry = Entry::Leaving;
                Ok(None)
            }
        }
    }

    /// Lets others at a sandbox that is connected.
    pub(super) fn settle(&self, id: SandboxId, record: Record) {
        let mut sandboxes = lock(&self.sandboxes);
        sandboxes.by_id.insert(id, Entry::Attached(record));
    }

    /// Has the rest of a sandbox removed.
    pub(super) fn dismiss(&self, id: SandboxId, record: Record) {
        let mut sandboxes = lock(&self.sandboxes);
        sandboxes.by_id.insert(id, Entry::Leaving);
        sandboxes.waiting.push_back((id, record));
        sandboxes.leaving += 1;
        self.changed.notify_all();
    }

    /// Where a sandbox is connected, if it is.
    pub(super) fn attached(&self, id: SandboxId) -> Option<Record> {
        match lock(&self.sandboxes).by_id.get(&id)? {
            Entry::Attached(record) => Some(record.clone()),
            Entry::Busy | Entry::Leaving => None,
        }
    }

    /// Waits until some leave, and returns them, `max` at most. `None` once nobody
    /// will come any more.
    pub(super) fn next_leavers(&self, max: usize) -> Option<Vec<Leaver>> {
        let sandboxes = lock(&self.sandboxes);
        let is_idle =
            |sandboxes: &mut Sandboxes| sandboxes.waiting.is_empty() && !sandboxes.is_ended;
        let waited = self.changed.wait_while(sandboxes, is_idle);
        let mut sandboxes = waited.unwrap_or_else(PoisonError::into_inner);
        let len = sandboxes.waiting.len().min(max);
        let leavers = sandboxes.waiting.drain(..len).collect::<Vec<_>>();
        (!leavers.is_empty()).then_some(leavers)
    }

    /// Frees the places of sandboxes of which nothing is left.
    pub(super) fn release(&self, leavers: &[Leaver]) {
        let mut sandboxes = lock(&self.sandboxes);
        for (id, record) in leavers {
            sandboxes.by_id.remove(id);
            sandboxes.pool.give_back(record.slot, Instant::now());
            sandboxes.leaving -= 1;
        }
        self.changed.notify_all();
    }

    /// Has them removed another time, after a pause. Returns at once, and without
    /// them, when nobody will come any more.
    pub(super) fn put_off(&self, leavers: Vec<Leaver>, pause: Duration) {
        let sandboxes = lock(&self.sandboxes);
        let goes_on = |sandboxes: &mut Sandboxes| !sandboxes.is_ended;
        let waited = self.changed.wait_timeout_while(sandboxes, pause, goes_on);
        let (mut sandboxes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !sandboxes.is_ended {
            sandboxes.waiting.extend(leavers);
        }
    }

    /// Waits until nobody leaves any more; tells whether that came to be in time.
    pub(super) fn await_departures(&self) -> bool {
        let limit = Instant::now() + LEAVING_MAX;
        let mut sandboxes = lock(&self.sandboxes);
        while sandboxes.leaving > 0 && Instant::now() < limit {
            sandboxes = self.wait(sandboxes, limit);
        }
        sandboxes.leaving == 0
    }

    /// Says that nobody else will come.
    pub(super) fn end(&self) {
        lock(&self.sandboxes).is_ended = true;
        self.changed.notify_all();
    }

    fn wait<'a>(
        &self,
        sandboxes: MutexGuard<'a, Sandboxes>,
        limit: Instant,
    ) -> MutexGuard<'a, Sandboxes> {
        let rest = limit.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(sandboxes, rest);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Sandboxes {
    fn take(&mut self, id: SandboxId) -> Result<Slot, AttachError> {
        if self.by_id.contains_key(&id) {
            return Err(AttachError::AlreadyAttached);
        }
        let slot = self.pool.take(Instant::now())?;
        self.by_id.insert(id, Entry::Busy);
        Ok(slot)
    }

    /// Whether somebody who leaves is what is in the way of this sandbox.
    fn may_change_for(&self, id: SandboxId) -> bool {
        match self.by_id.get(&id) {
            Some(Entry::Leaving) => true,
            Some(Entry::Busy | Entry::Attached(_)) => false,
            None => self.leaving > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use uuid::Uuid;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn id(number: u128) -> SandboxId {
        SandboxId::new(Uuid::from_u128(number))
    }

    /// A roll with one place, which a sandbox leaves.
    fn roll_with_leaver() -> Roll {
        let pool = Pool::new(1, Duration::ZERO, BTreeSet::new(), 0);
        let roll = Roll::new(pool, std::iter::empty());
        let record = roll.reserve(id(1)).unwrap();
        roll.settle(id(1), record);
        let record = roll.claim(id(1)).unwrap().unwrap();
        roll.dismiss(id(1), record);
        roll
    }

    #[test]
    fn the_last_place_is_waited_for_until_nothing_is_left_of_who_had_it() {
        let roll = roll_with_leaver();
        assert!(roll.attached(id(1)).is_none());
        assert!(roll.claim(id(1)).unwrap().is_none(), "it leaves already");
        thread::scope(|scope| {
            let next = scope.spawn(|| roll.reserve(id(2)));
            let leavers = roll.next_leavers(8).unwrap();
            assert_eq!(leavers.len(), 1);
            assert!(!next.is_finished(), "the place is not free yet");
            roll.release(&leavers);
            assert_eq!(next.join().unwrap().unwrap().slot, leavers[0].1.slot);
        });
        assert!(roll.await_departures());
        let refused = roll.reserve(id(3));
        assert!(matches!(refused, Err(AttachError::PoolExhausted(_))));
        let again = roll.reserve(id(2));
        assert!(matches!(again, Err(AttachError::AlreadyAttached)));
    }

    #[test]
    fn who_comes_back_waits_for_what_is_left_of_itself() {
        let roll = roll_with_leaver();
        thread::scope(|scope| {
            let again = scope.spawn(|| roll.reserve(id(1)));
            let leavers = roll.next_leavers(8).unwrap();
            roll.release(&leavers);
            again.join().unwrap().unwrap();
        });
    }

    #[test]
    fn what_is_put_off_comes_again_until_the_end() {
        let roll = roll_with_leaver();
        for _ in 0..3 {
            let leavers = roll.next_leavers(8).unwrap();
            roll.put_off(leavers, SOON);
        }
        let leavers = roll.next_leavers(8).unwrap();
        roll.end();
        roll.put_off(leavers, Duration::from_mins(1));
        assert!(roll.next_leavers(8).is_none());
    }

    #[test]
    fn at_the_end_those_who_leave_are_still_removed() {
        let roll = roll_with_leaver();
        roll.end();
        let leavers = roll.next_leavers(8).unwrap();
        roll.release(&leavers);
        assert!(roll.next_leavers(8).is_none());
        assert!(roll.await_departures());
    }
}
