//! What runners said was refused to sandboxes.
//!
//! Kept in memory, for as many sandboxes as there is room for; who was told of
//! last stays longest, whether it still runs or not. The totals of a profile only
//! grow while this gateway runs, whatever becomes of its sandboxes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use palisade_model::denial::{Denials, grown};
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_wire::rest::DenialTotals;

/// How many sandboxes are remembered.
const SANDBOXES_MAX: usize = 16_384;
/// How many profiles are counted; those above are not.
const PROFILES_MAX: usize = 65_536;

/// What is known of denials.
#[derive(Debug, Default)]
pub(super) struct DenialBook(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    sandboxes: HashMap<(OrganizationId, SandboxId), Entry>,
    /// By when they were told of, the oldest first.
    by_age: BTreeMap<u64, (OrganizationId, SandboxId)>,
    profiles: HashMap<(OrganizationId, ProfileId), Counted>,
    last: u64,
}

/// A profile that is counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// How many were counted before it was.
    place: usize,
    totals: DenialTotals,
}

#[derive(Debug)]
struct Entry {
    age: u64,
    denials: Denials,
}

impl DenialBook {
    /// Takes down what a runner of this organization said.
    pub(super) fn put(&self, organization: &OrganizationId, id: SandboxId, denials: Denials) {
        let mut book = self.lock();
        let key = (organization.clone(), id);
        let before = book.sandboxes.remove(&key);
        if let Some(before) = &before {
            book.by_age.remove(&before.age);
        }
        book.count(organization, before.as_ref(), &denials);
        book.last += 1;
        let age = book.last;
        book.by_age.insert(age, key.clone());
        book.sandboxes.insert(key, Entry { age, denials });
        if book.sandboxes.len() > SANDBOXES_MAX
            && let Some((_, oldest)) = book.by_age.pop_first()
        {
            book.sandboxes.remove(&oldest);
        }
    }

    /// What was refused to a sandbox of this organization, as far as is known.
    pub(super) fn sandbox(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        let book = self.lock();
        let entry = book.sandboxes.get(&(organization.clone(), id))?;
        Some(entry.denials.clone())
    }

    /// What was refused to the sandboxes of a profile.
    pub(super) fn profile(&self, organization: &OrganizationId, id: ProfileId) -> DenialTotals {
        let book = self.lock();
        let counted = book.profiles.get(&(organization.clone(), id));
        counted.map(|counted| counted.totals).unwrap_or_default()
    }

    /// What was refused to the sandboxes of every profile, in the order in which
    /// they were first heard of.
    pub(super) fn profiles(&self) -> Vec<(OrganizationId, ProfileId, DenialTotals)> {
        let book = self.lock();
        let mut counted = book.profiles.iter().collect::<Vec<_>>();
        counted.sort_by_key(|(_, counted)| counted.place);
        let counted = counted
            .into_iter()
            .map(|((organization, id), counted)| (organization.clone(), *id, counted.totals));
        counted.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Adds what is new to the totals.
    fn count(&mut self, organization: &OrganizationId, before: Option<&Entry>, now: &Denials) {
        let key = (organization.clone(), now.profile);
        if self.profiles.len() >= PROFILES_MAX && !self.profiles.contains_key(&key) {
            return;
        }
        let place = self.profiles.len();
        let counted = self.profiles.entry(key).or_insert(Counted {
            place,
            totals: DenialTotals::default(),
        });
        let totals = &mut counted.totals;
        let packets = before.map_or(0, |entry| entry.denials.packets);
        let incoming = before.map_or(0, |entry| entry.denials.incoming);
        let questions = before.map_or(0, |entry| entry.denials.questions);
        totals.packets += grown(packets, now.packets);
        totals.incoming += grown(incoming, now.incoming);
        totals.questions += grown(questions, now.questions);
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
            incoming: 2 * packets,
            questions: 1,
            recent: Vec::new(),
        }
    }

    fn id(number: u128) -> SandboxId {
        SandboxId::new(Uuid::from_u128(number))
    }

    #[test]
    fn totals_of_a_profile_grow_by_what_is_new() {
        let (book, acme) = (DenialBook::default(), "acme".parse().unwrap());
        for packets in [3, 5, 5, 2] {
            book.put(&acme, id(1), denials(packets));
        }
        book.put(&acme, id(2), denials(10));
        let totals = book.profile(&acme, denials(0).profile);
        assert_eq!((totals.packets, totals.questions), (5 + 2 + 10, 2));
        assert_eq!(totals.incoming, 2 * totals.packets);
        assert_eq!(book.sandbox(&acme, id(1)), Some(denials(2)));
        assert_eq!(book.profiles(), [(acme, denials(0).profile, totals)]);
    }

    #[test]
    fn another_organization_sees_nothing() {
        let (book, acme) = (DenialBook::default(), "acme".parse().unwrap());
        book.put(&acme, id(1), denials(3));
        let evil = "evil".parse().unwrap();
        assert_eq!(book.sandbox(&evil, id(1)), None);
        let totals = book.profile(&evil, denials(0).profile);
        assert_eq!(totals, DenialTotals::default());
    }

    #[test]
    fn who_was_told_of_longest_ago_goes_first() {
        let (book, acme) = (DenialBook::default(), "acme".parse().unwrap());
        for number in 0..=SANDBOXES_MAX as u128 {
            book.put(&acme, id(number), denials(1));
            book.put(&acme, id(0), denials(1));
        }
        assert!(book.sandbox(&acme, id(0)).is_some());
        assert!(book.sandbox(&acme, id(1)).is_none());
        assert_eq!(book.lock().by_age.len(), SANDBOXES_MAX);
    }
}
