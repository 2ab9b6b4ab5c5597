//! Ranges of IP addresses, version 4 and 6.
//!
//! A range written with bits set behind its prefix is refused, not silently
//! widened: `10.0.0.7/8` may have been meant as a host or as a network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range of addresses, such as `140.82.112.0/20` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(IpNet);

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not an address with a prefix length.
    #[error("must be an address range such as 140.82.112.0/20 or 2001:db8::/32")]
    Malformed,
    /// The address has no prefix length.
    #[error("needs a prefix length; for this one address write {suggestion}")]
    NoPrefix {
        /// The range that holds just this address.
        suggestion: Cidr,
    },
    /// Bits are set behind the prefix.
    #[error("has bits set behind its prefix; the network is {suggestion}")]
    HostBits {
        /// The range with those bits cleared.
        suggestion: Cidr,
    },
    /// A version 4 range in version 6 clothes.
    #[error("is an IPv4 range written as IPv6; write it as IPv4")]
    MappedIpv4,
}

impl Cidr {
    /// A version 4 range for a table in the code; a test has to read it back,
    /// since bits behind the prefix are not refused here.
    pub(crate) const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        Self(IpNet::V4(Ipv4Net::new_assert(
            Ipv4Addr::from_octets(octets),
            prefix,
        )))
    }

    /// A version 6 range for a table in the code, likewise.
    pub(crate) const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        Self(IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::from_segments(segments),
            prefix,
        )))
    }

    /// The two halves of the range; `None` for a single address.
    pub(crate) fn halves(self) -> Option<[Self; 2]> {
        let mut halves = self.0.subnets(self.prefix_len().checked_add(1)?).ok()?;
        Some([Self(halves.next()?), Self(halves.next()?)])
    }

    /// The range that starts at an address and shares this many leading bits.
    pub fn new(first: IpAddr, prefix_len: u8) -> Result<Self, CidrError> {
        let net = IpNet::new(first, prefix_len).map_err(|_| CidrError::Malformed)?;
        Self::checked(net)
    }

    fn checked(net: IpNet) -> Result<Self, CidrError> {
        if net.trunc() != net {
            return Err(CidrError::HostBits {
                suggestion: Self(net.trunc()),
            });
        }
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && v6.network().to_ipv4_mapped().is_some()
        {
            return Err(CidrError::MappedIpv4);
        }
        Ok(Self(net))
    }

    /// The range of exactly one address.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// Whether the address lies in this range.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether every address of `other` lies in this range.
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The lowest address of the range.
    pub fn first(self) -> IpAddr {
        self.0.network()
    }

    /// The highest address of the range.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// The number of leading bits that all addresses of the range share.
    pub fn prefix_len(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether this is a version 4 range.
    pub fn is_ipv4(self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let Some((address, prefix_len)) = text.split_once('/') else {
            let address = text.parse::<IpAddr>();
            return Err(
                address.map_or(CidrError::Malformed, |address| CidrError::NoPrefix {
                    suggestion: Self::host(address),
                }),
            );
        };
        let address = address
            .parse::<IpAddr>()
            .map_err(|_| CidrError::Malformed)?;
        let prefix_len = decimal(prefix_len).ok_or(CidrError::Malformed)?;
        Self::checked(IpNet::new(address, prefix_len).map_err(|_| CidrError::Malformed)?)
    }
}

/// A number written the one way: others would read `010` as eight, or refuse it.
fn decimal(text: &str) -> Option<u8> {
    let number = text.parse::<u8>().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let v4: Cidr = "140.82.112.0/20".parse().unwrap();
        assert_eq!(v4.last(), "140.82.127.255".parse::<IpAddr>().unwrap());
        let v6: Cidr = "2001:db8::/32".parse().unwrap();
        assert!(v6.contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!v6.is_ipv4());
    }

    #[test]
    fn each_broken_rule_says_what_to_write() {
        let message = |text: &str| text.parse::<Cidr>().unwrap_err().to_string();
        assert!(message("10.0.0.7/8").contains("10.0.0.0/8"));
        assert!(message("10.0.0.7").contains("10.0.0.7/32"));
        assert!(message("10.0.0.0/33").contains("must be an address range"));
        assert!(message("example.com").contains("must be an address range"));
        for text in [
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
        ] {
            assert!(message(text).contains("must be an address range"), "{text}");
        }
        assert!(message("::ffff:10.0.0.0/104").contains("IPv4"));
    }

    #[test]
    fn a_range_made_of_its_parts_obeys_the_same_rules() {
        let made = |first: &str, len| Cidr::new(first.parse().unwrap(), len);
        assert_eq!(made("10.0.0.0", 8), "10.0.0.0/8".parse());
        assert_eq!(made("10.0.0.0", 33), Err(CidrError::Malformed));
        assert!(matches!(
            made("10.0.0.7", 8),
            Err(CidrError::HostBits { .. })
        ));
    }

    proptest! {
        #[test]
        fn a_range_prints_as_it_was_parsed(bits in any::<u32>(), prefix in 0u8..=32) {
            let net = Ipv4Net::new(bits.into(), prefix).unwrap().trunc();
            let cidr: Cidr = net.to_string().parse().unwrap();
            prop_assert_eq!(cidr.to_string(), net.to_string());
            prop_assert!(cidr.contains(cidr.first()) && cidr.contains(cidr.last()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<Cidr>();
        }
    }
}
