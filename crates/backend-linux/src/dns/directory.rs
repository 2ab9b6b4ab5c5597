//! Who is behind a source address, what it may ask, and which names it may know.
//!
//! Kept by the network, read by the resolver. The router lets no packet pass
//! whose source address is not that of the sandbox it comes from, so that the
//! address is proof enough. Each entry carries the egress rules that the router
//! enforces for that sandbox, made from the same surroundings, and the standing
//! that decides between sandboxes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use palisade_model::id::SandboxId;
use palisade_model::policy::{Dns, EgressRules, Standing, Surroundings};
use tokio::time::Instant;

use super::allowance::Allowance;
use super::sandbox_name::SandboxName;
use crate::network::Addresses;

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
}

#[derive(Debug, Default)]
struct Entries {
    surroundings: Surroundings,
    askers: HashMap<IpAddr, Arc<Asker>>,
    by_id: HashMap<SandboxId, Arc<Asker>>,
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
        };
        entries.enter(Arc::new(asker));
    }

    /// Lets a sandbox ask no more, and takes its name away.
    pub(crate) fn remove(&self, addresses: Addresses) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses.iter() {
            if let Some(asker) = entries.askers.remove(&address) {
                entries.by_id.remove(&asker.id);
            }
        }
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
