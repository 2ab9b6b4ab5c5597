//! What the network of one runner is built from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use palisade_model::cidr::Cidr;
use sha2::{Digest, Sha256};

use super::service::Services;

/// Everything that an operator decides about the network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tells the networks of several runners on one host apart.
    pub instance: Instance,
    /// Where the router's namespace is kept. Must be on a file system that is
    /// gone after a reboot, and in a mount namespace that outlives the runner.
    pub directory: PathBuf,
    /// Where sandboxes get their version 4 addresses from.
    pub pool4: PoolChoice<Pool4>,
    /// Where sandboxes get their version 6 addresses from.
    pub pool6: PoolChoice<Pool6>,
    /// Where the platform's own services listen, besides this host.
    pub control: Vec<Cidr>,
    /// Nodes and services around this host that only an allowlist may open.
    pub cluster: Vec<Cidr>,
    /// How many connections one sandbox can have at a time.
    pub flows_max: NonZeroU32,
    /// How long an address rests before another sandbox can have it. Longer than
    /// anybody may remember the answer to a question for a sandbox's name.
    pub rest: Duration,
    /// What leads to sandboxes from outside.
    pub services: Services,
    /// The program that loads the rules.
    pub nft: PathBuf,
}

impl Config {
    /// The usual settings.
    pub fn new(instance: Instance, directory: PathBuf) -> Self {
        Self {
            instance,
            directory,
            pool4: PoolChoice::Automatic,
            pool6: PoolChoice::Automatic,
            control: Vec::new(),
            cluster: Vec::new(),
            flows_max: const { NonZeroU32::new(4096).unwrap() },
            rest: Duration::from_secs(10),
            services: Services::default(),
            nft: PathBuf::from("nft"),
        }
    }

    /// Where the router's namespace is kept.
    pub(super) fn router_path(&self) -> PathBuf {
        self.directory.join(format!("{}.netns", self.instance))
    }
}

/// The name of one runner's network on its host.
///
/// At most 11 bytes of `a-z`, `0-9` and `-`, starting with a letter or digit:
/// it is part of an interface's name, which has room for 15.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance(String);

/// Why a text cannot be the name of an instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {} characters of a-z, 0-9 and '-', the first one a letter or digit",
    Instance::LEN_MAX
)]
pub struct InstanceError;

impl Instance {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 11;

    /// Makes a name out of anything that tells runners on one host apart, such
    /// as the path of a runner's state directory.
    pub fn derive(from: &str) -> Self {
        from.parse().unwrap_or_else(|_| {
            let digest = Sha256::digest(from.as_bytes());
            Self(hex(&digest[..5]))
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, InstanceError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = text.len() <= Self::LEN_MAX
            && text.bytes().next().is_some_and(is_allowed)
            && text.bytes().all(|byte| is_allowed(byte) || byte == b'-');
        is_valid.then(|| Self(text.to_owned())).ok_or(InstanceError)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which addresses sandboxes get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolChoice<P> {
    /// Some that the host has no other use for.
    #[default]
    Automatic,
    /// These, and none at all if the host has another use for them.
    Fixed(P),
}

/// A range of version 4 addresses for sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool4 {
    range: Cidr,
    first: Ipv4Addr,
}

/// A range of version 6 addresses for sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool6 {
    range: Cidr,
    first: Ipv6Addr,
}

/// Why a range cannot be a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The range is of the other version.
    #[error("{range} is of the wrong IP version")]
    WrongVersion {
        /// The range.
        range: Cidr,
    },
    /// The range is too small or too large.
    #[error("{range} must have a prefix length of {min} to {max}")]
    BadSize {
        /// The range.
        range: Cidr,
        /// The shortest prefix.
        min: u8,
        /// The longest prefix.
        max: u8,
    },
    /// Others may have these addresses.
    #[error(
        "{range} is not set aside for private use; take a range out of 10.0.0.0/8, \
         172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 or fc00::/7"
    )]
    NotPrivate {
        /// The range.
        range: Cidr,
    },
}

