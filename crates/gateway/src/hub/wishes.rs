//! Which sandboxes of one runner are to be looked at.
//!
//! A set and no queue: what is wished twice is looked at once, so that it is
//! never larger than the number of sandboxes and needs no behaviour when full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use tokio::sync::Notify;

/// What is to be done about sandboxes, and when.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeSet<SandboxId>,
    removals: BTreeMap<SandboxId, Timestamp>,
    by_time: BTreeSet<(Timestamp, SandboxId)>,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Look at the record, and tell the runner what follows from it.
    Look(SandboxId),
    /// Have the runner free everything.
    Remove(SandboxId),
}

impl Wishes {
    /// Looks at a sandbox soon.
    pub(super) fn look(&self, id: SandboxId) {
        self.lock().due.insert(id);
        self.news.notify_one();
    }

    /// Removes a sandbox at this instant; the earliest instant counts.
    pub(super) fn remove_at(&self, id: SandboxId, at: Timestamp) {
        let mut inner = self.lock();
        let at = inner
            .removals
            .get(&id)
            .map_or(at, |earlier| at.min(*earlier));
        if let Some(earlier) = inner.removals.insert(id, at) {
            inner.by_time.remove(&(earlier, id));
        }
        inner.by_time.insert((at, id));
        drop(inner);
        self.news.notify_one();
    }

    /// Takes the next thing that is due, if any.
    pub(super) fn take(&self, now: Timestamp) -> Option<Wish> {
        let mut inner = self.lock();
        if let Some(id) = inner.due.pop_first() {
            return Some(Wish::Look(id));
        }
        let (at, id) = inner.by_time.first().copied()?;
        if at > now {
            return None;
        }
        inner.by_time.pop_first();
        inner.removals.remove(&id);
        Some(Wish::Remove(id))
    }

    /// When the next removal is due.
    pub(super) fn next_removal(&self) -> Option<Timestamp> {
        self.lock().by_time.first().map(|(at, _)| *at)
    }

    /// Waits for something new; a wish before the call counts.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> SandboxId {
        format!("00000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    #[test]
    fn what_is_wished_twice_is_looked_at_once() {
        let wishes = Wishes::default();
        wishes.look(id(1));
        wishes.look(id(1));
        assert_eq!(wishes.take(Timestamp::EPOCH), Some(Wish::Look(id(1))));
        assert_eq!(wishes.take(Timestamp::EPOCH), None);
    }

    #[test]
    fn a_removal_waits_for_its_time_and_can_come_sooner() {
        let at = Timestamp::from_micros;
        let wishes = Wishes::default();
        wishes.remove_at(id(1), at(10));
        assert_eq!(wishes.take(at(9)), None);
        wishes.remove_at(id(1), at(5));
        wishes.remove_at(id(1), at(20));
        assert_eq!(wishes.next_removal(), Some(at(5)));
        assert_eq!(wishes.take(at(9)), Some(Wish::Remove(id(1))));
        assert_eq!(wishes.take(at(30)), None);
    }
}
