//! What the host does for ports and external addresses of sandboxes.
//!
//! Published ports are elements of the host's table. External addresses are
//! routes to the router; where a link of the host has room for such an
//! address, the host answers there for whoever asks who has it. The host itself never
//! has the address, so that none of its own services can be reached there. What an earlier
//! run announced is told by the routes of the uplink.

use std::collections::BTreeSet;
use std::net::IpAddr;

use palisade_model::cidr::Cidr;
use palisade_model::policy::Door;
use tracing::warn;

use super::host::{Host, HostError, Survey};
use super::layout::{HOST_UPLINK_PREFIX, Layout};
use super::sysctl::SysctlError;
use super::{members, ruleset, service, sysctl};
use crate::netlink::filter::{self, Change, Element, Kind};
use crate::netlink::route::{self, RouteKind, Way};

/// An address for which an interface answers.
type Answered = (u32, IpAddr);

impl Host {
    /// Has these ports of the host lead to the router. Those that do so already stay.
    pub(super) fn publish(&mut self, layout: &Layout, doors: &[Door]) -> Result<(), HostError> {
        let new = doors.iter().filter(|door| !self.published.contains(door));
        let new = new.copied().collect::<Vec<_>>();
        self.change(layout, Kind::Add, &new)?;
        self.published.extend(new);
        Ok(())
    }

    /// Has them lead there no more. Succeeds if they do not.
    pub(super) fn withdraw(&mut self, layout: &Layout, doors: &[Door]) -> Result<(), HostError> {
        for door in doors {
            if !self.published.contains(door) {
                continue;
            }
            match self.change(layout, Kind::Remove, &[*door]) {
                // Something flushed the table; it is made anew without them.
                Err(HostError::Kernel(error)) if error.is_absent() => {}
                other => other?,
            }
            self.published.remove(door);
        }
        Ok(())
    }

    fn change(&mut self, layout: &Layout, kind: Kind, doors: &[Door]) -> Result<(), HostError> {
        if doors.is_empty() {
            return Ok(());
        }
        let elements = doors.iter().map(|door| Element {
            key: members::door_key(*door),
            key_end: None,
            value: None,
        });
        let change = Change {
            kind,
            set: ruleset::PUBLISHED,
            elements: elements.collect(),
        };
        filter::apply(&mut self.filter, &layout.host_table(), &[change])?;
        Ok(())
    }

    /// Leads external addresses to the router and answers for them, and takes back what
    /// is not to be there any more.
    pub(super) fn announce(&mut self, layout: &Layout, uplink: u32) -> Result<(), HostError> {
        let survey = self.survey()?;
        let stale = survey.led_through(uplink).into_iter().filter(|range| {
            let own = layout.pools().chain(hosts(layout));
            let external = self.external.iter().copied();
            !own.chain(external).any(|wanted| wanted == *range)
        });
        let stale = stale.collect::<Vec<_>>();
        self.fall_silent(&stale)?;
        let mut requests = stale
            .iter()
            .map(|range| route::remove(*range, uplink))
            .collect::<Vec<_>>();
        for router in layout.router().iter() {
            let same = self.external.iter();
            let same = same.filter(|range| range.is_ipv4() == router.is_ipv4());
            requests.extend(same.map(|range| route::add(*range, Way::Gateway(uplink, router))));
        }
        let answers = survey.on_links(&self.external);
        requests.extend(
            answers
                .iter()
                .map(|(at, address)| route::answer_for(*at, *address)),
        );
        self.route.execute(&requests)?;
        self.heed(&survey, &answers, "1")
    }

    /// Whether everything is announced where it should be; interfaces come and go.
    pub(super) fn is_announced(&mut self) -> Result<bool, HostError> {
        if self.external.is_empty() {
            return Ok(true);
        }
        let wanted = self.survey()?.on_links(&self.external);
        let answered = route::answered_for(&mut self.route)?;
        let answered = answered.into_iter().collect::<BTreeSet<_>>();
        Ok(wanted.is_subset(&answered))
    }

    /// Takes back everything that is led through an interface, but for its routes,
    /// which end with it.
    pub(super) fn unannounce(&mut self, uplink: &str) -> Result<(), HostError> {
        let survey = self.survey()?;
        let found = survey.interfaces.iter();
        let found = found.filter(|interface| interface.name == uplink);
        let ranges = found.flat_map(|interface| survey.led_through(interface.index));
        self.fall_silent(&ranges.collect::<Vec<_>>())
    }

