//! The policy in force in the router.
//!
//! Owns the content of the router's table: which sandboxes are in it, of which
//! class, and what each class opens. A change is in force when the call that
//! makes it returns, and the kernel has it whole or not at all. Only
//! [`Rules::load`] runs a program; what a launch needs does not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_model::policy::{self, Claim, EgressRules, Standing, Surroundings};
use palisade_model::profile::{EgressMode, Scope};

use super::layout::{Addresses, Layout, ROUTER_TABLE};
use super::members::{self, Member, Set};
use super::namespace::Namespace;
use super::nft::{self, NftError};
use super::numbers::{Mark, Numbers, TooManyKinds};
use super::openings::Openings;
use super::ruleset;
use super::service::{self, Booking, Front};
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
    pub(super) standing: Standing,
    /// What leads to it besides its addresses.
    pub(super) booking: Option<Booking>,
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
    /// There are too many different egress modes or owners.
    #[error(transparent)]
    TooManyKinds(#[from] TooManyKinds),
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
    kinds: Kinds,
    /// By interface.
    sandboxes: BTreeMap<String, Admitted>,
    /// Where the HTTP entry point is.
    entries: BTreeSet<u16>,
}

/// How many packets were refused, by interface.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// That came from it.
    pub(super) denied: HashMap<String, u64>,
    /// That came from outside and were for it.
    pub(super) turned_away: HashMap<String, u64>,
}

/// What sandboxes have in common, by number.
#[derive(Debug, Default)]
struct Kinds {
    classes: Numbers<Openings>,
    claims: Numbers<Claim>,
}

/// What the table holds for some sandboxes.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    kinds: Kinds,
    sandboxes: BTreeMap<String, Admitted>,
    pub(super) members: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Admitted {
    sandbox: Bound,
    numbers: Numbered,
}

/// A standing, in numbers.
#[derive(Clone, Debug)]
struct Numbered {
    class: Mark,
    /// The claims that it holds.
    held: Vec<Mark>,
    /// The claims that its doors take.
    taken: Vec<Mark>,
}

impl Rules {
    /// The rules of a router whose table is yet to be loaded.
    pub(super) fn new(place: Place, socket: Socket) -> Self {
        Self {
            place,
            socket,
            surroundings: Surroundings::default(),
            kinds: Kinds::default(),
            sandboxes: BTreeMap::new(),
            entries: BTreeSet::new(),
        }
    }

    /// Puts a table for exactly these sandboxes in place of the one that is there.
    pub(super) fn load(
        &mut self,
        surroundings: Surroundings,
        sandboxes: Vec<Bound>,
    ) -> Result<(), RulesError> {
        let tallies = self.tallies()?;
        let Compiled {
            kinds,
            sandboxes,
            mut members,
        } = compile(&surroundings, sandboxes, &tallies)?;
        members.extend(self.place.node_addresses(&surroundings));
        members.extend(self.entries.iter().copied().map(Member::Entry));
        let text = ruleset::Router {
            layout: &self.place.layout,
            flows_max: self.place.flows_max,
            members: &members,
        }
        .text();
        nft::load(&self.place.nft, &self.place.namespace, &text)?;
        self.kinds = kinds;
        self.sandboxes = sandboxes;
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
        let openings = openings(&sandbox.standing.egress, &self.surroundings)?;
        let (numbers, is_new) = self.kinds.enter(&sandbox.standing, openings.clone())?;
        let mut members = sandbox.members(&numbers);
        members.extend(counters(&sandbox.interface));
        if is_new {
            members.extend(members::of_class(numbers.class, &openings));
        }
        let added = self.apply(&[(Kind::Add, &members)]);
        if added.is_err() {
            self.kinds.leave(&numbers);
            return added;
        }
        let name = sandbox.interface.clone();
        self.sandboxes.insert(name, Admitted { sandbox, numbers });
        Ok(())
    }

