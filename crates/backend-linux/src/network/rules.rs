//! The policy in force in the router.
//!
//! Owns the content of the router's table: which sandboxes are in it, of which
//! class, and what each class opens. A change is in force when the call that
//! makes it returns, and the kernel has it whole or not at all. Only
//! [`Rules::load`] runs a program; what a launch needs does not.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_model::policy::{EgressRules, Surroundings};
use palisade_model::profile::EgressMode;

use super::layout::{Addresses, Layout, ROUTER_TABLE};
use super::members::{self, Class, Classes, Member, Set, TooManyClasses};
use super::namespace::Namespace;
use super::nft::{self, NftError};
use super::openings::Openings;
use super::ruleset;
use crate::netlink::filter::{self, Kind};
use crate::netlink::{KernelError, Socket};

/// How many intervals of addresses one egress mode can open: they have to fit
/// into one transaction.
const INTERVALS_MAX: usize = 1024;

/// A sandbox as far as the rules know it.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) interface: String,
    pub(super) addresses: Addresses,
    pub(super) egress: EgressMode,
}

/// Where the table is, and what it is made from besides sandboxes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) namespace: Arc<Namespace>,
    pub(super) nft: PathBuf,
    pub(super) flows_max: NonZeroU32,
    pub(super) layout: Arc<Layout>,
}

