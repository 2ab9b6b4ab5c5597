//! What an operator decides about ports and addresses in front of sandboxes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use palisade_model::cidr::Cidr;

/// What a runner has to offer. By default there are neither ports nor addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The ports of the host that lead to sandboxes.
    pub node_ports: Option<NodePorts>,
    /// The address of the host that clients are told; one that leads to the
    /// outside by default.
    pub node_address: Option<IpAddr>,
    /// Where external addresses come from.
    pub pools: ExternalPools,
}

/// A range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePorts {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must read FIRST-LAST, such as 30000-32767, of ports from 1 to 65535")]
pub struct NodePortsError;

impl NodePorts {
    /// The range that is usual, below the ports that the kernel gives to
    /// connections.
    pub const USUAL: Self = Self {
        first: 30_000,
        last: 32_767,
    };

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }

    /// How many there are.
    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// The lowest one.
    pub fn first(self) -> u16 {
        self.first
    }

    /// Whether a port is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for NodePorts {
    type Err = NodePortsError;

    fn from_str(text: &str) -> Result<Self, NodePortsError> {
        let (first, last) = text.split_once('-').ok_or(NodePortsError)?;
        let port = |text: &str| text.trim().parse().map_err(|_| NodePortsError);
        let (first, last) = (port(first)?, port(last)?);
        (first > 0 && first <= last)
            .then_some(Self { first, last })
            .ok_or(NodePortsError)
    }
}

impl fmt::Display for NodePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The name of a pool of external addresses.
///
/// At most 63 bytes of `a-z`, `0-9`, `-` and `.`, starting and ending with a letter
/// or digit, as names of objects in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolName(String);

/// Why a text is no name of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {} characters of a-z, 0-9, '-' and '.', a letter or digit at both ends",
    PoolName::LEN_MAX
)]
pub struct PoolNameError;

impl PoolName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 63;

    /// The pool of sandboxes that name none, if there is one of that name.
    pub const USUAL: &str = "default";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolName {
    type Err = PoolNameError;

    fn from_str(text: &str) -> Result<Self, PoolNameError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let edges = [text.bytes().next(), text.bytes().next_back()];
        let is_valid = text.len() <= Self::LEN_MAX
            && edges.into_iter().all(|edge| edge.is_some_and(is_plain))
            && text
                .bytes()
                .all(|byte| is_plain(byte) || [b'-', b'.'].contains(&byte));
        is_valid.then(|| Self(text.to_owned())).ok_or(PoolNameError)
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses that sandboxes can have to themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalPool {
    /// What profiles call it.
    pub name: PoolName,
    /// The addresses; a sandbox gets one of each version that is here.
    pub ranges: Vec<Cidr>,
}

/// All pools of a runner, the usual one first. No two share an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalPools(Vec<ExternalPool>);

/// Why ranges are no pools of external addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalPoolsError {
    /// Such addresses cannot be anybody's on a network.
    #[error("{range} of pool {pool} holds addresses that are none of a machine on a network")]
    Special {
        /// The pool.
        pool: PoolName,
        /// The range.
        range: Cidr,
    },
    /// The host announces each address.
    #[error(
        "{range} of pool {pool} is too large; the prefix length must be at least {min}",
        min = prefix_len_min(*range)
    )]
    TooLarge {
        /// The pool.
        pool: PoolName,
        /// The range.
        range: Cidr,
    },
    /// An address would be given out twice.
    #[error("{range} of pool {pool} overlaps {other} of pool {owner}")]
    Overlap {
        /// The pool.
        pool: PoolName,
        /// The range.
        range: Cidr,
        /// The pool that was there before.
        owner: PoolName,
        /// Its range.
        other: Cidr,
    },
}

impl ExternalPools {
    /// Puts ranges into pools; a name that comes again adds to its pool.
    pub fn new(
        ranges: impl IntoIterator<Item = (PoolName, Cidr)>,
    ) -> Result<Self, ExternalPoolsError> {
        let mut pools = Vec::<ExternalPool>::new();
        for (name, range) in ranges {
            check(&pools, &name, range)?;
            match pools.iter_mut().find(|pool| pool.name == name) {
                Some(pool) => pool.ranges.push(range),
                None => pools.push(ExternalPool {
                    name,
                    ranges: vec![range],
                }),
            }
        }
        // Stable: without one of that name, the first is the usual one.
        pools.sort_by_key(|pool| pool.name.as_str() != PoolName::USUAL);
        Ok(Self(pools))
    }

