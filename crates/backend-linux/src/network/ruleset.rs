//! The rules, as text for `nft`.
//!
//! Pure: a function of the layout and of the sandboxes that there are. Each text
//! is one transaction that replaces a whole table, so that there is no moment
//! at which packets see half of it, or none.
//!
//! In the router everything is closed that is not opened by an element of a set.
//! A packet of a sandbox is first identified: its interface and source address
//! must be in `source4` or `source6`, which say its class. Flows that were
//! allowed pass until they end. A new one passes only if it leaves through the
//! uplink towards an address that is open to its class and not to a port of servers of
//! names, or asks the resolver, or
//! goes to a door of another sandbox that takes a claim of the sender's. Those are
//! shown one after the other, each in the mark: nothing that a packet says counts,
//! only the interface through which it came.
//!
//! Ports of the host and external addresses lead to a sandbox by maps that translate
//! where a packet is for, before any of that is decided. What comes through the
//! uplink is a stranger's, and passes only if it came so, and to a door that takes
//! strangers. A sandbox that comes back to itself this way gets another
//! source address, as it would not believe its own.
//!
//! The HTTP entry point listens inside the router for the classes that may reach sandboxes at
//! all, and opens flows from there with a claim of whoever asked: its packets find the same
//! doors as those of the asker.
//!
//! What is refused is counted for its interface, but for what a kernel says by
//! itself when an interface comes up: nobody in the sandbox tried anything. What is refused
//! to those outside is counted for the interface that it was for.

mod forms;
mod ways_in;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroU32;

use palisade_model::cidr::Cidr;
use palisade_model::policy::{Door, NAME_PORTS};

use super::forwarding::Opened;
use super::layout::{HOST_UPLINK_PREFIX, Layout, ROUTER_TABLE, UPLINK};
use super::members::{Member, Place, Set};
use forms::SETS;

/// The sets of the host's table that note which interfaces were opened.
pub(super) const OPENED4: &str = "opened4";
/// Likewise, version 6.
pub(super) const OPENED6: &str = "opened6";

/// The set of the host's table with the ports that lead to the router.
pub(super) const PUBLISHED: &str = "published";

/// How a sender is told that it may not. A caller that connects by TCP over
/// version 6 is still busy sending when the ICMP error comes back to it, so that
/// the kernel puts the error aside until the next attempt a second later.
const REFUSAL: &str = "meta nfproto ipv6 meta l4proto tcp reject with tcp reset
\t\treject with icmpx admin-prohibited";

/// Shows a packet that is refused to whoever looks, a few of each sandbox, so that
/// a flood drowns nobody else's.
const SHOW: &str =
    "add @shown { iifname limit rate 5/second burst 20 packets } log group 1 snaplen 64";

/// What the router's table is made from.
#[derive(Debug)]
pub(super) struct Router<'a> {
    pub(super) layout: &'a Layout,
    pub(super) flows_max: NonZeroU32,
    pub(super) members: &'a [Member],
}

/// What the host's table is made from.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) layout: &'a Layout,
    /// Interfaces that forward for the sandboxes' sake only.
    pub(super) opened: &'a Opened,
    /// The ports of the host that lead to the router.
    pub(super) published: &'a BTreeSet<Door>,
    /// Addresses beyond the router.
    pub(super) external: &'a [Cidr],
}

