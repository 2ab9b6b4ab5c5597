//! What was refused to the sandboxes of each profile, counted since this runner started.
//!
//! The counters of a sandbox go with it, those of its profile stay. They take in what the
//! heartbeats to gateways look at, and so grow while there is a connection to one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use palisade_model::denial::{Denials, grown};
use palisade_model::id::{ProfileId, SandboxId};

/// How many profiles are counted; those above are not.
const PROFILES_MAX: usize = 4096;

/// Counts of each profile. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<Counted>>);

/// How much was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Packets of sandboxes.
    pub packets: u64,
    /// Packets from outside that were for them.
    pub incoming: u64,
    /// Questions of the resolver.
    pub questions: u64,
}

#[derive(Debug, Default)]
struct Counted {
    sandboxes: BTreeMap<SandboxId, Refused>,
    profiles: BTreeMap<ProfileId, Refused>,
}

impl Refusals {
    /// What was refused to the sandboxes of each profile so far.
    pub fn by_profile(&self) -> BTreeMap<ProfileId, Refused> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.profiles.clone()
    }

    /// Adds what is new, and forgets sandboxes that are not among `ids`.
    pub(crate) fn enter(&self, ids: &[SandboxId], news: &[(SandboxId, Denials)]) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = ids.iter().collect::<BTreeSet<_>>();
        counted.sandboxes.retain(|id, _| there.contains(id));
        for (id, denials) in news {
            counted.add(*id, denials);
        }
    }
}

impl Counted {
    fn add(&mut self, id: SandboxId, denials: &Denials) {
        let now = Refused {
            packets: denials.packets,
            incoming: denials.incoming,
            questions: denials.questions,
        };
        let before = self.sandboxes.insert(id, now).unwrap_or_default();
        let has_room = self.profiles.len() < PROFILES_MAX;
        if !has_room && !self.profiles.contains_key(&denials.profile) {
            return;
        }
        let total = self.profiles.entry(denials.profile).or_default();
        total.packets += grown(before.packets, now.packets);
        total.incoming += grown(before.incoming, now.incoming);
        total.questions += grown(before.questions, now.questions);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn denials(packets: u64) -> Denials {
        Denials {
            profile: ProfileId::new(Uuid::from_u128(1)),
            mode: "deny-all".parse().unwrap(),
            packets,
            incoming: 1,
            questions: 0,
            recent: Vec::new(),
        }
    }

    #[test]
    fn totals_of_a_profile_only_grow_whatever_becomes_of_its_sandboxes() {
        let refusals = Refusals::default();
        let id = |number| SandboxId::new(Uuid::from_u128(number));
        for packets in [3, 5, 5, 2] {
            refusals.enter(&[id(1)], &[(id(1), denials(packets))]);
        }
        refusals.enter(&[id(2)], &[(id(2), denials(10))]);
        refusals.enter(&[], &[]);
        let totals = refusals.by_profile();
        let total = totals[&denials(0).profile];
        assert_eq!((total.packets, total.incoming), (5 + 2 + 10, 2));
    }
}
