//! The sets of the router's table, and what their elements are made of.

use super::super::members::{Place, Set};

/// Each set, whether it is one or a map, and its form.
pub(super) const SETS: [(Set, &str, &str); 28] = [
    (Set::Source4, "map", "type ifname . ipv4_addr : mark;"),
    (Set::Source6, "map", "type ifname . ipv6_addr : mark;"),
    (Set::Open4, "set", "type mark . ipv4_addr; flags interval;"),
    (Set::Open6, "set", "type mark . ipv6_addr; flags interval;"),
    (Set::Resolving, "set", "type mark;"),
    (Set::Claim(Place::First), "map", "type ifname : mark;"),
    (Set::Claim(Place::Second), "map", "type ifname : mark;"),
    (Set::Claim(Place::Third), "map", "type ifname : mark;"),
    (
        Set::Door4,
        "set",
        "type mark . ipv4_addr . inet_proto . inet_service;",
    ),
    (
        Set::Door6,
        "set",
        "type mark . ipv6_addr . inet_proto . inet_service;",
    ),
    (Set::NodeAddress4, "set", "type ipv4_addr;"),
    (Set::NodeAddress6, "set", "type ipv6_addr;"),
    (
        Set::Node4,
        "map",
        "type inet_proto . inet_service : ipv4_addr . inet_service;",
    ),
    (
        Set::Node6,
        "map",
        "type inet_proto . inet_service : ipv6_addr . inet_service;",
    ),
    (
        Set::External4,
        "map",
        "type ipv4_addr . inet_proto . inet_service : ipv4_addr;",
    ),
    (
        Set::External6,
        "map",
        "type ipv6_addr . inet_proto . inet_service : ipv6_addr;",
    ),
    (Set::Entering, "set", "type mark;"),
    (Set::Entries, "set", "type inet_service;"),
    (Set::Front4, "map", "type ipv4_addr : ipv4_addr;"),
    (Set::Front6, "map", "type ipv6_addr : ipv6_addr;"),
    (Set::Own4, "set", "type ipv4_addr . ipv4_addr;"),
    (Set::Own6, "set", "type ipv6_addr . ipv6_addr;"),
    (Set::Denied, "set", "type ifname; counter;"),
    (Set::TurnedAway, "set", "type ifname; counter;"),
    // Filled by the first flow of a sandbox, or by the first refusal. Elements added from here would
    // make the kernel lose count of who needs connection tracking, until
    // it switches that off.
    (
        Set::Flows,
        "set",
        "type ifname; size 1048576; flags dynamic;",
    ),
    (
        Set::Shown,
        "set",
        "type ifname; size 1048576; flags dynamic;",
    ),
    (
        Set::ShownIn,
        "set",
        "type ifname; size 1048576; flags dynamic;",
    ),
    (
        Set::Visits,
        "set",
        "type ifname; size 1048576; flags dynamic;",
    ),
];
