//! Offers of different runners that come out the same.
//!
//! A hundred runners that bind one profile mostly make the same of it. What a
//! request lacks of the profile alone is then the same for all of them, and is
//! found out once, with the first of them as a likeness of the others. They may
//! differ in where a field came from, which nothing is judged by.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::id::ProfileId;

use super::offer::Offer;

/// An offer that stands for all that come out the same.
pub(super) type Likeness = Arc<Offer>;

/// The likenesses that the runners of an organization share.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds(BTreeMap<ProfileId, Vec<Weak<Offer>>>);

/// The most kinds of one profile that are remembered; more are not shared.
const KINDS_MAX: usize = 32;

impl Kinds {
    /// The likeness of an offer, or a new one if it is the first of its kind. An
    /// offer that is the same in everything shares what the likeness holds.
    pub(super) fn share(&mut self, offer: &mut Offer) -> Likeness {
        let known = self.0.entry(offer.profile).or_default();
        known.retain(|kind| kind.strong_count() > 0);
        let mut living = known.iter().filter_map(Weak::upgrade);
        if let Some(kind) = living.find(|kind| is_alike(kind, offer)) {
            if kind.spec == offer.spec {
                offer.spec.clone_from(&kind.spec);
            }
            return kind;
        }
        let kind = Arc::new(offer.clone());
        if known.len() < KINDS_MAX {
            known.push(Arc::downgrade(&kind));
        }
        kind
    }
}

fn is_alike(one: &Offer, other: &Offer) -> bool {
    let is_same = one.profile == other.profile
        && one.name == other.name
        && one.display_name == other.display_name;
    match (&one.spec, &other.spec) {
        (Ok(one), Ok(other)) => is_same && one.spec == other.spec,
        (Err(one), Err(other)) => is_same && one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