impl Router<'_> {
    /// The text that puts this table in place of the one that is there.
    pub(super) fn text(&self) -> String {
        let resolver = self.layout.resolver();
        let resolver6 = resolver.v6.map_or_else(String::new, |address| {
            format!(
                "\n\t\tmeta mark @resolving ip6 daddr {address} meta l4proto {{ tcp, udp }} th dport 53 goto admit\
                 \n\t\tmeta mark @entering ip6 daddr {address} meta l4proto tcp th dport @entries goto admit"
            )
        });
        replacement(
            ROUTER_TABLE,
            &format!(
                r#"{sets}
	chain identify {{
		type filter hook prerouting priority raw; policy drop;
		meta mark set 0
		iifname "{UPLINK}" accept
		meta mark set iifname . ip saddr map @source4
		meta mark set iifname . ip6 saddr map @source6
		meta mark != 0 accept
		icmpv6 type {{ mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit, nd-neighbor-solicit }} drop
		iifname @denied {SHOW}
	}}

	chain forward {{
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state != new goto refuse
		iifname "{UPLINK}" goto enter
		oifname != "{UPLINK}" goto visit
		meta l4proto {{ tcp, udp }} th dport {{ {names} }} goto refuse
		meta mark . ip daddr @open4 goto admit
		meta mark . ip6 daddr @open6 goto admit
		goto refuse
	}}

	chain visit {{
		meta mark set 0{shows}
		goto refuse
	}}

{ways_in}

	chain input {{
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname "{UPLINK}" drop
		meta mark @resolving ip daddr {resolver4} meta l4proto {{ tcp, udp }} th dport 53 goto admit
		meta mark @entering ip daddr {resolver4} meta l4proto tcp th dport @entries goto admit{resolver6}
		goto refuse
	}}

	chain output {{
		type filter hook output priority filter; policy drop;
		ct state established,related accept
		icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} accept
		icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept
		meta l4proto tcp meta mark . ip daddr . meta l4proto . th dport @{door4} accept
	}}

	chain admit {{
		ct state new add @flows {{ iifname ct count over {flows_max} }} goto refuse
		accept
	}}

	chain refuse {{
		iifname @denied {SHOW}
		{REFUSAL}
	}}"#,
                sets = self.sets(),
                shows = Place::ALL.map(show).concat(),
                door4 = Set::Door4.name(),
                names = NAME_PORTS.map(|port| port.to_string()).join(", "),
                resolver4 = resolver.v4,
                ways_in = ways_in::router(self.layout, self.flows_max),
                flows_max = self.flows_max,
            ),
        )
    }

    fn sets(&self) -> String {
        let mut text = String::new();
        for (set, keyword, form) in SETS {
            let members = self.members.iter().filter(|member| member.set() == set);
            let members = members.map(Member::text).collect::<Vec<_>>();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\t{keyword} {} {{", set.name());
            let _ = writeln!(text, "\t\t{form}");
            if !members.is_empty() {
                let members = members.join(",\n\t\t\t");
                let _ = writeln!(text, "\t\telements = {{\n\t\t\t{members}\n\t\t}}");
            }
            let _ = writeln!(text, "\t}}");
        }
        text
    }
}

/// Shows the claim at a place to the door that the packet is for.
fn show(place: Place) -> String {
    let claim = Set::Claim(place).name();
    let door = |version: &str, set: Set| {
        let set = set.name();
        format!("\n\t\tmeta mark . {version} daddr . meta l4proto . th dport @{set} goto admit")
    };
    let (door4, door6) = (door("ip", Set::Door4), door("ip6", Set::Door6));
    format!("\n\t\tmeta mark set iifname map @{claim}{door4}{door6}")
}

impl Host<'_> {
    /// The text that puts this table in place of the one that is there.
    pub(super) fn text(&self) -> String {
        let uplink = self.layout.host_uplink();
        let masquerade = self.per_pool(|version, pool| {
            format!("{version} saddr {pool} oifname != \"{uplink}\" masquerade")
        });
        let foreign = self.per_pool(|version, pool| {
            format!("iifname \"{uplink}\" {version} saddr != {pool} drop")
        });
        replacement(
            &self.layout.host_table(),
            &format!(
                r#"{opened4}{opened6}{ports}
	chain input {{
		type filter hook input priority filter; policy accept;
		iifname != "{uplink}" accept
		ct state established,related accept
		{REFUSAL}
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		oifname "{uplink}" ct state established,related accept{entries}
		oifname "{uplink}" drop
		iifname "{uplink}" ct state established,related ct direction reply accept
		{foreign}
		iifname "{uplink}" oifname "{HOST_UPLINK_PREFIX}*" reject with icmpx admin-prohibited
		meta nfproto ipv4 iifname @opened4 oifname != "{HOST_UPLINK_PREFIX}*" drop
		meta nfproto ipv6 iifname @opened6 oifname != "{HOST_UPLINK_PREFIX}*" drop
	}}

	chain arriving {{
		type nat hook prerouting priority dstnat; policy accept;
		iifname "{HOST_UPLINK_PREFIX}*" accept{translations}
	}}

	chain own {{
		type nat hook output priority -100; policy accept;{translations}
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		{masquerade}
	}}"#,
                opened4 = interfaces(OPENED4, &self.opened.v4),
                opened6 = interfaces(OPENED6, &self.opened.v6),
                ports = ways_in::ports(self),
                entries = ways_in::entries(self),
                translations = ways_in::translations(self),
            ),
        )
    }

    fn per_pool(&self, rule: impl Fn(&str, String) -> String) -> String {
        let rules = self.layout.pools().map(|pool| {
            let version = if pool.is_ipv4() { "ip" } else { "ip6" };
            rule(version, pool.to_string())
        });
        rules.collect::<Vec<_>>().join("\n\t\t")
    }
}

/// Removing a table in the transaction that makes it needs it to exist before.
fn replacement(table: &str, body: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n{body}\n}}\n")
}

/// The text that removes a table.
pub(super) fn removal(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// The text that hands the notes of a table that goes to one that stays.
pub(super) fn inheritance(heir: &str, opened: &Opened) -> String {
    [(OPENED4, &opened.v4), (OPENED6, &opened.v6)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(set, names)| format!("add element inet {heir} {set} {{ {} }}\n", quoted(names)))
        .collect()
}

fn interfaces(set: &str, names: &BTreeSet<String>) -> String {
    let elements = if names.is_empty() {
        String::new()
    } else {
        format!("\n\t\telements = {{ {} }}", quoted(names))
    };
    format!("\tset {set} {{\n\t\ttype ifname;{elements}\n\t}}\n")
}

fn quoted(names: &BTreeSet<String>) -> String {
    let quoted = names.iter().map(|name| format!("\"{name}\""));
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
