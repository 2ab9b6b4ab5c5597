//! Addresses as probes name them.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

use super::{BadProbe, cut};

/// An address, and for one that means something on a single link only, which
/// link that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// The address.
    pub address: IpAddr,
    /// The number of the interface; 0 for none.
    pub scope: u32,
}

impl Host {
    /// This address at a port, for the kernel.
    pub fn at(self, port: u16) -> SocketAddr {
        match self.address {
            IpAddr::V4(address) => SocketAddrV4::new(address, port).into(),
            IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, self.scope).into(),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self { address, scope: 0 }
    }
}

impl FromStr for Host {
    type Err = BadProbe;

    fn from_str(text: &str) -> Result<Self, BadProbe> {
        let bad = || BadProbe::Address { text: cut(text) };
        let (address, scope) = match text.split_once('%') {
            Some((address, scope)) => (address, scope.parse().map_err(|_| bad())?),
            None => (text, 0),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        if address.is_ipv4() && scope != 0 {
            return Err(bad());
        }
        Ok(Self { address, scope })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            0 => write!(f, "{}", self.address),
            scope => write!(f, "{}%{scope}", self.address),
        }
    }
}
