//! The rules for what comes from outside: ports of the host and external addresses.

use std::net::IpAddr;
use std::num::NonZeroU32;

use palisade_model::policy::Door;

use super::super::layout::{HOST_UPLINK_PREFIX, Layout, UPLINK};
use super::super::members::{self, Set};
use super::super::numbers::Mark;
use super::{Host, PUBLISHED};

/// The chains of the router that translate where packets are for, and decide about those
/// that come through the uplink. What is for an external address leads to its sandbox
/// whatever the port, so that it is known whose doors it did not find.
pub(super) fn router(layout: &Layout, flows_max: NonZeroU32) -> String {
    let resolver = layout.resolver();
    let back6 = resolver.v6.map_or_else(String::new, |address| {
        let own = Set::Own6.name();
        format!("\n\t\tip6 saddr . ip6 daddr @{own} snat ip6 to {address}")
    });
    format!(
        r#"	chain translate {{
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr @{nodes4} dnat ip addr . port to meta l4proto . th dport map @{node4}
		ip6 daddr @{nodes6} dnat ip6 addr . port to meta l4proto . th dport map @{node6}
		dnat ip to ip daddr . meta l4proto . th dport map @{external4}
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @{external6}
		dnat ip to ip daddr map @{front4}
		dnat ip6 to ip6 daddr map @{front6}
	}}

	chain back {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr . ip daddr @{own4} snat ip to {resolver4}{back6}
	}}

	chain enter {{
		meta mark set {stranger}
		ct status dnat meta mark . ip daddr . meta l4proto . th dport @{door4} goto receive
		ct status dnat meta mark . ip6 daddr . meta l4proto . th dport @{door6} goto receive
		oifname @{turned_away} add @{shown_in} {{ oifname limit rate 5/second burst 20 packets }} log group 1 snaplen 64
		ct status dnat goto turn_away
		oifname "{UPLINK}" goto turn_away
		drop
	}}

	chain turn_away {{
		meta l4proto tcp reject with tcp reset
		reject with icmpx port-unreachable
	}}

	chain receive {{
		ct state new add @{visits} {{ oifname ct count over {flows_max} }} drop
		accept
	}}"#,
        nodes4 = Set::NodeAddress4.name(),
        nodes6 = Set::NodeAddress6.name(),
        node4 = Set::Node4.name(),
        node6 = Set::Node6.name(),
        external4 = Set::External4.name(),
        external6 = Set::External6.name(),
        front4 = Set::Front4.name(),
        front6 = Set::Front6.name(),
        own4 = Set::Own4.name(),
        resolver4 = resolver.v4,
        turned_away = Set::TurnedAway.name(),
        shown_in = Set::ShownIn.name(),
        door4 = Set::Door4.name(),
        door6 = Set::Door6.name(),
        visits = Set::Visits.name(),
        stranger = Mark::STRANGER.text(),
    )
}

/// The set of published ports.
pub(super) fn ports(host: &Host<'_>) -> String {
    let ports = host.published.iter().map(|Door { protocol, port }| {
        let protocol = members::number(*protocol);
        format!("{protocol} . {port}")
    });
    let ports = ports.collect::<Vec<_>>().join(", ");
    let elements = if ports.is_empty() {
        ports
    } else {
        format!("\n\t\telements = {{ {ports} }}")
    };
    format!("\tset {PUBLISHED} {{\n\t\ttype inet_proto . inet_service;{elements}\n\t}}\n")
}

/// Has ports of the host lead to the router, but not those of its loopback, which
/// are for the host alone.
pub(super) fn translations(host: &Host<'_>) -> String {
    let rule = |address: IpAddr| {
        let (version, others) = match address {
            IpAddr::V4(_) => ("ip", "127.0.0.0/8"),
            IpAddr::V6(_) => ("ip6", "{ ::1, fe80::/10 }"),
        };
        format!(
            "\n\t\t{version} daddr != {others} fib daddr type local \
             meta l4proto . th dport @{PUBLISHED} dnat {version} to {address}"
        )
    };
    host.layout.router().iter().map(rule).collect()
}

/// Lets in what is for a published port or an external address, unless a
/// sandbox of another runner sent it. The router decides what becomes of it.
pub(super) fn entries(host: &Host<'_>) -> String {
    let uplink = host.layout.host_uplink();
    let entry = |what: String| {
        format!("\n\t\toifname \"{uplink}\" iifname != \"{HOST_UPLINK_PREFIX}*\" {what} accept")
    };
    let version = |is_ipv4: bool| if is_ipv4 { "ip" } else { "ip6" };
    let ports = host.layout.router().iter().map(|address| {
        let version = version(address.is_ipv4());
        format!("ct status dnat {version} daddr {address} meta l4proto . th dport @{PUBLISHED}")
    });
    let external = host.external.iter();
    let external = external.map(|range| format!("{} daddr {range}", version(range.is_ipv4())));
    ports.chain(external).map(entry).collect()
}
