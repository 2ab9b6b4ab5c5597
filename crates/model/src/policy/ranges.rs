//! Address ranges that the registries set apart.
//!
//! From the IANA special-purpose registries for version 4 and 6, the multicast
//! ranges, and the metadata addresses of the larger clouds. Where the registry
//! carves a globally reachable address out of a closed range (the anycast
//! addresses in `192.0.0.0/24` and `2001::/23`), the whole range stays closed:
//! nothing that a sandbox needs is there.

use std::net::IpAddr;

use crate::cidr::Cidr;

/// A range that is not part of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// The addresses.
    pub range: Cidr,
    /// What they are, for people.
    pub name: &'static str,
    /// Whether an administrator can open it.
    pub openable: bool,
}

/// The only range of version 6 out of which global unicast is assigned.
pub const GLOBAL_UNICAST_V6: Cidr = Cidr::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// All of version 4.
pub const ALL_V4: Cidr = Cidr::v4([0, 0, 0, 0], 0);

/// Every range that is set apart; they may nest.
pub const SPECIAL: &[Special] = &[
    // Version 4. Translation and automatic-tunnel ranges are never openable:
    // an address behind them may be one that has to stay closed.
    always(Cidr::v4([0, 0, 0, 0], 8), "this network"),
    openable(Cidr::v4([10, 0, 0, 0], 8), "private addresses"),
    openable(Cidr::v4([100, 64, 0, 0], 10), "shared addresses"),
    always(Cidr::v4([100, 100, 100, 200], 32), METADATA),
    always(Cidr::v4([127, 0, 0, 0], 8), "loopback"),
    always(Cidr::v4([168, 63, 129, 16], 32), METADATA),
    always(Cidr::v4([169, 254, 0, 0], 16), "link-local addresses"),
    always(Cidr::v4([169, 254, 169, 254], 32), METADATA),
    openable(Cidr::v4([172, 16, 0, 0], 12), "private addresses"),
    always(Cidr::v4([192, 0, 0, 0], 24), "protocol assignments"),
    always(Cidr::v4([192, 0, 0, 192], 32), METADATA),
    openable(Cidr::v4([192, 0, 2, 0], 24), DOCUMENTATION),
    always(Cidr::v4([192, 88, 99, 0], 24), "6to4 relays"),
    openable(Cidr::v4([192, 168, 0, 0], 16), "private addresses"),
    openable(Cidr::v4([198, 18, 0, 0], 15), "benchmarking"),
    openable(Cidr::v4([198, 51, 100, 0], 24), DOCUMENTATION),
    openable(Cidr::v4([203, 0, 113, 0], 24), DOCUMENTATION),
    always(Cidr::v4([224, 0, 0, 0], 4), "multicast"),
    openable(Cidr::v4([240, 0, 0, 0], 4), "reserved addresses"),
    always(Cidr::v4([255, 255, 255, 255], 32), "broadcast"),
    // Version 6.
    always(Cidr::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    always(Cidr::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    always(Cidr::v6([0; 8], 96), "IPv4-compatible addresses"),
    always(
        Cidr::v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        "IPv4-mapped addresses",
    ),
    always(
        Cidr::v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        "IPv4-translated addresses",
    ),
    always(Cidr::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64"),
    always(
        Cidr::v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        "local-use NAT64",
    ),
    always(Cidr::v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard-only"),
    always(Cidr::v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "dummy prefix"),
    always(Cidr::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo"),
    always(
        Cidr::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "protocol assignments",
    ),
    openable(
        Cidr::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        DOCUMENTATION,
    ),
    always(Cidr::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    openable(Cidr::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    openable(
        Cidr::v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
        "segment routing",
    ),
    openable(
        Cidr::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        "unique local addresses",
    ),
    always(
        Cidr::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253], 128),
        METADATA,
    ),
    always(
        Cidr::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
        METADATA,
    ),
    always(
        Cidr::v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        METADATA,
    ),
    always(
        Cidr::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        "link-local addresses",
    ),
    openable(
        Cidr::v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
        "site-local addresses",
    ),
    always(Cidr::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

const METADATA: &str = "a cloud metadata address";
const DOCUMENTATION: &str = "documentation";

const fn always(range: Cidr, name: &'static str) -> Special {
    Special {
        range,
        name,
        openable: false,
    }
}

const fn openable(range: Cidr, name: &'static str) -> Special {
    Special {
        range,
        name,
        openable: true,
    }
}

/// Whether an address is part of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    let assigned = address.is_ipv4() || GLOBAL_UNICAST_V6.contains(address);
    assigned
        && !SPECIAL
            .iter()
            .any(|special| special.range.contains(address))
}

/// The entry because of which no allowlist can open any part of `range`.
///
/// For whoever writes a profile: listing such a range is a mistake.
pub fn never_opens(range: Cidr) -> Option<&'static Special> {
    SPECIAL
        .iter()
        .find(|special| !special.openable && special.range.covers(range))
}
