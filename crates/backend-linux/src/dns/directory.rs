//! Who is behind a source address, what it may ask, and which names it may know.
//!
//! Kept by the network, read by the resolver. The router lets no packet pass
//! whose source address is not that of the sandbox it comes from, so that the
//! address is proof enough. Each entry carries the egress rules that the router
//! enforces for that sandbox, made from the same surroundings, and the standing
//! that decides between sandboxes, and so who may come to whom by its host name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hickory_proto::rr::Name;
use palisade_http_router::{Caller, Visitor};
use palisade_model::id::SandboxId;
use palisade_model::policy::{self, Dns, Door, EgressRules, Knock, Standing, Surroundings};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;
use super::sandbox_name::SandboxName;
use crate::network::Addresses;

/// How many connections a sandbox may have to the HTTP entry point.
const CONNECTIONS_MAX: usize = 128;

/// The sandboxes by their addresses and by their ids.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<Entries>>);

/// A sandbox that may come to the resolver.
#[derive(Debug)]
pub(super) struct Asker {
    id: SandboxId,
    addresses: Addresses,
    standing: Standing,
    rules: EgressRules,
    /// Shared by the addresses of the sandbox.
    pub(super) allowance: Arc<Allowance>,
    /// How many of its questions were refused.
    refused: Arc<AtomicU64>,
    /// Bounds its connections to the HTTP entry point.
    connections: Arc<Semaphore>,
    /// Ends them.
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Entries {
    surroundings: Surroundings,
    askers: HashMap<IpAddr, Arc<Asker>>,
    by_id: HashMap<SandboxId, Arc<Asker>>,
    /// In lower case, without a dot at the end.
    hosts: HashMap<String, Host>,
    /// Where sandboxes find the HTTP entry point, if there is one.
    entry: Option<Addresses>,
}

/// What a host name of the HTTP entry point leads to.
#[derive(Clone, Copy, Debug)]
struct Host {
    sandbox: SandboxId,
    door: Door,
}

impl Directory {
    /// Makes the rules from other surroundings, those of all sandboxes included.
    pub(crate) fn surround(&self, surroundings: Surroundings) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.surroundings = surroundings;
        let known = entries.by_id.values().map(Arc::clone).collect::<Vec<_>>();
        for asker in known {
            let renewed = Asker {
                id: asker.id,
                addresses: asker.addresses,
                standing: asker.standing.clone(),
                rules: EgressRules::new(&asker.standing.egress, &entries.surroundings),
                allowance: Arc::clone(&asker.allowance),
                refused: Arc::clone(&asker.refused),
                connections: Arc::clone(&asker.connections),
                gone: asker.gone.clone(),
            };
            entries.enter(Arc::new(renewed));
        }
    }

    /// What lies around the sandboxes, as it was last found.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.surroundings.clone()
    }

    /// Lets a sandbox ask, in place of what it could ask before, and gives it a
    /// name for those who may call it.
    pub(crate) fn insert(&self, id: SandboxId, addresses: Addresses, standing: &Standing) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let asker = Asker {
            id,
            addresses,
            standing: standing.clone(),
            rules: EgressRules::new(&standing.egress, &entries.surroundings),
            allowance: Arc::new(Allowance::new(Instant::now())),
            refused: Arc::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            gone: CancellationToken::new(),
        };
        if let Some(before) = entries.by_id.get(&id) {
            before.gone.cancel();
        }
        entries.enter(Arc::new(asker));
    }

    /// Lets a sandbox ask no more, takes its name away, and ends what it has at the HTTP entry point.
    pub(crate) fn remove(&self, addresses: Addresses) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses.iter() {
            if let Some(asker) = entries.askers.remove(&address) {
                entries.by_id.remove(&asker.id);
                asker.gone.cancel();
            }
        }
    }

    /// Says where sandboxes find the HTTP entry point.
    pub(crate) fn tell_entry(&self, at: Addresses) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.entry = Some(at);
    }

    /// Gives a sandbox a host name at the HTTP entry point, for those who may come to this door.
    pub(crate) fn name_host(&self, name: &str, sandbox: SandboxId, door: Door) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = name.to_ascii_lowercase();
        entries.hosts.insert(name, Host { sandbox, door });
    }

    /// Takes the host name of a sandbox away; does nothing if it has none.
    pub(crate) fn unname_host(&self, sandbox: SandboxId) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.hosts.retain(|_, host| host.sandbox != sandbox);
    }

    /// Who comes to the HTTP entry point from this address.
    pub(crate) fn caller(&self, address: IpAddr) -> Option<Caller> {
        let asker = self.find(address)?;
        Some(Caller {
            sandbox: asker.id,
            room: Arc::clone(&asker.connections),
            gone: asker.gone.clone(),
        })
    }

    /// Whether somebody may come to this door of a sandbox.
    pub(crate) fn admits(&self, visitor: Visitor, target: SandboxId, door: Door) -> bool {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = entries.by_id.get(&target) else {
            return false;
        };
        let target = &target.standing;
        let verdict = match visitor {
            Visitor::Stranger => policy::admits(
                target.party(),
                target.exposed.as_ref(),
                Knock::At(door),
                policy::Visitor::Stranger,
            ),
            Visitor::Sandbox(caller) => match entries.by_id.get(&caller) {
                Some(caller) => caller.standing.reaches(target, Knock::At(door)),
                None => return false,
            },
        };
        verdict.is_allowed()
    }

    /// How many questions of a sandbox were refused; zero if it is not known.
    pub(crate) fn refused(&self, id: SandboxId) -> u64 {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let asker = entries.by_id.get(&id);
        asker.map_or(0, |asker| asker.refused.load(Ordering::Relaxed))
    }

    /// The sandbox that has this address.
    pub(super) fn find(&self, address: IpAddr) -> Option<Arc<Asker>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.askers.get(&address).map(Arc::clone)
    }

    /// The addresses behind the name of a sandbox, if it exists for this one.
    pub(super) fn look_up(&self, asker: &Asker, name: &SandboxName) -> Option<Addresses> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let target = entries.by_id.get(&name.id)?;
        let verdict = asker.standing.sees(&target.standing, &name.level);
        verdict.is_allowed().then_some(target.addresses)
    }

    /// Where a host name of the HTTP entry point is found, if it exists for this one.
    pub(super) fn look_up_host(&self, asker: &Asker, name: &Name) -> Option<Addresses> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let text = name.to_ascii().to_ascii_lowercase();
        let host = entries.hosts.get(text.trim_end_matches('.'))?;
        let target = entries.by_id.get(&host.sandbox)?;
        let knock = Knock::At(host.door);
        let verdict = asker.standing.reaches(&target.standing, knock);
        entries.entry.filter(|_| verdict.is_allowed())
    }
}

impl Entries {
    fn enter(&mut self, asker: Arc<Asker>) {
        let addresses = asker.addresses.iter();
        self.askers
            .extend(addresses.map(|address| (address, Arc::clone(&asker))));
        self.by_id.insert(asker.id, asker);
    }
}

impl Asker {
    /// Which names are looked up for it.
    pub(super) fn dns(&self) -> Dns {
        self.rules.dns
    }

    /// Whether it may open connections to this address.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        self.rules.address(address).is_allowed()
    }

    /// Counts a question, or a part of an answer, that was refused.
    pub(super) fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
