//! What a sandbox sees of its own network.

use std::fmt;
use std::str::FromStr;

use super::{BadProbe, Host, cut};

/// One thing that a sandbox sees of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    /// An address of its own, other than the loopback.
    Address(Host),
    /// Where it sends what goes far away.
    Gateway(Host),
    /// Whom it asks for names.
    Resolver(Host),
}

impl FromStr for Sight {
    type Err = BadProbe;

    fn from_str(line: &str) -> Result<Self, BadProbe> {
        match line.split_once(' ') {
            Some(("address", host)) => Ok(Self::Address(host.parse()?)),
            Some(("gateway", host)) => Ok(Self::Gateway(host.parse()?)),
            Some(("resolver", host)) => Ok(Self::Resolver(host.parse()?)),
            Some(_) | None => Err(BadProbe::Form { text: cut(line) }),
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(host) => write!(f, "address {host}"),
            Self::Gateway(host) => write!(f, "gateway {host}"),
            Self::Resolver(host) => write!(f, "resolver {host}"),
        }
    }
}
