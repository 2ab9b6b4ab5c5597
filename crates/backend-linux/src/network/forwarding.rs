//! Switching on, on the host, the forwarding that sandboxes need, and no more.
//!
//! Where an interface forwards already, nothing is done. Where it does not, it
//! is switched on for that interface alone, noted in the host's table, and
//! closed there to all traffic but the sandboxes'. The note lives exactly as
//! long as the change: a reboot ends both.
//!
//! Version 6 can be switched on for one interface only on newer kernels. The
//! switch for all of them would make the host forget the routes that routers
//! announced to it, so that it is left to the operator.

use std::collections::BTreeSet;

use palisade_model::cidr::Cidr;

use super::host::Survey;
use super::layout::HOST_UPLINK_PREFIX;
use super::sysctl::{self, SysctlError};
use crate::netlink::route::RouteKind;

/// Also tells whether the kernel knows version 6 at all.
pub(super) const ALL_V6: &str = "ipv6/conf/all/forwarding";
const LOOPBACK: &str = "lo";

/// Interfaces by name, for each version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) v4: BTreeSet<String>,
    pub(super) v6: BTreeSet<String>,
}

/// How far packets of version 6 get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The host forwards version 6 anyway.
    Everywhere,
    /// The host is told to forward it on the interfaces that need it.
    PerInterface,
    /// The host does not forward version 6.
    NotBeyondHost,
}

impl Opened {
    /// The interfaces that lead to anywhere.
    pub(super) fn needed(survey: &Survey) -> Self {
        let names = |is_ipv4: bool| {
            survey
                .routes
                .iter()
                .filter(|route| {
                    route.kind == RouteKind::Unicast && route.is_main && route.is_ipv4 == is_ipv4
                })
                .filter(|route| !route.destination.is_some_and(is_local_to_link))
                .flat_map(|route| &route.interfaces)
                .filter_map(|index| Some(survey.interface(*index)?.name.clone()))
                .filter(|name| name != LOOPBACK && !name.starts_with(HOST_UPLINK_PREFIX))
                .collect()
        };
        Self {
            v4: names(true),
            v6: names(false),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.v4.extend(other.v4);
        self.v6.extend(other.v6);
    }
}

/// What has to be switched on of what is needed. Runs inside the host's namespace.
pub(super) fn plan(needed: Opened, has_v6: bool) -> Result<(Reach, Opened), SysctlError> {
    let reach = if !has_v6 {
        Reach::NotBeyondHost
    } else if sysctl::is_on(ALL_V6)? {
        Reach::Everywhere
    } else if sysctl::exists(&setting6("all")) {
        Reach::PerInterface
    } else {
        Reach::NotBeyondHost
    };
    let v6 = match reach {
        Reach::PerInterface => off(needed.v6, setting6)?,
        Reach::Everywhere | Reach::NotBeyondHost => BTreeSet::new(),
    };
    let v4 = off(needed.v4, setting4)?;
    Ok((reach, Opened { v4, v6 }))
}

fn off(
    names: BTreeSet<String>,
    setting: fn(&str) -> String,
) -> Result<BTreeSet<String>, SysctlError> {
    let mut off = BTreeSet::new();
    for name in names {
        if !sysctl::is_on(&setting(&name))? {
            off.insert(name);
        }
    }
    Ok(off)
}

/// Carries the plan out. Runs inside the host's namespace.
pub(super) fn switch_on(uplink: &str, opened: &Opened, reach: Reach) -> Result<(), SysctlError> {
    sysctl::set(&format!("ipv4/conf/{uplink}/rp_filter"), "1")?;
    for name in ["accept_redirects", "send_redirects", "accept_source_route"] {
        sysctl::set(&format!("ipv4/conf/{uplink}/{name}"), "0")?;
    }
    for name in ["accept_ra", "accept_redirects"] {
        sysctl::set_if_there(&format!("ipv6/conf/{uplink}/{name}"), "0")?;
    }
    sysctl::set(&setting4(uplink), "1")?;
    switch(&opened.v4, setting4, "1")?;
    if reach == Reach::PerInterface {
        sysctl::set(&setting6(uplink), "1")?;
    }
    switch(&opened.v6, setting6, "1")
}

/// Undoes it. Runs inside the host's namespace.
pub(super) fn switch_off(opened: &Opened) -> Result<(), SysctlError> {
    switch(&opened.v4, setting4, "0")?;
    switch(&opened.v6, setting6, "0")
}

/// An interface may be gone by now, and its settings with it.
fn switch(
    names: &BTreeSet<String>,
    setting: fn(&str) -> String,
    value: &str,
) -> Result<(), SysctlError> {
    names
        .iter()
        .try_for_each(|name| sysctl::set_if_there(&setting(name), value))
}

fn setting4(name: &str) -> String {
    format!("ipv4/conf/{name}/forwarding")
}

fn setting6(name: &str) -> String {
    format!("ipv6/conf/{name}/force_forwarding")
}

/// Routes that every interface has, whether or not it leads anywhere.
fn is_local_to_link(destination: Cidr) -> bool {
    let first = destination.first();
    match first {
        std::net::IpAddr::V4(address) => address.is_link_local() || address.is_multicast(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    }
}