/// Why a policy was not put in force. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The egress mode is too large.
    #[error(
        "the egress mode opens {len} separate address ranges, and at most {INTERVALS_MAX} \
         are possible; list fewer or wider ranges"
    )]
    TooManyIntervals {
        /// How many ranges it opens.
        len: usize,
    },
    /// There are too many different egress modes.
    #[error(transparent)]
    TooManyClasses(#[from] TooManyClasses),
    /// The kernel did not take it.
    #[error("the kernel refused the policy")]
    Kernel(#[from] KernelError),
    /// The whole table could not be loaded.
    #[error("the rules could not be loaded")]
    Load(#[from] NftError),
}

/// The table of the router.
#[derive(Debug)]
pub(super) struct Rules {
    place: Place,
    socket: Socket,
    surroundings: Surroundings,
    classes: Classes,
    /// By interface.
    sandboxes: BTreeMap<String, Admitted>,
}

#[derive(Clone, Debug)]
struct Admitted {
    sandbox: Bound,
    class: Class,
}

impl Rules {
    /// The rules of a router whose table is yet to be loaded.
    pub(super) fn new(place: Place, socket: Socket) -> Self {
        Self {
            place,
            socket,
            surroundings: Surroundings::default(),
            classes: Classes::default(),
            sandboxes: BTreeMap::new(),
        }
    }

    /// Puts a table for exactly these sandboxes in place of the one that is there.
    pub(super) fn load(
        &mut self,
        surroundings: Surroundings,
        sandboxes: Vec<Bound>,
    ) -> Result<(), RulesError> {
        let denied = self.denied_so_far()?;
        let mut classes = Classes::default();
        let mut admitted = BTreeMap::new();
        let mut members = Vec::new();
        for sandbox in sandboxes {
            let openings = openings(&sandbox.egress, &surroundings)?;
            let (class, _) = classes.enter(openings)?;
            let denied = denied.get(&sandbox.interface).copied().unwrap_or(0);
            members.extend(sandbox.members(class, denied));
            admitted.insert(sandbox.interface.clone(), Admitted { sandbox, class });
        }
        for (class, openings) in classes.iter() {
            members.extend(members::of_class(class, openings));
        }
        let text = ruleset::Router {
            layout: &self.place.layout,
            flows_max: self.place.flows_max,
            members: &members,
        }
        .text();
        nft::load(&self.place.nft, &self.place.namespace, &text)?;
        self.classes = classes;
        self.sandboxes = admitted;
        self.surroundings = surroundings;
        Ok(())
    }

    /// Works the policy of every sandbox out anew if what lies around them has
    /// changed. Returns whether it had.
    pub(super) fn refresh(&mut self, surroundings: Surroundings) -> Result<bool, RulesError> {
        if surroundings == self.surroundings {
            return Ok(false);
        }
        let sandboxes = self
            .sandboxes
            .values()
            .map(|admitted| admitted.sandbox.clone());
        self.load(surroundings, sandboxes.collect())?;
        Ok(true)
    }

    /// Puts the policy of one more sandbox in force.
    pub(super) fn admit(&mut self, sandbox: Bound) -> Result<(), RulesError> {
        let openings = openings(&sandbox.egress, &self.surroundings)?;
        let (class, is_new) = self.classes.enter(openings.clone())?;
        let mut members = sandbox.members(class, 0);
        if is_new {
            members.extend(members::of_class(class, &openings));
        }
        let added = self.apply(&[(Kind::Add, &members)]);
        if added.is_err() {
            self.classes.leave(class);
            return added;
        }
        let name = sandbox.interface.clone();
        self.sandboxes.insert(name, Admitted { sandbox, class });
        Ok(())
    }

    /// Puts another policy in place of that of a sandbox. Flows that are open
    /// stay open; ending them is the caller's work.
    pub(super) fn change(&mut self, interface: &str, egress: EgressMode) -> Result<(), RulesError> {
        let Some(Admitted {
            sandbox,
            class: old,
        }) = self.sandboxes.get(interface).cloned()
        else {
            return Ok(());
        };
        let openings = openings(&egress, &self.surroundings)?;
        let (new, is_new) = self.classes.enter(openings.clone())?;
        let of_class = |class| members::sources(interface, sandbox.addresses, class);
        let mut gone = of_class(old).collect::<Vec<_>>();
        if let Some(openings) = self.classes.openings_if_last(old) {
            gone.extend(members::of_class(old, &openings));
        }
        let mut come = of_class(new).collect::<Vec<_>>();
        if is_new {
            come.extend(members::of_class(new, &openings));
        }
        let changed = self.apply(&[(Kind::Remove, &gone), (Kind::Add, &come)]);
        if changed.is_err() {
            self.classes.leave(new);
            return changed;
        }
        self.classes.leave(old);
        if let Some(admitted) = self.sandboxes.get_mut(interface) {
            admitted.class = new;
            admitted.sandbox.egress = egress;
        }
        Ok(())
    }

    /// Closes everything to a sandbox. Succeeds if parts of it are gone already.
    pub(super) fn expel(&mut self, interface: &str) -> Result<(), RulesError> {
        let Some(Admitted { sandbox, class }) = self.sandboxes.get(interface).cloned() else {
            return Ok(());
        };
        let mut members = sandbox.members(class, 0);
        if let Some(openings) = self.classes.openings_if_last(class) {
            members.extend(members::of_class(class, &openings));
        }
        match self.apply(&[(Kind::Remove, &members)]) {
            Err(RulesError::Kernel(error)) if error.is_absent() => self.remove_each(&members)?,
            other => other?,
        }
        // Only there if it ever opened a flow, which it cannot do any more.
        self.remove_each(&[Member::Flows(interface.to_owned())])?;
        self.classes.leave(class);
        self.sandboxes.remove(interface);
        Ok(())
    }

    /// How many packets of this sandbox were refused.
    pub(super) fn denied(&mut self, interface: &str) -> Result<u64, KernelError> {
        let key = members::interface_key(interface);
        let found = filter::count(&mut self.socket, ROUTER_TABLE, Set::Denied.name(), &key)?;
        Ok(found.unwrap_or(0))
    }

    fn denied_so_far(&mut self) -> Result<HashMap<String, u64>, RulesError> {
        if !filter::has_table(&mut self.socket, ROUTER_TABLE)? {
            return Ok(HashMap::new());
        }
        let counts = match filter::counts(&mut self.socket, ROUTER_TABLE, Set::Denied.name()) {
            // A table of another version, without this set.
            Err(error) if error.is_absent() => Vec::new(),
            other => other?,
        };
        let named = |(key, count): (Vec<u8>, u64)| {
            Some((members::interface_of_key(&key)?.to_owned(), count))
        };
        Ok(counts.into_iter().filter_map(named).collect())
    }

    fn remove_each(&mut self, members: &[Member]) -> Result<(), RulesError> {
        for member in members {
            match self.apply(&[(Kind::Remove, std::slice::from_ref(member))]) {
                Err(RulesError::Kernel(error)) if error.is_absent() => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn apply(&mut self, members: &[(Kind, &[Member])]) -> Result<(), RulesError> {
        let changes = members
            .iter()
            .flat_map(|(kind, members)| members::changes(*kind, members))
            .collect::<Vec<_>>();
        filter::apply(&mut self.socket, ROUTER_TABLE, &changes)?;
        Ok(())
    }
}

impl Bound {
    fn members(&self, class: Class, denied: u64) -> Vec<Member> {
        members::of_sandbox(&self.interface, self.addresses, class, denied)
    }
}

fn openings(egress: &EgressMode, surroundings: &Surroundings) -> Result<Openings, RulesError> {
    let openings = Openings::new(&EgressRules::new(egress, surroundings));
    let len = openings.intervals.len();
    if len > INTERVALS_MAX {
        return Err(RulesError::TooManyIntervals { len });
    }
    Ok(openings)
}
