//! How much memory the kept output of all sessions may take.
//!
//! One organization can have half of it at most, so that what the others could
//! go back to stays whatever it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use palisade_model::name::OrganizationId;

/// The memory for kept output. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    all: Arc<AtomicUsize>,
    own: Arc<Mutex<HashMap<OrganizationId, Weak<AtomicUsize>>>>,
    bytes_max: usize,
}

/// The part of one session; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    all: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
    bytes_max: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            all: Arc::default(),
            own: Arc::default(),
            bytes_max,
        }
    }

    /// An empty part for a session of this organization.
    pub(super) fn share(&self, organization: &OrganizationId) -> Share {
        let mut table = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.get(organization).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            table.retain(|_, own| own.strong_count() > 0);
            let own = Arc::default();
            table.insert(organization.clone(), Arc::downgrade(&own));
            own
        });
        Share {
            all: self.all.clone(),
            own,
            bytes_max: self.bytes_max,
            bytes: 0,
        }
    }
}

impl Share {
    /// Whether there is no more room, for this organization or at all.
    pub(super) fn is_full(&self) -> bool {
        self.all.load(Ordering::Relaxed) >= self.bytes_max
            || self.own.load(Ordering::Relaxed) >= self.bytes_max / 2
    }

    /// Takes room, also beyond what there is: the caller sees to it that little is.
    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
        self.own.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives room back that was taken.
    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.all.fetch_sub(bytes, Ordering::Relaxed);
        self.own.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How much was taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organization_leaves_half_to_the_others() {
        let budget = Budget::new(100);
        let [greedy, other] = ["greedy", "other"].map(|name| name.parse().unwrap());
        let (mut first, second) = (budget.share(&greedy), budget.share(&greedy));
        first.take(50);
        assert!(first.is_full() && second.is_full());
        let mut third = budget.share(&other);
        assert!(!third.is_full());
        third.take(50);
        assert!(third.is_full());
        drop(first);
        assert!(!second.is_full());
    }

    #[test]
    fn what_is_dropped_is_given_back_and_its_organization_forgotten() {
        let budget = Budget::new(100);
        let mut share = budget.share(&"a".parse().unwrap());
        share.take(7);
        share.give_back(3);
        assert_eq!(share.bytes(), 4);
        drop(share);
        assert_eq!(budget.all.load(Ordering::Relaxed), 0);
        let _other = budget.share(&"b".parse().unwrap());
        assert_eq!(budget.own.lock().unwrap().len(), 1);
    }
}
