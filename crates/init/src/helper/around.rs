//! The program that says what a sandbox sees of its own network.

use std::collections::BTreeSet;
use std::io;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use palisade_init_protocol::probe::{Host, Sight};

/// The most bytes of each file that are looked at.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A route that goes through another machine.
const FLAG_GATEWAY: u32 = 0x2;

/// Prints everything that is seen.
pub(crate) fn run() -> ExitCode {
    let mut seen: BTreeSet<Sight> = addresses();
    seen.extend(gateways4(&text_of("/proc/net/route")));
    seen.extend(gateways6(&text_of("/proc/net/ipv6_route"), index_of));
    seen.extend(resolvers(&text_of("/etc/resolv.conf")));
    let print = || -> io::Result<()> {
        let mut out = io::stdout().lock();
        for sight in &seen {
            writeln!(out, "{sight}")?;
        }
        out.flush()
    };
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn addresses() -> BTreeSet<Sight> {
    let mut seen = BTreeSet::new();
    let Ok(interfaces) = getifaddrs() else {
        return seen;
    };
    for address in interfaces.filter_map(|interface| interface.address) {
        let host = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => Host::from(IpAddr::from(v4.ip())),
            (None, Some(v6)) => Host {
                address: v6.ip().into(),
                scope: v6.scope_id(),
            },
            (None, None) => continue,
        };
        if !host.address.is_loopback() {
            seen.insert(Sight::Address(host));
        }
    }
    seen
}

/// The gateways of default routes, as the kernel lists routes of version 4: the
/// numbers are in the order of the machine.
fn gateways4(table: &str) -> Vec<Sight> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, gateway, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let is_default = number(to)? == 0 && number(flags)? & FLAG_GATEWAY != 0;
        let gateway = Ipv4Addr::from(number(gateway)?.to_ne_bytes());
        is_default.then(|| Sight::Gateway(IpAddr::from(gateway).into()))
    });
    lines.collect()
}

/// Likewise of version 6; the numbers are in the order of the network.
fn gateways6(table: &str, index_of: impl Fn(&str) -> u32) -> Vec<Sight> {
    let lines = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [to, len, _, _, gateway, _, _, _, flags, interface] = fields[..] else {
            return None;
        };
        let is_default = number(len)? == 0 && u128::from_str_radix(to, 16).ok()? == 0;
        let address = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        if !is_default || number(flags)? & FLAG_GATEWAY == 0 {
            return None;
        }
        let is_link_local = address.is_unicast_link_local();
        Some(Sight::Gateway(Host {
            address: address.into(),
            scope: if is_link_local {
                index_of(interface)
            } else {
                0
            },
        }))
    });
    lines.collect()
}

fn resolvers(text: &str) -> Vec<Sight> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = (words.next()? == "nameserver").then(|| words.next())??;
        Some(Sight::Resolver(server.parse().ok()?))
    });
    lines.collect()
}

fn number(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn index_of(interface: &str) -> u32 {
    if_nametoindex(interface).unwrap_or(0)
}

/// What cannot be read holds nothing.
fn text_of(path: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // A part is as good as what there is.
        let _ = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_those_of_default_routes() {
        let [a, b, c, d] = Ipv4Addr::new(169, 254, 1, 1).octets();
        let gateway = u32::from_ne_bytes([a, b, c, d]);
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\n\
             eth0\t0101FEA9\t00000000\t0005\t0\n\
             nonsense\n"
        );
        let seen = gateways4(&table);
        assert_eq!(seen, ["gateway 169.254.1.1".parse::<Sight>().unwrap()]);
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"
        );
        let seen = gateways6(&table, |_| 7);
        assert_eq!(seen, ["gateway fe80::1%7".parse::<Sight>().unwrap()]);
    }

    #[test]
    fn resolvers_are_those_that_can_be_asked() {
        let seen =
            resolvers("# a\nnameserver 169.254.1.1\nnameserver x\nsearch a.b\nnameserver ::1");
        let wanted = ["resolver 169.254.1.1", "resolver ::1"];
        assert_eq!(seen, wanted.map(|line| line.parse::<Sight>().unwrap()));
    }
}