    /// Puts another policy in place of that of a sandbox. Flows that are open
    /// stay open; ending them is the caller's work.
    pub(super) fn change(&mut self, interface: &str, standing: Standing) -> Result<(), RulesError> {
        let Some(Admitted {
            sandbox: before,
            numbers: old,
        }) = self.sandboxes.get(interface).cloned()
        else {
            return Ok(());
        };
        let openings = openings(&standing.egress, &self.surroundings)?;
        let (new, is_new) = self.kinds.enter(&standing, openings.clone())?;
        let after = Bound {
            standing,
            ..before.clone()
        };
        let mut gone = before.members(&old);
        if let Some(openings) = self.kinds.classes.value_if_last(old.class) {
            gone.extend(members::of_class(old.class, &openings));
        }
        let mut come = after.members(&new);
        if is_new {
            come.extend(members::of_class(new.class, &openings));
        }
        let changed = self.apply(&[(Kind::Remove, &gone), (Kind::Add, &come)]);
        if changed.is_err() {
            self.kinds.leave(&new);
            return changed;
        }
        self.kinds.leave(&old);
        let admitted = Admitted {
            sandbox: after,
            numbers: new,
        };
        self.sandboxes.insert(interface.to_owned(), admitted);
        Ok(())
    }

    /// Closes everything to a sandbox. Succeeds if parts of it are gone already.
    pub(super) fn expel(&mut self, interface: &str) -> Result<(), RulesError> {
        let Some(Admitted { sandbox, numbers }) = self.sandboxes.get(interface).cloned() else {
            return Ok(());
        };
        let mut members = sandbox.members(&numbers);
        members.extend(counters(interface));
        if let Some(openings) = self.kinds.classes.value_if_last(numbers.class) {
            members.extend(members::of_class(numbers.class, &openings));
        }
        match self.apply(&[(Kind::Remove, &members)]) {
            Err(RulesError::Kernel(error)) if error.is_absent() => self.remove_each(&members)?,
            other => other?,
        }
        self.kinds.leave(&numbers);
        self.sandboxes.remove(interface);
        Ok(())
    }

    /// Removes what packets of sandboxes left, once none can come any more.
    pub(super) fn sweep(&mut self, interfaces: &[&str]) -> Result<(), RulesError> {
        let members = interfaces.iter().flat_map(|interface| {
            let name = || (*interface).to_owned();
            let members = [
                Member::Flows(name()),
                Member::Shown(name()),
                Member::ShownIn(name()),
                Member::Visits(name()),
            ];
            members.map(|member| (*interface, member))
        });
        let mut left = Vec::new();
        for (interface, member) in members {
            // Looked for, as the kernel takes its time to undo a transaction that
            // removes what is not there.
            let (set, key) = (member.set().name(), members::interface_key(interface));
            if filter::has(&mut self.socket, ROUTER_TABLE, set, &key)? {
                left.push(member);
            }
        }
        self.apply(&[(Kind::Remove, &left)])
    }

    /// Whether others may open flows to a sandbox.
    pub(super) fn is_exposed(&self, interface: &str) -> bool {
        let admitted = self.sandboxes.get(interface);
        admitted.is_some_and(|admitted| !admitted.numbers.taken.is_empty())
    }

    /// What leads where by the table that is there, which an earlier run may have
    /// loaded.
    pub(super) fn front(&mut self) -> Result<Front, RulesError> {
        if !filter::has_table(&mut self.socket, ROUTER_TABLE)? {
            return Ok(Front::default());
        }
        Ok(Front::read(&mut self.socket)?)
    }

    /// How many packets of this sandbox were refused.
    pub(super) fn denied(&mut self, interface: &str) -> Result<u64, KernelError> {
        self.count(Set::Denied, interface)
    }

    /// How many packets that came from outside for this sandbox were refused.
    pub(super) fn turned_away(&mut self, interface: &str) -> Result<u64, KernelError> {
        self.count(Set::TurnedAway, interface)
    }

    /// Lets those who may come to the HTTP entry point come to these ports.
    pub(super) fn offer_entry(&mut self, ports: BTreeSet<u16>) -> Result<(), RulesError> {
        let members = ports.difference(&self.entries);
        let members = members.copied().map(Member::Entry).collect::<Vec<_>>();
        self.apply(&[(Kind::Add, &members)])?;
        self.entries.extend(ports);
        Ok(())
    }

    /// A claim that a caller holds and that the doors of a target take.
    pub(super) fn common_claim(&self, caller: &str, target: &str) -> Option<Mark> {
        let held = &self.sandboxes.get(caller)?.numbers.held;
        let taken = &self.sandboxes.get(target)?.numbers.taken;
        held.iter().find(|claim| taken.contains(claim)).copied()
    }

    fn count(&mut self, set: Set, interface: &str) -> Result<u64, KernelError> {
        let key = members::interface_key(interface);
        let found = filter::count(&mut self.socket, ROUTER_TABLE, set.name(), &key)?;
        Ok(found.unwrap_or(0))
    }

