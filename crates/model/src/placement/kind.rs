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

/// The likenesses of all offers of a runner; one for all runners that offer the
/// same in the same order.
pub(super) type Menu = Arc<[Likeness]>;

/// What the runners of an organization share.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    likenesses: BTreeMap<ProfileId, Vec<Weak<Offer>>>,
    menus: Vec<Weak<[Likeness]>>,
}

/// The most kinds of one profile that are remembered; more are not shared.
const KINDS_MAX: usize = 32;

/// The most menus that are remembered; more are not shared.
const MENUS_MAX: usize = 256;

impl Kinds {
    /// The menu that the offers of a runner make. An offer that is the same as
    /// its likeness in everything shares what that one holds.
    pub(super) fn menu(&mut self, offers: &mut [Offer]) -> Menu {
        let likenesses = offers.iter_mut().map(|offer| self.likeness(offer));
        let likenesses = likenesses.collect::<Vec<_>>();
        let mut living = self.menus.iter().filter_map(Weak::upgrade);
        if let Some(menu) = living.find(|menu| is_same(menu, &likenesses)) {
            return menu;
        }
        let menu = Menu::from(likenesses);
        if self.menus.len() < MENUS_MAX {
            self.menus.push(Arc::downgrade(&menu));
        }
        menu
    }

    /// Forgets what no runner offers any more.
    pub(super) fn prune(&mut self) {
        self.menus.retain(|menu| menu.strong_count() > 0);
        self.likenesses.retain(|_, kinds| {
            kinds.retain(|kind| kind.strong_count() > 0);
            !kinds.is_empty()
        });
    }

    fn likeness(&mut self, offer: &mut Offer) -> Likeness {
        let known = self.likenesses.entry(offer.profile).or_default();
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

fn is_same(menu: &Menu, likenesses: &[Likeness]) -> bool {
    let pairs = menu.iter().zip(likenesses);
    menu.len() == likenesses.len()
        && pairs
            .into_iter()
            .all(|(one, other)| Arc::ptr_eq(one, other))
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
