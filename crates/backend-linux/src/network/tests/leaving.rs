//! Many sandboxes with ports and addresses that come and go, and what is left of them: nothing.

use palisade_model::pool::Room;
use palisade_model::profile::Scope;

use super::super::{Config, ExternalPools, Kind, Network, Services};
use super::attaching::held;
use super::services::{EXPOSED, pool, standing, wish, world};
use super::world::{Sandbox, World, run, serve_at};

/// Everything that the kernel has of a network, as text.
fn everything(world: &World, network: &Network) -> String {
    let looks = "nft list ruleset; ip -o link; ip -o addr; ip route; ip -6 route; \
                 ip neigh show proxy; ip -6 neigh show proxy";
    let (router, host) = (run(&network.router, looks), run(&world.host, looks));
    format!("{:?}\n{router}\n{host}", held(network))
}

fn come_and_go(count: usize, rounds: usize) {
    let world = world();
    let pools = [("far", "198.51.100.0/24"), ("far", "fd99:1::/120")];
    let pools = pools.map(|(name, range)| (name.parse().unwrap(), range.parse().unwrap()));
    let config = Config {
        services: Services {
            node_ports: Some("30000-30299".parse().unwrap()),
            node_address: None,
            pools: ExternalPools::new(pools).unwrap(),
        },
        ..world.config()
    };
    let network = world.open_with(&config);
    let before = everything(&world, &network);
    for _ in 0..rounds {
        let sandboxes = (0..count)
            .map(|turn| come(&network, turn))
            .collect::<Vec<_>>();
        let taken = network.rooms();
        let used = taken.node_ports.map_or(0, |room| room.used) + taken.addresses["far"].used;
        assert_eq!(used as usize, count);
        for sandbox in &sandboxes {
            network.detach(sandbox.id).unwrap();
        }
        assert!(network.await_departures());
        assert_eq!(everything(&world, &network), before);
        let rooms = network.rooms();
        let all = rooms.node_ports.iter().chain(rooms.addresses.values());
        assert!(
            all.into_iter().all(|Room { used, .. }| *used == 0),
            "{rooms:?}"
        );
    }
    network.close().unwrap();
    let left = run(&world.host, "nft list ruleset; ip -o link show; ip route");
    assert!(
        !left.contains("pal-") && !left.contains("palisade"),
        "{left}"
    );
}

/// By turns with a port of the host and with an address, of every scope.
fn come(network: &Network, turn: usize) -> Sandbox {
    let kind = [Kind::NodePort, pool("far")][turn % 2].clone();
    let scope = Scope::ALL[turn / 2 % Scope::ALL.len()];
    let sandbox = Sandbox {
        wish: Some(wish(kind)),
        ..Sandbox::standing(standing("acme", "ada", 1, Some(scope)))
    };
    sandbox.attach(network).unwrap();
    sandbox
}

#[test]
fn nothing_is_left_of_sandboxes_with_ports_and_addresses() {
    come_and_go(32, 3);
}

/// The figure that is promised; takes minutes.
#[test]
#[ignore = "takes minutes; cargo test -p palisade-backend-linux --lib five_hundred -- --ignored"]
fn nothing_is_left_of_five_hundred_sandboxes_that_came_five_times() {
    come_and_go(500, 5);
}

#[test]
fn a_real_neighbour_finds_an_address_of_version_6_on_its_own_link() {
    use super::probe::{Outcome, Protocol, probe_port};
    let world = world();
    run(&world.host, "ip addr add fd99:2::1/64 dev wan0 nodad");
    run(&world.outside, "ip addr add fd99:2::2/64 dev wan0 nodad");
    // Without it the kernel answers for nobody, which the operator is told.
    run(&world.host, "sysctl -qw net.ipv6.conf.wan0.forwarding=1");
    let pools = [("link".parse().unwrap(), "fd99:2::10/125".parse().unwrap())];
    let config = Config {
        services: Services {
            node_ports: None,
            node_address: None,
            pools: ExternalPools::new(pools).unwrap(),
        },
        ..world.config()
    };
    let network = world.open_with(&config);
    let open = come_to_link(&network, Scope::Any);
    let closed = come_to_link(&network, Scope::Org);
    let [to, not] = [&open, &closed].map(|sandbox| network.service_address(sandbox.id).unwrap());
    assert!(to.is_ipv6());
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        assert_eq!(probe_port(&world.outside, protocol, to), Outcome::Answered);
        assert_eq!(probe_port(&world.outside, protocol, not), Outcome::Refused);
    }
    // It asked on the link, and the host answered in the place of the sandbox.
    let neighbours = run(&world.outside, "ip -6 neigh show dev wan0");
    let own = run(
        &world.host,
        "cat /sys/class/net/wan0/address 2>/dev/null || ip -o link show wan0",
    );
    let hardware = own
        .split_whitespace()
        .find(|word| word.len() == 17)
        .unwrap()
        .to_owned();
    let line = neighbours
        .lines()
        .find(|line| line.starts_with(&format!("{} ", to.ip())));
    assert!(
        line.is_some_and(|line| line.contains(&hardware)),
        "{neighbours} {hardware}"
    );
    for sandbox in [&open, &closed] {
        network.detach(sandbox.id).unwrap();
    }
    assert_ne!(
        probe_port(&world.outside, Protocol::Tcp, to),
        Outcome::Answered
    );
    network.close().unwrap();
    assert_eq!(run(&world.host, "ip -6 neigh show proxy"), "");
}

fn come_to_link(network: &Network, scope: Scope) -> Sandbox {
    let sandbox = Sandbox {
        wish: Some(wish(pool("link"))),
        ..Sandbox::standing(standing("acme", "ada", 1, Some(scope)))
    };
    sandbox.attach(network).unwrap();
    sandbox.namespace.visit(|| serve_at(EXPOSED)).unwrap();
    sandbox
}