impl Pool4 {
    const PREFIX_LENS: std::ops::RangeInclusive<u8> = 10..=28;
    /// The first sixteen bits of the ranges that are tried by themselves.
    const AUTOMATIC: [u8; 8] = [201, 202, 203, 213, 223, 233, 243, 253];

    /// Takes a range as a pool.
    pub fn new(range: Cidr) -> Result<Self, PoolError> {
        let IpAddr::V4(first) = range.first() else {
            return Err(PoolError::WrongVersion { range });
        };
        check_size(range, &Self::PREFIX_LENS)?;
        let [a, b, ..] = first.octets();
        if !first.is_private() && (a != 100 || b & 0xc0 != 64) {
            return Err(PoolError::NotPrivate { range });
        }
        Ok(Self { range, first })
    }

    /// The ranges to choose from, in order.
    pub(super) fn automatic() -> impl Iterator<Item = Self> {
        Self::AUTOMATIC
            .into_iter()
            .filter_map(|second| Cidr::new(Ipv4Addr::new(10, second, 0, 0).into(), 16).ok())
            .filter_map(|range| Self::new(range).ok())
    }

    pub(super) fn first(self) -> Ipv4Addr {
        self.first
    }

    pub(super) fn range(self) -> Cidr {
        self.range
    }
}

impl Pool6 {
    const PREFIX_LENS: std::ops::RangeInclusive<u8> = 48..=96;

    /// Takes a range as a pool.
    pub fn new(range: Cidr) -> Result<Self, PoolError> {
        let IpAddr::V6(first) = range.first() else {
            return Err(PoolError::WrongVersion { range });
        };
        check_size(range, &Self::PREFIX_LENS)?;
        if !first.is_unique_local() {
            return Err(PoolError::NotPrivate { range });
        }
        Ok(Self { range, first })
    }

    /// A range that no other host is likely to use: its global id is as good
    /// as random, since it comes from a hash.
    pub(super) fn automatic(instance: &Instance) -> Option<Self> {
        let digest = Sha256::digest(format!("palisade {instance}").as_bytes());
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..6].copy_from_slice(&digest[..5]);
        Self::new(Cidr::new(IpAddr::from(octets), 64).ok()?).ok()
    }

    pub(super) fn first(self) -> Ipv6Addr {
        self.first
    }

    pub(super) fn range(self) -> Cidr {
        self.range
    }
}

fn check_size(range: Cidr, allowed: &std::ops::RangeInclusive<u8>) -> Result<(), PoolError> {
    if allowed.contains(&range.prefix_len()) {
        return Ok(());
    }
    Err(PoolError::BadSize {
        range,
        min: *allowed.start(),
        max: *allowed.end(),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_short_enough_for_an_interface_name() {
        assert_eq!(Instance::derive("dev").as_str(), "dev");
        let derived = Instance::derive("/var/lib/palisade/runner");
        assert_eq!(derived.as_str().len(), 10);
        assert_eq!(derived.as_str().parse(), Ok(derived.clone()));
        for text in ["", "-a", "A", "a b", "abcdefghijkl"] {
            assert_eq!(text.parse::<Instance>(), Err(InstanceError), "{text}");
        }
    }

    #[test]
    fn a_pool_must_be_private_and_of_a_useful_size() {
        let v4 = |text: &str| Pool4::new(text.parse().unwrap());
        assert!(v4("10.9.0.0/16").is_ok());
        assert!(v4("100.64.0.0/16").is_ok());
        assert!(matches!(
            v4("8.8.0.0/16"),
            Err(PoolError::NotPrivate { .. })
        ));
        assert!(matches!(v4("10.0.0.0/30"), Err(PoolError::BadSize { .. })));
        assert!(matches!(
            v4("fd00::/64"),
            Err(PoolError::WrongVersion { .. })
        ));
        let v6 = |text: &str| Pool6::new(text.parse().unwrap());
        assert!(v6("fd12:3456::/64").is_ok());
        assert!(matches!(
            v6("2001:db8::/64"),
            Err(PoolError::NotPrivate { .. })
        ));
        assert!(matches!(v6("fd00::/120"), Err(PoolError::BadSize { .. })));
    }
}
