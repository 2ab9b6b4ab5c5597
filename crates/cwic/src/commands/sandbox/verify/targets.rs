//! Which addresses and names are worth asking about.
//!
//! Pure: they follow from the egress mode, from what lies around the sandboxes
//! and from what the sandbox sees of itself. What should come of each is decided
//! by the model alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use palisade_init_protocol::probe::{Host, HostName, Probe, Sight};
use palisade_model::policy::{Door, EgressRules, NameKind, Surroundings};
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::Protocol;

use super::table::{Expected, Question};

/// The most ranges of an allowlist whose edges are asked about.
pub(super) const RANGES_MAX: usize = 24;
/// The most addresses of the machine that are asked about.
const HOSTS_MAX: usize = 16;

const SSH: u16 = 22;
const DNS: u16 = 53;
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Ports at which services of machines listen, for their loopback.
const SERVICES: [u16; 8] = [SSH, DNS, HTTP, HTTPS, 5432, 6443, 8080, 10250];

/// Where clouds tell machines their secrets.
const METADATA: [&str; 6] = [
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
];

/// One address of each range that networks of organizations use.
const PRIVATE: [(&str, &str); 6] = [
    ("private network", "10.255.255.254"),
    ("private network", "172.31.255.254"),
    ("private network", "192.168.255.254"),
    ("shared network", "100.127.255.254"),
    ("link-local network", "169.254.77.77"),
    ("unique local network", "fd12:3456:789a::1"),
];

/// Servers of names that everybody knows, as the internet.
const PUBLIC: [&str; 4] = [
    "1.1.1.1",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
];

/// A name that is set aside for such purposes.
const PUBLIC_NAME: &str = "example.com";

/// What a sandbox that is asked knows, and what is known of it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) mode: &'a EgressMode,
    pub(super) here: &'a Surroundings,
    pub(super) seen: &'a [Sight],
    /// Where the server is that this program talks to.
    pub(super) server_port: Option<NonZeroU16>,
    /// Addresses of sandboxes, about which is asked in another way.
    pub(super) sandboxes: &'a BTreeSet<IpAddr>,
}

struct Asking<'a> {
    rules: EgressRules,
    view: &'a View<'a>,
    known: BTreeSet<Probe>,
    questions: Vec<Question>,
}

/// Everything to ask a sandbox, other sandboxes aside.
pub(super) fn questions(view: &View<'_>) -> Vec<Question> {
    let mut asking = Asking {
        rules: EgressRules::new(view.mode, view.here),
        view,
        known: BTreeSet::new(),
        questions: Vec::new(),
    };
    asking.machine();
    asking.surroundings();
    asking.network();
    asking.internet();
    asking.edges();
    asking.names();
    asking.questions
}