    /// The pools.
    pub fn iter(&self) -> impl Iterator<Item = &ExternalPool> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every range of every pool.
    pub fn ranges(&self) -> impl Iterator<Item = Cidr> {
        self.0.iter().flat_map(|pool| pool.ranges.iter().copied())
    }
}

fn check(pools: &[ExternalPool], name: &PoolName, range: Cidr) -> Result<(), ExternalPoolsError> {
    let pool = || name.clone();
    if is_special(range.first()) || is_special(range.last()) {
        return Err(ExternalPoolsError::Special {
            pool: pool(),
            range,
        });
    }
    if range.prefix_len() < prefix_len_min(range) {
        return Err(ExternalPoolsError::TooLarge {
            pool: pool(),
            range,
        });
    }
    let mut all = pools
        .iter()
        .flat_map(|pool| pool.ranges.iter().map(move |range| (pool, *range)));
    match all.find(|(_, other)| other.covers(range) || range.covers(*other)) {
        None => Ok(()),
        Some((owner, other)) => Err(ExternalPoolsError::Overlap {
            pool: pool(),
            range,
            owner: owner.name.clone(),
            other,
        }),
    }
}

/// Leaves some thousand addresses at most.
fn prefix_len_min(range: Cidr) -> u8 {
    if range.is_ipv4() { 20 } else { 116 }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_link_local()
                || address.octets()[0] == 0
                || address.octets()[0] >= 224
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.to_ipv4_mapped().is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(ranges: &[(&str, &str)]) -> Result<ExternalPools, ExternalPoolsError> {
        let parsed = ranges
            .iter()
            .map(|(name, range)| (name.parse().unwrap(), range.parse().unwrap()));
        ExternalPools::new(parsed)
    }

    #[test]
    fn ports_are_a_range_that_goes_up() {
        assert_eq!("30000-32767".parse(), Ok(NodePorts::USUAL));
        assert_eq!(NodePorts::USUAL.count(), 2768);
        for text in ["", "30000", "2-1", "0-5", "1-65536", "a-b", "1-2-3"] {
            assert_eq!(text.parse::<NodePorts>(), Err(NodePortsError), "{text}");
        }
    }

    #[test]
    fn a_name_of_a_pool_is_that_of_an_object() {
        for text in ["public", "a.b-1", "1"] {
            assert!(text.parse::<PoolName>().is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "A", "a/b", "a b", &"a".repeat(64)] {
            assert_eq!(text.parse::<PoolName>(), Err(PoolNameError), "{text}");
        }
    }

    #[test]
    fn the_pool_of_those_who_name_none_is_the_default_one_or_the_first() {
        let ranges = [
            ("b", "203.0.113.0/28"),
            ("a", "2001:db8::/120"),
            ("b", "2001:db8:1::/120"),
        ];
        let both = pools(&ranges).unwrap();
        let names = |pools: &ExternalPools| {
            let names = pools.iter().map(|pool| pool.name.to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&both), ["b", "a"]);
        assert_eq!(both.iter().next().unwrap().ranges.len(), 2);
        let with_default = [ranges[0], ("default", "198.51.100.0/28")];
        assert_eq!(names(&pools(&with_default).unwrap()), ["default", "b"]);
    }

    #[test]
    fn what_cannot_be_an_address_of_a_sandbox_is_refused() {
        for range in [
            "127.0.0.0/24",
            "224.0.0.0/24",
            "169.254.1.0/24",
            "0.0.0.0/24",
            "fe80::/120",
            "ff02::/120",
            "::/120",
        ] {
            assert!(
                matches!(
                    pools(&[("a", range)]),
                    Err(ExternalPoolsError::Special { .. })
                ),
                "{range}"
            );
        }
        for range in ["203.0.0.0/16", "2001:db8::/64"] {
            assert!(matches!(
                pools(&[("a", range)]),
                Err(ExternalPoolsError::TooLarge { .. })
            ));
        }
        assert!(matches!(
            pools(&[("a", "203.0.113.0/28"), ("b", "203.0.113.4/32")]),
            Err(ExternalPoolsError::Overlap { .. })
        ));
    }
}
