//! The router: a network namespace through which everything of the sandboxes
//! goes, kept beyond the life of the runner.
//!
//! What it holds is its own record. Its routes say which sandbox has which
//! address and which pools are in use, so that a runner that starts again reads
//! them back instead of remembering them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use palisade_model::cidr::Cidr;

use super::layout::{Layout, NEAR_HARDWARE, Slot, UPLINK, is_sandbox_interface};
use super::namespace::Namespace;
use super::sysctl::{self, SysctlError};
use crate::netlink::interface::{self, LOOPBACK_INDEX};
use crate::netlink::route::{self, RouteKind, Way};
use crate::netlink::{KernelError, Socket};

/// Why the router could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The namespace could not be made, kept or entered.
    #[error("could not make or enter the router's network namespace")]
    Namespace(#[from] io::Error),
    /// The kernel refused something.
    #[error("the kernel refused a change to the router")]
    Kernel(#[from] KernelError),
    /// A setting could not be changed.
    #[error("a setting of the router could not be changed")]
    Setting(#[from] SysctlError),
}

/// What the router holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The pools that its sandboxes have their addresses from.
    pub(super) pools: Vec<Cidr>,
    /// The addresses behind each sandbox's interface, possibly none yet.
    pub(super) sandboxes: BTreeMap<String, Vec<IpAddr>>,
}

/// Finds the router that is kept at this path, or makes one. Returns whether it
/// is new.
pub(super) fn find_or_make(path: &Path) -> io::Result<(Namespace, bool)> {
    if let Some(kept) = Namespace::kept_at(path)? {
        return Ok((kept, false));
    }
    let made = Namespace::make()?;
    made.keep_at(path)?;
    Ok((made, true))
}

/// Reads back what the router holds.
pub(super) fn read(socket: &mut Socket) -> Result<Found, RouterError> {
    let mut found = Found::default();
    let mut names = BTreeMap::new();
    for interface in interface::list(socket)? {
        if is_sandbox_interface(&interface.name) {
            names.insert(interface.index, interface.name.clone());
            found.sandboxes.insert(interface.name, Vec::new());
        }
    }
    for route in route::list(socket)? {
        let Some(destination) = route.destination.filter(|_| route.is_main) else {
            continue;
        };
        if route.kind == RouteKind::Unreachable {
            found.pools.push(destination);
        }
        let names = route.interfaces.iter().filter_map(|index| names.get(index));
        for name in names {
            let addresses = found.sandboxes.entry(name.clone()).or_default();
            addresses.push(destination.first());
        }
    }
    Ok(found)
}

impl Found {
    /// The places of the sandboxes that are connected completely, by interface.
    pub(super) fn slots(&self, layout: &Layout) -> BTreeMap<String, Slot> {
        let slot = |addresses: &Vec<IpAddr>| {
            let slot = addresses.iter().find_map(|address| match address {
                IpAddr::V4(address) => layout.slot(*address),
                IpAddr::V6(_) => None,
            })?;
            let mut wanted = layout.addresses(slot).iter();
            wanted
                .all(|address| addresses.contains(&address))
                .then_some(slot)
        };
        self.sandboxes
            .iter()
            .filter_map(|(name, addresses)| Some((name.clone(), slot(addresses)?)))
            .collect()
    }
}

/// Prepares the router for sandboxes. Its rules must be in force already.
pub(super) fn prepare(
    namespace: &Namespace,
    socket: &mut Socket,
    layout: &Layout,
) -> Result<(), RouterError> {
    namespace.visit(|| settle(layout.pool6.is_some()))??;
    let mut requests = vec![interface::up(LOOPBACK_INDEX)];
    for address in layout.resolver().iter() {
        requests.push(route::assign(LOOPBACK_INDEX, address));
    }
    // Packets for nobody would go back and forth over the uplink until they die.
    for pool in layout.pools() {
        requests.push(route::add(pool, Way::Unreachable));
    }
    socket.execute(&requests)?;
    Ok(())
}

/// Makes the router use its end of the uplink.
pub(super) fn use_uplink(socket: &mut Socket, layout: &Layout) -> Result<(), RouterError> {
    let missing = KernelError::absent("find the uplink of the router");
    let uplink = interface::get(socket, UPLINK)?.ok_or(missing)?.index;
    let mut requests = vec![interface::without_own_addresses(uplink)];
    for address in layout.router().iter() {
        requests.push(route::assign(uplink, address));
    }
    requests.push(interface::up(uplink));
    for host in layout.host().iter() {
        requests.extend([
            route::neighbour(uplink, host, NEAR_HARDWARE),
            route::add(Cidr::host(host), Way::Link(uplink)),
            route::add_default(uplink, host),
        ]);
    }
    socket.execute(&requests)?;
    Ok(())
}

/// The settings of the router. Runs inside it.
fn settle(has_v6: bool) -> Result<(), SysctlError> {
    for conf in ["all", "default"] {
        sysctl::set(&format!("ipv4/conf/{conf}/rp_filter"), "1")?;
        for name in ["accept_redirects", "send_redirects", "accept_source_route"] {
            sysctl::set(&format!("ipv4/conf/{conf}/{name}"), "0")?;
        }
    }
    // Only sandboxes are told, each at its own expense: a refusal that is not
    // told makes them wait instead.
    sysctl::set("ipv4/icmp_ratelimit", "0")?;
    // These hold for both versions and for all sandboxes together. Older kernels
    // have them for the whole machine only, where they are not ours to change.
    for name in ["icmp_msgs_per_sec", "icmp_msgs_burst"] {
        sysctl::set_if_there(&format!("ipv4/{name}"), "1000000")?;
    }
    if has_v6 {
        for (name, value) in [("addr_gen_mode", "1"), ("accept_ra", "0")] {
            sysctl::set(&format!("ipv6/conf/default/{name}"), value)?;
        }
        sysctl::set("ipv6/icmp/ratelimit", "0")?;
        sysctl::set("ipv6/conf/all/forwarding", "1")?;
    }
    sysctl::set("ipv4/ip_forward", "1")
}
