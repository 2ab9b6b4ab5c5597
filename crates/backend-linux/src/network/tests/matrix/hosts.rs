//! Several hosts side by side, each with a runner of its own.
//!
//! What a sandbox reaches of another host is decided twice: by the policy on its
//! own host, and by that host, which lets nobody in to its sandboxes.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use palisade_model::cidr::Cidr;
use palisade_model::policy::{EgressRules, Surroundings, Target, decide};
use palisade_model::profile::{EgressMode, Scope};

use super::super::super::layout::{FAR_HARDWARE, NEAR_HARDWARE};
use super::super::super::{Config, Network, Pool4, Pool6, PoolChoice};
use super::super::probe::{Outcome, Protocol, probe_briefly, probe_port};
use super::super::world::{World, allowlist, run, serve, serve_on};
use super::{CALLERS, Peer, exposing, modes, standing};
use crate::netlink::Socket;
use crate::netlink::interface::{self, End};

/// The numbers of the hosts, which are in their addresses.
const HOSTS: [u8; 3] = [71, 72, 73];
/// Where they answer.
const PORT: u16 = 9;

struct Place {
    world: World,
    network: Network,
    number: u8,
}

impl Place {
    /// A host with other pools than the others.
    fn new(number: u8) -> Self {
        let world = World::new();
        let range = |text: String| text.parse::<Cidr>().unwrap();
        let v4 = Pool4::new(range(format!("10.{number}.0.0/16")));
        let v6 = Pool6::new(range(format!("fd{number}::/64")));
        let config = Config {
            pool4: PoolChoice::Fixed(v4.unwrap()),
            pool6: PoolChoice::Fixed(v6.unwrap()),
            ..world.config()
        };
        let network = world.open_with(&config);
        Self {
            world,
            network,
            number,
        }
    }

    /// Its addresses on the link to another host: private and public ones.
    fn addresses(&self) -> [String; 4] {
        let number = self.number;
        [
            format!("192.168.{number}.1"),
            format!("151.101.{number}.1"),
            format!("fd99:{number}::1"),
            format!("2606:4700:{number}::1"),
        ]
    }

    /// Lays a cable to another host; both know how to reach all of the other.
    fn link(&self, other: &Self) {
        let name = format!("lan{}", self.number + other.number);
        let end = |hardware| End {
            name: &name,
            hardware,
        };
        let far = other.world.host.as_fd();
        let cable = interface::cable(end(NEAR_HARDWARE), end(FAR_HARDWARE), far, 1400);
        let lay = || Socket::route().unwrap().execute(&[cable]).unwrap();
        self.world.host.visit(lay).unwrap();
        for (own, peer) in [(self, other), (other, self)] {
            let host = &own.world.host;
            run(
                host,
                &format!("sysctl -qw net.ipv6.conf.{name}.accept_dad=0; ip link set {name} up"),
            );
            for address in own.addresses() {
                run(host, &format!("ip addr replace {address} dev {name}"));
            }
            for address in peer.addresses() {
                run(host, &format!("ip route replace {address} dev {name}"));
            }
        }
        for (own, peer) in [(self, other), (other, self)] {
            let ways = peer.addresses();
            for (pool, way) in peer.network.layout.pools().zip([&ways[0], &ways[2]]) {
                let route = format!("ip route replace {pool} via {way} dev {name}");
                run(&own.world.host, &route);
            }
        }
    }

    /// Answers at each of them, with that as the sender of datagrams.
    fn answer(&self) {
        for address in self.addresses() {
            let address = SocketAddr::new(address.parse().unwrap(), PORT);
            self.world.host.visit(|| serve_on(address)).unwrap();
        }
    }

    fn surroundings(&self) -> Surroundings {
        let host = self.network.host.lock().unwrap().survey().unwrap();
        self.network.surroundings(host.host_addresses())
    }

    /// A sandbox that everybody may call, as far as it is concerned.
    fn target(&self) -> Peer {
        let standing = palisade_model::policy::Standing {
            exposed: Some(exposing(Scope::Any)),
            ..standing(CALLERS[0], EgressMode::Org)
        };
        let peer = Peer::new(standing, &self.network);
        peer.sandbox.namespace.visit(serve).unwrap();
        peer
    }
}

/// The modes, and a list of everything that the other hosts have.
fn all_modes() -> Vec<EgressMode> {
    let ranges = HOSTS.map(|number| {
        [
            format!("192.168.{number}.0/24"),
            format!("10.{number}.0.0/16"),
            format!("fd99:{number}::/64"),
            format!("fd{number}::/64"),
        ]
    });
    let ranges = ranges.iter().flatten().map(String::as_str);
    let listed = allowlist(&ranges.collect::<Vec<_>>());
    modes().into_iter().chain([listed]).collect()
}

/// Probes one address in every way, and returns how often.
fn probe_address(caller: &Peer, from: &Place, to: IpAddr, is_let_in: bool) -> usize {
    let standing = &caller.sandbox.standing;
    let rules = EgressRules::new(&standing.egress, &from.surroundings());
    let verdict = decide(&rules, standing.party(), Target::Address(to));
    for protocol in Protocol::ALL {
        let inside = &caller.sandbox.namespace;
        let (seen, expected) = match (verdict.is_allowed(), is_let_in) {
            (true, false) => (probe_briefly(inside, protocol, to), Outcome::Lost),
            (is_allowed, _) => (
                probe_port(inside, protocol, SocketAddr::new(to, PORT)),
                super::expected(is_allowed),
            ),
        };
        let mode = &standing.egress;
        assert_eq!(seen, expected, "{mode:?} {protocol:?} {to}: {verdict}");
    }
    Protocol::ALL.len()
}

#[test]
fn hosts_are_reached_as_the_model_says_and_their_sandboxes_by_nobody() {
    let places = HOSTS.map(Place::new);
    let [first, second, third] = &places;
    first.link(second);
    first.link(third);
    for place in &places {
        place.network.refresh().unwrap();
        place.answer();
    }
    let targets = [second.target(), third.target()];
    let mut count = 0;
    for mode in all_modes() {
        let caller = Peer::new(standing(CALLERS[0], mode), &first.network);
        for (place, target) in [second, third].into_iter().zip(&targets) {
            for address in place.addresses() {
                count += probe_address(&caller, first, address.parse().unwrap(), true);
            }
            let router = place.network.layout.router();
            for address in target.addresses.iter().chain(router.iter()) {
                count += probe_address(&caller, first, address, false);
            }
        }
        first.network.detach(caller.sandbox.id).unwrap();
    }
    println!("{count} probes, all equal to the model");
}
