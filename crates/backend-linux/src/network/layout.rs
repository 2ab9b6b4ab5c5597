//! Who has which address, and what everything is called.
//!
//! ```text
//!  sandbox netns          router netns (one per runner)       host netns
//!  ┌───────────┐          ┌───────────────────────────┐      ┌──────────────┐
//!  │ eth0 ─────┼──────────┼─ p<id>                    │      │              │
//!  │ 10.201.…/32          │   lo: 169.254.1.1, …::53  │      │   forwarding │
//!  └───────────┘          │   (resolver)       uplink ┼──────┼─ pal-<inst>  │
//!  ┌───────────┐          │   table inet palisade     │      │   table inet │
//!  │ eth0 ─────┼──────────┼─ p<id>                    │      │   palisade_… │
//!  └───────────┘          └───────────────────────────┘      └──────────────┘
//! ```
//!
//! Every cable is a link of its own: there is no bridge and no subnet, so that
//! sandboxes have no neighbours. Everything here is a function of the
//! configuration and the pools.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;

use super::config::{Instance, Pool4, Pool6};
use crate::netlink::interface::HardwareAddress;

/// The interface inside a sandbox.
pub(super) const INSIDE: &str = "eth0";
/// The interface of the router towards the host.
pub(super) const UPLINK: &str = "uplink";
/// The table of rules inside the router.
pub(super) const ROUTER_TABLE: &str = "palisade";
/// What the names of all uplinks on a host begin with.
pub(super) const HOST_UPLINK_PREFIX: &str = "pal-";
/// What the names of all tables on a host begin with.
pub(super) const HOST_TABLE_PREFIX: &str = "palisade_";

/// Where sandboxes find the router and its resolver.
pub(super) const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Where sandboxes find the router, version 6.
pub(super) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Locally administered. One pair does for all cables, as each is a link of its
/// own, and nothing ever has to ask for an address that is the same everywhere.
pub(super) const NEAR_HARDWARE: HardwareAddress = [0x02, 0x70, 0x61, 0x6c, 0x00, 0x01];
/// Of the end that is farther from the host.
pub(super) const FAR_HARDWARE: HardwareAddress = [0x02, 0x70, 0x61, 0x6c, 0x00, 0x02];

/// The addresses in front of the pool that no sandbox gets.
const RESERVED4: u32 = 4;
const RESERVED6: u128 = 0x1_0000;
const HOST: u8 = 1;
const ROUTER: u8 = 2;
const RESOLVER: u8 = 0x53;

/// The place of a sandbox in the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

/// One address of each version that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// Version 4.
    pub v4: Ipv4Addr,
    /// Version 6, unless this host does not know it.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(IpAddr::V4(self.v4)).chain(self.v6.map(IpAddr::V6))
    }
}

/// Names and addresses of one runner's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) instance: Instance,
    pub(super) pool4: Pool4,
    /// Absent if this host does not know version 6.
    pub(super) pool6: Option<Pool6>,
}

impl Layout {
    /// Some layout, to try rules with.
    pub(super) fn sample(instance: &Instance) -> Option<Self> {
        Some(Self {
            instance: instance.clone(),
            pool4: Pool4::automatic().next()?,
            pool6: Pool6::automatic(instance),
        })
    }

    /// The uplink as the host sees it.
    pub(super) fn host_uplink(&self) -> String {
        host_uplink(&self.instance)
    }

    /// The table of rules on the host.
    pub(super) fn host_table(&self) -> String {
        host_table(&self.instance)
    }

    /// The host's end of the uplink.
    pub(super) fn host(&self) -> Addresses {
        self.reserved(HOST)
    }

    /// The router's end of the uplink.
    pub(super) fn router(&self) -> Addresses {
        self.reserved(ROUTER)
    }

    /// Where the resolver listens.
    pub(super) fn resolver(&self) -> Addresses {
        Addresses {
            v4: GATEWAY4,
            v6: self.reserved(RESOLVER).v6,
        }
    }

    fn reserved(&self, place: u8) -> Addresses {
        let v6 = |pool: Pool6| Ipv6Addr::from_bits(pool.first().to_bits() + u128::from(place));
        Addresses {
            v4: Ipv4Addr::from_bits(self.pool4.first().to_bits() + u32::from(place)),
            v6: self.pool6.map(v6),
        }
    }

    /// How many sandboxes can have addresses at a time.
    pub(super) fn capacity(&self) -> u32 {
        // The last address is a broadcast address to whoever thinks of subnets.
        (1 << (32 - self.pool4.range().prefix_len())) - RESERVED4 - 1
    }

    /// The addresses of the sandbox at this place.
    pub(super) fn addresses(&self, slot: Slot) -> Addresses {
        let place6 = RESERVED6 + u128::from(slot.0);
        let v6 = |pool: Pool6| Ipv6Addr::from_bits(pool.first().to_bits() + place6);
        Addresses {
            v4: Ipv4Addr::from_bits(self.pool4.first().to_bits() + RESERVED4 + slot.0),
            v6: self.pool6.map(v6),
        }
    }

    /// The place of the sandbox that has this address.
    pub(super) fn slot(&self, address: Ipv4Addr) -> Option<Slot> {
        let offset = address
            .to_bits()
            .checked_sub(self.pool4.first().to_bits())?;
        let slot = offset.checked_sub(RESERVED4)?;
        (slot < self.capacity()).then_some(Slot(slot))
    }

    /// The pools as ranges.
    pub(super) fn pools(&self) -> impl Iterator<Item = Cidr> {
        std::iter::once(self.pool4.range()).chain(self.pool6.map(Pool6::range))
    }
}

/// The uplink of an instance as the host sees it.
pub(super) fn host_uplink(instance: &Instance) -> String {
    format!("{HOST_UPLINK_PREFIX}{instance}")
}

/// The table of rules of an instance on the host.
pub(super) fn host_table(instance: &Instance) -> String {
    format!("{HOST_TABLE_PREFIX}{instance}")
}

/// The interface of the router towards a sandbox.
///
/// The last 56 bits of the id are random, so that no two sandboxes that exist
/// at a time share a name; if ever they did, the second would be refused.
pub(super) fn interface(id: SandboxId) -> String {
    let uuid = id.as_uuid();
    format!("p{}", super::config::hex(&uuid.as_bytes()[9..]))
}

/// Whether an interface of the router belongs to a sandbox.
pub(super) fn is_sandbox_interface(name: &str) -> bool {
    name.len() == 15 && name.starts_with('p')
}
