//! Who is behind a source address, and what it may ask.
//!
//! Kept by the network, read by the resolver. The router lets no packet pass
//! whose source address is not that of the sandbox it comes from, so that the
//! address is proof enough.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use palisade_model::profile::EgressMode;

/// Which names are looked up for a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None.
    Refused,
    /// All; answers lose addresses that are not part of the public internet.
    PublicOnly,
    /// All, with whatever addresses they have.
    All,
}

impl Names {
    /// Those that an egress mode allows.
    pub fn of(mode: &EgressMode) -> Self {
        match mode {
            EgressMode::Internet => Self::PublicOnly,
            EgressMode::Allowlist(_) => Self::All,
            EgressMode::None | EgressMode::User | EgressMode::Org | EgressMode::Profile => {
                Self::Refused
            }
        }
    }
}

/// The sandboxes by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<HashMap<IpAddr, Names>>>);

impl Directory {
    /// Lets a sandbox ask, in place of what it could ask before.
    pub(crate) fn insert(&self, addresses: impl Iterator<Item = IpAddr>, names: Names) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.extend(addresses.map(|address| (address, names)));
    }

    /// Lets a sandbox ask no more.
    pub(crate) fn remove(&self, addresses: impl Iterator<Item = IpAddr>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            entries.remove(&address);
        }
    }

    /// What the sandbox with this address may ask.
    pub fn names(&self, address: IpAddr) -> Names {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&address).copied().unwrap_or(Names::Refused)
    }
}