    fn tallies(&mut self) -> Result<Tallies, RulesError> {
        if !filter::has_table(&mut self.socket, ROUTER_TABLE)? {
            return Ok(Tallies::default());
        }
        Ok(Tallies {
            denied: self.counts(Set::Denied)?,
            turned_away: self.counts(Set::TurnedAway)?,
        })
    }

    fn counts(&mut self, set: Set) -> Result<HashMap<String, u64>, RulesError> {
        let counts = match filter::counts(&mut self.socket, ROUTER_TABLE, set.name()) {
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

/// What counts the refusals of a sandbox that is new.
fn counters(interface: &str) -> [Member; 2] {
    let name = || interface.to_owned();
    [Member::Denied(name(), 0), Member::TurnedAway(name(), 0)]
}

/// Works out what the table holds for these sandboxes.
pub(super) fn compile(
    surroundings: &Surroundings,
    sandboxes: Vec<Bound>,
    tallies: &Tallies,
) -> Result<Compiled, RulesError> {
    let mut compiled = Compiled::default();
    for sandbox in sandboxes {
        let openings = openings(&sandbox.standing.egress, surroundings)?;
        let (numbers, _) = compiled.kinds.enter(&sandbox.standing, openings)?;
        let name = sandbox.interface.clone();
        let so_far = |tally: &HashMap<String, u64>| tally.get(&name).copied().unwrap_or(0);
        compiled.members.extend([
            Member::Denied(name.clone(), so_far(&tallies.denied)),
            Member::TurnedAway(name.clone(), so_far(&tallies.turned_away)),
        ]);
        compiled.members.extend(sandbox.members(&numbers));
        compiled
            .sandboxes
            .insert(name, Admitted { sandbox, numbers });
    }
    for (class, openings) in compiled.kinds.classes.iter() {
        let members = members::of_class(class, openings);
        compiled.members.extend(members);
    }
    Ok(compiled)
}

impl Bound {
    /// Everything of a sandbox but its counts of refusals and what its class opens.
    fn members(&self, numbers: &Numbered) -> Vec<Member> {
        let exposed = self.standing.exposed.iter();
        let doors = exposed
            .clone()
            .flat_map(|exposed| exposed.doors.iter().copied());
        let mut taken = numbers.taken.clone();
        if exposed.clone().any(|exposed| exposed.scope == Scope::Any) {
            taken.push(Mark::STRANGER);
        }
        members::sources(&self.interface, self.addresses, numbers.class)
            .chain(members::held(&self.interface, &numbers.held))
            .chain(members::doors(self.addresses, &taken, doors))
            .chain(self.leads())
            .collect()
    }

    fn leads(&self) -> Vec<Member> {
        let booking = self.booking.as_ref();
        booking.map_or_else(Vec::new, |booking| {
            service::members(booking, self.addresses)
        })
    }
}

impl Place {
    /// The addresses at which ports of the host are found from here: the host sends what is for
    /// one of them to the router's own, and sandboxes name the host's.
    fn node_addresses(&self, surroundings: &Surroundings) -> Vec<Member> {
        let is_outward = |address: &IpAddr| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        };
        let host = surroundings.host.iter().map(|range| range.first());
        let uplink = self.layout.router().iter().chain(self.layout.host().iter());
        let all = host.filter(is_outward).chain(uplink);
        let all = all.collect::<BTreeSet<_>>();
        all.into_iter().map(Member::NodeAddress).collect()
    }
}

impl Kinds {
    /// Counts one more sandbox; tells whether it is the first one of its class.
    fn enter(
        &mut self,
        standing: &Standing,
        openings: Openings,
    ) -> Result<(Numbered, bool), TooManyKinds> {
        let (class, is_new) = self.classes.enter(openings)?;
        let claims = self.claims.enter_all(policy::claims(standing));
        let both = claims.and_then(|held| {
            let taken = self.claims.enter_all(policy::taken(standing));
            taken.map(|taken| (held.clone(), taken)).inspect_err(|_| {
                self.claims.leave_all(&held);
            })
        });
        match both {
            Ok((held, taken)) => Ok((Numbered { class, held, taken }, is_new)),
            Err(error) => {
                self.classes.leave(class);
                Err(error)
            }
        }
    }

    fn leave(&mut self, numbers: &Numbered) {
        let Numbered { class, held, taken } = numbers;
        self.classes.leave(*class);
        self.claims.leave_all(held);
        self.claims.leave_all(taken);
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