    /// Answers no more for the addresses of these ranges.
    fn fall_silent(&mut self, ranges: &[Cidr]) -> Result<(), HostError> {
        if ranges.is_empty() {
            return Ok(());
        }
        let answered = route::answered_for(&mut self.route)?;
        let is_stale =
            |(_, address): &Answered| ranges.iter().any(|range| range.contains(*address));
        let (stale, others): (BTreeSet<_>, Vec<_>) = {
            let (stale, others): (Vec<_>, Vec<_>) = answered.into_iter().partition(is_stale);
            (stale.into_iter().collect(), others)
        };
        for (interface, address) in &stale {
            let request = route::answer_no_more_for(*interface, *address);
            match self.route.execute(&[request]) {
                Err(error) if error.is_absent() => {}
                other => other?,
            }
        }
        let is_still_needed = |at: u32| {
            others
                .iter()
                .any(|(other, address)| *other == at && address.is_ipv6())
        };
        let idle = stale.into_iter().filter(|(at, _)| !is_still_needed(*at));
        let survey = self.survey()?;
        self.heed(&survey, &idle.collect(), "0")
    }

    /// Version 6 answers for others only where it is told to.
    fn heed(
        &self,
        survey: &Survey,
        answers: &BTreeSet<Answered>,
        value: &str,
    ) -> Result<(), HostError> {
        let v6 = answers.iter().filter(|(_, address)| address.is_ipv6());
        let names = v6.filter_map(|(at, _)| Some(survey.interface(*at)?.name.clone()));
        let names = names.collect::<BTreeSet<_>>();
        if names.is_empty() {
            return Ok(());
        }
        let set = |name: &String| {
            sysctl::set_if_there(&format!("ipv6/conf/{name}/proxy_ndp"), value)?;
            // To go by what the host forwards elsewhere would be wrong: the kernel looks at
            // this interface. Changing it changes where the host learns its own routes.
            let forwarding = format!("ipv6/conf/{name}/forwarding");
            Ok(value == "1" && sysctl::exists(&forwarding) && !sysctl::is_on(&forwarding)?)
        };
        let deaf = self.namespace.visit(|| deaf(&names, set))??;
        for interface in deaf {
            warn!(
                interface,
                "neighbours on this link do not find external addresses of version 6, as the \
                 kernel answers for others only where it forwards; set \
                 net.ipv6.conf.<interface>.forwarding=1, and accept_ra=2 if the host learns its \
                 routes there"
            );
        }
        Ok(())
    }
}

/// The interfaces of which it is true.
fn deaf(
    names: &BTreeSet<String>,
    is_deaf: impl Fn(&String) -> Result<bool, SysctlError>,
) -> Result<Vec<String>, SysctlError> {
    let mut found = Vec::new();
    for name in names {
        if is_deaf(name)? {
            found.push(name.clone());
        }
    }
    Ok(found)
}

/// The ends of the uplink as ranges.
fn hosts(layout: &Layout) -> impl Iterator<Item = Cidr> {
    let both = layout.router().iter().chain(layout.host().iter());
    both.map(Cidr::host)
}

impl Survey {
    /// An address of the host that leads to the outside.
    pub(super) fn node_address(&self) -> Option<IpAddr> {
        let leads_out = |interface: u32| {
            self.routes.iter().any(|route| {
                route.destination.is_none()
                    && route.kind == RouteKind::Unicast
                    && route.interfaces.contains(&interface)
            })
        };
        let mut addresses = self
            .addresses
            .iter()
            .filter(|assigned| leads_out(assigned.interface))
            .map(|assigned| assigned.address)
            .filter(|address| match address {
                IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
                IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
            })
            .collect::<Vec<_>>();
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses.first().copied()
    }

    /// The ranges that are led through an interface.
    fn led_through(&self, interface: u32) -> Vec<Cidr> {
        let routes = self.routes.iter().filter(|route| {
            route.is_main
                && route.kind == RouteKind::Unicast
                && route.interfaces.contains(&interface)
        });
        routes.filter_map(|route| route.destination).collect()
    }

    /// The addresses of these ranges that the links of the host have room for.
    fn on_links(&self, ranges: &[Cidr]) -> BTreeSet<Answered> {
        let links = self.addresses.iter().filter(|assigned| {
            let interface = self.interface(assigned.interface);
            !assigned.address.is_loopback()
                && interface.is_some_and(|at| !at.name.starts_with(HOST_UPLINK_PREFIX))
        });
        let mut answers = BTreeSet::new();
        for link in links {
            let Some(subnet) = subnet(link.address, link.prefix_len) else {
                continue;
            };
            let near = ranges
                .iter()
                .filter(|range| subnet.covers(**range) || range.covers(subnet));
            let near = near.flat_map(|range| service::addresses(*range));
            let near = near.filter(|address| subnet.contains(*address));
            answers.extend(near.map(|address| (link.interface, address)));
        }
        answers
    }
}

/// The addresses of a link on which somebody has this one.
fn subnet(address: IpAddr, prefix_len: u8) -> Option<Cidr> {
    let first = match address {
        IpAddr::V4(address) => {
            let shift = 32_u32.checked_sub(u32::from(prefix_len))?;
            let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let shift = 128_u32.checked_sub(u32::from(prefix_len))?;
            let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    };
    Cidr::new(first, prefix_len).ok()
}
