//! Who is behind a source address, and what it may ask.
//!
//! Kept by the network, read by the resolver. The router lets no packet pass
//! whose source address is not that of the sandbox it comes from, so that the
//! address is proof enough. Each entry carries the egress rules that the router
//! enforces for that sandbox, made from the same surroundings.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use palisade_model::policy::{Dns, EgressRules, Surroundings};
use palisade_model::profile::EgressMode;
use tokio::time::Instant;

use super::allowance::Allowance;

/// The sandboxes by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<Entries>>);

/// A sandbox that may come to the resolver.
#[derive(Debug)]
pub(super) struct Asker {
    mode: EgressMode,
    rules: EgressRules,
    /// Shared by the addresses of the sandbox.
    pub(super) allowance: Arc<Allowance>,
}

#[derive(Debug, Default)]
struct Entries {
    surroundings: Surroundings,
    askers: HashMap<IpAddr, Arc<Asker>>,
}

impl Directory {
    /// Makes the rules from other surroundings, those of all sandboxes included.
    pub(crate) fn surround(&self, surroundings: Surroundings) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Entries {
            surroundings: here,
            askers,
        } = &mut *entries;
        *here = surroundings;
        for asker in askers.values_mut() {
            *asker = Arc::new(Asker {
                mode: asker.mode.clone(),
                rules: EgressRules::new(&asker.mode, here),
                allowance: Arc::clone(&asker.allowance),
            });
        }
    }

    /// Lets a sandbox ask, in place of what it could ask before.
    pub(crate) fn insert(&self, addresses: impl Iterator<Item = IpAddr>, mode: &EgressMode) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let asker = Arc::new(Asker {
            mode: mode.clone(),
            rules: EgressRules::new(mode, &entries.surroundings),
            allowance: Arc::new(Allowance::new(Instant::now())),
        });
        entries
            .askers
            .extend(addresses.map(|address| (address, Arc::clone(&asker))));
    }

    /// Lets a sandbox ask no more.
    pub(crate) fn remove(&self, addresses: impl Iterator<Item = IpAddr>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            entries.askers.remove(&address);
        }
    }

    /// The sandbox that has this address.
    pub(super) fn find(&self, address: IpAddr) -> Option<Arc<Asker>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.askers.get(&address).map(Arc::clone)
    }
}

impl Asker {
    /// Whether names are looked up for it at all.
    pub(super) fn may_ask(&self) -> bool {
        match self.rules.dns {
            Dns::Forward => true,
            // Names of sandboxes are not served, and no mode that needs them is
            // supported by the network.
            Dns::Off | Dns::SandboxNamesOnly => false,
        }
    }

    /// Whether it may open connections to this address.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        self.rules.address(address).is_allowed()
    }
}
