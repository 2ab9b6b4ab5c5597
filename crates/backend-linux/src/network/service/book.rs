//! Who has which ports and addresses.
//!
//! Pure: whether the host has another use for a port is asked of the caller. What was
//! given back rests before somebody else gets it, so that whoever still knows it has
//! time to forget.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::policy::Door;
use palisade_model::pool::Rooms;
use tokio::time::Instant;

use super::addresses::Addresses;
use super::ports::{Ports, ports, run};
use super::settings::{NodePorts, Services};
use super::{Kind, Wish};
use crate::network::pool::Resting;

/// What a sandbox has in front of its doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    /// Its doors, in the order in which they were asked for.
    pub(crate) doors: Vec<Door>,
    pub(crate) place: Place,
}

/// Where that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At ports of the host, this one and those after it, as many as the sandbox has.
    Node { first: u16 },
    /// At these addresses, one of each version that the pool has.
    External { addresses: Vec<IpAddr> },
}

/// Why there is nothing for a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The runner offers no ports.
    #[error("this runner offers no node ports; start it with --node-ports")]
    NoNodePorts,
    /// The runner offers no addresses.
    #[error("this runner has no external addresses; start it with --address-pool")]
    NoPools,
    /// The profile names a pool that is none.
    #[error("this runner has no address pool {name:?}; it has: {known}")]
    UnknownPool {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Every port is taken, or not enough of them are side by side.
    #[error(
        "no {wanted} of the {count} node ports of this runner {range} are free side by side{}; \
         remove sandboxes, or give the runner more with --node-ports",
        Resting(*resting)
    )]
    PortsExhausted {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        count: usize,
        /// Which ones.
        range: NodePorts,
        /// How many will be free in a moment.
        resting: usize,
    },
    /// Every address is taken.
    #[error(
        "all {count} addresses of version {version} in the address pool {pool} are taken{}; \
         remove sandboxes, or give the runner more with --address-pool",
        Resting(*resting)
    )]
    AddressesExhausted {
        /// The pool.
        pool: String,
        /// The version.
        version: u8,
        /// How many there are.
        count: u32,
        /// How many will be free in a moment.
        resting: usize,
    },
}

impl BookError {
    /// Whether it may be another time.
    pub fn is_exhaustion(&self) -> bool {
        match self {
            Self::PortsExhausted { .. } | Self::AddressesExhausted { .. } => true,
            Self::NoNodePorts | Self::NoPools | Self::UnknownPool { .. } => false,
        }
    }
}

impl Booking {
    /// The number at the host of a port of the sandbox.
    pub(crate) fn node_door(&self, door: Door) -> Option<Door> {
        let Place::Node { first } = self.place else {
            return None;
        };
        let ports = ports(&self.doors);
        let place = ports.iter().position(|port| *port == door.port)?;
        let port = first.checked_add(u16::try_from(place).ok()?)?;
        Some(Door { port, ..door })
    }

    /// Every door at the host.
    pub(crate) fn node_doors(&self) -> Vec<Door> {
        let doors = self.doors.iter();
        doors.filter_map(|door| self.node_door(*door)).collect()
    }

    /// Where clients are sent, given the address of the host.
    pub(crate) fn address(&self, node: IpAddr) -> Option<SocketAddr> {
        match &self.place {
            Place::Node { first } => Some(SocketAddr::new(node, *first)),
            Place::External { addresses } => {
                let door = self.doors.first()?;
                let address = addresses.first()?;
                Some(SocketAddr::new(*address, door.port))
            }
        }
    }
}

/// Who has what, and what rests.
#[derive(Debug)]
pub(in crate::network) struct Book {
    ports: Option<Ports>,
    /// The usual one first.
    pools: Vec<Addresses>,
    by_id: HashMap<SandboxId, Booking>,
}

impl Book {
    /// A book with some entries; `start` differs from run to run, so that a
    /// restart does not begin with what was given back last.
    pub(in crate::network) fn new(
        services: &Services,
        rest: Duration,
        entries: HashMap<SandboxId, Booking>,
        start: u32,
    ) -> Self {
        let taken = entries.values().flat_map(|booking| match &booking.place {
            Place::Node { first } => run(*first, ports(&booking.doors).len()),
            Place::External { .. } => Vec::new(),
        });
        let taken = taken.collect();
        let ports = services.node_ports;
        let ports = ports.map(|range| Ports::new(range, rest, taken, start));
        let given = entries.values().flat_map(|booking| match &booking.place {
            Place::Node { .. } => Vec::new(),
            Place::External { addresses } => addresses.clone(),
        });
        let given = given.collect::<Vec<_>>();
        let pools = services.pools.iter();
        Self {
            ports,
            pools: pools
                .map(|pool| Addresses::new(pool, rest, &given, start))
                .collect(),
            by_id: entries,
        }
    }

    /// Books what a sandbox wishes, or finds what it has already. `is_free` tells whether the
    /// host has no other use for some ports.
    pub(in crate::network) fn enter(
        &mut self,
        id: SandboxId,
        wish: &Wish,
        now: Instant,
        is_free: impl Fn(&[Door]) -> bool,
    ) -> Result<Booking, BookError> {
        if let Some(booking) = self.by_id.get(&id) {
            return Ok(booking.clone());
        }
        let place = match &wish.kind {
            Kind::NodePort => {
                let offered = self.ports.as_mut().ok_or(BookError::NoNodePorts)?;
                let first = offered.take(&wish.doors, now, is_free)?;
                Place::Node { first }
            }
            Kind::LoadBalancer { pool } => {
                let addresses = self.pool(pool.as_deref())?.take(now)?;
                Place::External { addresses }
            }
        };
        let doors = wish.doors.clone();
        let booking = Booking { doors, place };
        self.by_id.insert(id, booking.clone());
        Ok(booking)
    }

    /// What a sandbox has.
    pub(in crate::network) fn get(&self, id: SandboxId) -> Option<&Booking> {
        self.by_id.get(&id)
    }

    /// How much there is of everything, and how much of it is booked or rests.
    pub(in crate::network) fn rooms(&self, now: Instant) -> Rooms {
        let pools = self.pools.iter();
        Rooms {
            node_ports: self.ports.as_ref().map(|ports| ports.room(now)),
            addresses: pools
                .map(|pool| (pool.name.clone(), pool.room(now)))
                .collect(),
            usual: self.pools.first().map(|pool| pool.name.clone()),
        }
    }

    /// Gives back what a sandbox has; tells whether that was anything.
    pub(in crate::network) fn release(&mut self, id: SandboxId, now: Instant) -> bool {
        let Some(booking) = self.by_id.remove(&id) else {
            return false;
        };
        match booking.place {
            Place::Node { first } => {
                if let Some(range) = &mut self.ports {
                    range.give_back(&run(first, ports(&booking.doors).len()), now);
                }
            }
            Place::External { addresses } => {
                for pool in &mut self.pools {
                    pool.give_back(&addresses, now);
                }
            }
        }
        true
    }

    fn pool(&mut self, name: Option<&str>) -> Result<&mut Addresses, BookError> {
        if self.pools.is_empty() {
            return Err(BookError::NoPools);
        }
        let place = match name {
            None => Some(0),
            Some(name) => self.pools.iter().position(|pool| pool.name == name),
        };
        let known = self.pools.iter().map(|pool| pool.name.as_str());
        let unknown = BookError::UnknownPool {
            name: name.unwrap_or_default().to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        };
        place
            .and_then(|place| self.pools.get_mut(place))
            .ok_or(unknown)
    }
}

#[cfg(test)]
mod tests;