impl Asking<'_> {
    fn machine(&mut self) {
        let hosts = self.view.here.host.iter().map(|range| range.first());
        for address in hosts.take(HOSTS_MAX).collect::<Vec<_>>() {
            self.ask("host", address.into(), SSH);
            if let Some(port) = self.view.server_port {
                self.connect("host, port of the server", address.into(), port);
            }
        }
        let server = self.view.server_port;
        let services = SERVICES.into_iter().filter_map(NonZeroU16::new);
        let ports: Vec<NonZeroU16> = services.chain(server).collect();
        for address in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ] {
            for port in &ports {
                let probe = Probe::Tcp(address.into(), *port);
                self.add("host loopback", probe, Expected::OwnLoopback);
            }
        }
    }

    fn surroundings(&mut self) {
        for sight in self.view.seen {
            match sight {
                Sight::Gateway(host) => self.ask("gateway", *host, HTTP),
                Sight::Resolver(host) => self.ask("resolver, beside its port", *host, HTTP),
                Sight::Address(_) => {}
            }
        }
        let Surroundings {
            host: _,
            sandboxes,
            control,
            cluster,
        } = self.view.here;
        for (what, ranges) in [
            ("pool of sandboxes", sandboxes),
            ("control address", control),
            ("cluster", cluster),
        ] {
            for range in ranges {
                self.ask(
                    &format!("{what}, first of {range}"),
                    range.first().into(),
                    HTTPS,
                );
                self.ask(
                    &format!("{what}, last of {range}"),
                    range.last().into(),
                    HTTPS,
                );
            }
        }
    }

    fn network(&mut self) {
        for address in METADATA {
            self.ask_text("metadata", address, HTTP);
        }
        for (what, address) in PRIVATE {
            self.ask_text(what, address, HTTPS);
        }
    }

    fn internet(&mut self) {
        for address in PUBLIC {
            self.ask_text("internet", address, HTTPS);
            if let (Ok(server), Ok(name)) = (address.parse::<Host>(), PUBLIC_NAME.parse()) {
                let expected = self.expected_at(server, Protocol::Udp, DNS);
                self.add("DNS direct", Probe::Dns(server, name), expected);
            }
        }
    }

    /// The first and last address of each range of a list, and those beside.
    fn edges(&mut self) {
        let EgressMode::Allowlist(ranges) = self.view.mode else {
            return;
        };
        for range in ranges.iter().take(RANGES_MAX) {
            let (first, last) = (range.first(), range.last());
            self.ask(&format!("first of {range}"), first.into(), HTTPS);
            self.ask(&format!("last of {range}"), last.into(), HTTPS);
            if let Some(address) = beside(first, false) {
                self.ask(&format!("just before {range}"), address.into(), HTTPS);
            }
            if let Some(address) = beside(last, true) {
                self.ask(&format!("just after {range}"), address.into(), HTTPS);
            }
        }
    }

    /// A name of the internet, asked of whoever is there to be asked.
    fn names(&mut self) {
        let Ok(name) = PUBLIC_NAME.parse::<HostName>() else {
            return;
        };
        for server in resolvers(self.view.seen) {
            let verdict = self.rules.name(NameKind::Other);
            let probe = Probe::Dns(server, name.clone());
            self.add("name by the resolver", probe, Expected::Name(verdict));
        }
    }

    fn ask_text(&mut self, target: &str, address: &str, port: u16) {
        // A constant of this module; a test holds that each of them is one.
        if let Ok(address) = address.parse::<IpAddr>() {
            self.ask(target, address.into(), port);
        }
    }

    /// Asks by every protocol.
    fn ask(&mut self, target: &str, host: Host, port: u16) {
        let Some(port) = NonZeroU16::new(port) else {
            return;
        };
        self.connect(target, host, port);
        let verdict = Expected::Address(self.rules.address(host.address));
        self.add_if_other(target, Probe::Icmp(host), verdict);
    }

    /// Asks for a port, by both protocols that have some.
    fn connect(&mut self, target: &str, host: Host, port: NonZeroU16) {
        let tcp = self.expected_at(host, Protocol::Tcp, port.get());
        let udp = self.expected_at(host, Protocol::Udp, port.get());
        self.add_if_other(target, Probe::Tcp(host, port), tcp);
        self.add_if_other(target, Probe::Udp(host, port), udp);
    }

    fn add_if_other(&mut self, target: &str, probe: Probe, expected: Expected) {
        let (Probe::Tcp(host, _) | Probe::Udp(host, _) | Probe::Icmp(host) | Probe::Dns(host, _)) =
            &probe;
        let address = host.address;
        if leaves(address) && !self.view.sandboxes.contains(&address) {
            self.add(target, probe, expected);
        }
    }

    fn add(&mut self, target: &str, probe: Probe, expected: Expected) {
        if self.known.insert(probe.clone()) {
            self.questions.push(Question {
                target: target.to_owned(),
                probe,
                expected,
            });
        }
    }

    fn expected_at(&self, host: Host, protocol: Protocol, port: u16) -> Expected {
        Expected::Address(self.rules.port(host.address, Door { protocol, port }))
    }
}

/// Whom a sandbox can ask for names: its resolvers, or else whatever stands where
/// one would be.
pub(super) fn resolvers(seen: &[Sight]) -> Vec<Host> {
    let resolvers = seen.iter().filter_map(|sight| match sight {
        Sight::Resolver(host) => Some(*host),
        Sight::Address(_) | Sight::Gateway(_) => None,
    });
    let resolvers: Vec<Host> = resolvers.collect();
    if !resolvers.is_empty() {
        return resolvers;
    }
    let gateways = seen.iter().filter_map(|sight| match sight {
        Sight::Gateway(host) => Some(*host),
        Sight::Address(_) | Sight::Resolver(_) => None,
    });
    gateways.collect()
}

/// Whether packets to an address leave the sandbox as packets to that address.
fn leaves(address: IpAddr) -> bool {
    let is_mapped = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    !address.is_loopback() && !address.is_unspecified() && !is_mapped
}

/// The next address, or the one before.
fn beside(address: IpAddr, is_after: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let beside = if is_after {
                bits.checked_add(1)
            } else {
                bits.checked_sub(1)
            };
            beside.map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let beside = if is_after {
                bits.checked_add(1)
            } else {
                bits.checked_sub(1)
            };
            beside.map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

#[cfg(test)]
mod tests;
