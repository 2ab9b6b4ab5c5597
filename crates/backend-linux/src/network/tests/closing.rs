//! What each egress mode opens and closes, with real packets of each protocol.

use std::net::IpAddr;

use palisade_model::cidr::Cidr;
use palisade_model::profile::EgressMode;

use super::super::namespace::Namespace;
use super::probe::{Outcome, Protocol, probe, probe_briefly};
use super::world::{HOST_ADDRESSES, Sandbox, World, allowlist, run, serve};

/// Public addresses that the internet of the world answers for.
const PUBLIC: [&str; 2] = ["140.82.112.10", "2606:2800:220:1::1"];
/// Those that are set apart; the internet of the world would answer for most.
const SET_APART: [&str; 22] = [
    "0.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.1.2",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "240.0.0.1",
    "64:ff9b::8c52:700a",
    "2001:db8::1",
    "2002:8c52:700a::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fec0::1",
];

/// Lets probes be made from a namespace that is not a sandbox's.
fn allow_ping(inside: &Namespace) {
    run(
        inside,
        "sysctl -qw net.ipv4.ping_group_range='0 2147483647'",
    );
}

/// Probes by every protocol and names those that did not come out as expected.
fn assert_all(sandbox: &Sandbox, addresses: &[&str], expected: Outcome) {
    for address in addresses {
        for protocol in Protocol::ALL {
            let seen = probe(&sandbox.namespace, protocol, address.parse().unwrap());
            let mode = sandbox.standing.egress.kind();
            assert_eq!(seen, expected, "{mode:?} {protocol:?} {address}");
        }
    }
}

#[test]
fn the_internet_of_the_world_answers_for_everybody() {
    // Else the other tests here would prove nothing.
    let world = World::new();
    allow_ping(&world.host);
    for address in PUBLIC.iter().chain(&["10.0.0.1", "192.168.1.1", "fc00::1"]) {
        for protocol in Protocol::ALL {
            let seen = probe(&world.host, protocol, address.parse().unwrap());
            assert_eq!(seen, Outcome::Answered, "{protocol:?} {address}");
        }
    }
}

#[test]
fn the_mode_none_opens_nothing() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::None, &network);
    assert_all(&sandbox, &PUBLIC, Outcome::Refused);
    assert_all(&sandbox, &HOST_ADDRESSES, Outcome::Refused);
    assert_all(&sandbox, &["10.0.0.1", "fc00::1"], Outcome::Refused);
}

#[test]
fn the_mode_internet_opens_no_address_that_is_set_apart() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_all(&sandbox, &PUBLIC, Outcome::Answered);
    assert_all(&sandbox, &SET_APART, Outcome::Refused);
}

#[test]
fn an_allowlist_opens_what_it_lists_to_the_last_address() {
    let world = World::new();
    let network = world.open();
    let list = ["140.82.112.16/28", "10.1.2.0/24", "2606:2800:220:1::/64"];
    let (sandbox, _) = Sandbox::attached_to(allowlist(&list), &network);
    let inside = [
        "140.82.112.16",
        "140.82.112.31",
        "10.1.2.0",
        "10.1.2.255",
        "2606:2800:220:1::",
        "2606:2800:220:1:ffff:ffff:ffff:ffff",
    ];
    let outside = [
        "140.82.112.15",
        "140.82.112.32",
        "10.1.1.255",
        "10.1.3.0",
        "2606:2800:220:0:ffff:ffff:ffff:ffff",
        "2606:2800:220:2::",
        "192.168.1.1",
        "fc00::1",
    ];
    assert_all(&sandbox, &inside, Outcome::Answered);
    assert_all(&sandbox, &outside, Outcome::Refused);
}

#[test]
fn the_servers_of_the_demo_stand_for_what_it_says() {
    let world = World::new();
    let network = world.open();
    let public = ["192.31.196.112", "2620:4f:8000::112"];
    let listable = ["203.0.113.112", "10.112.0.112", "2001:db8:113::112"];
    let (open, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_all(&open, &public, Outcome::Answered);
    assert_all(&open, &listable, Outcome::Refused);
    let list = ["203.0.113.0/24", "10.112.0.112/32", "2001:db8:113::/48"];
    let (listed, _) = Sandbox::attached_to(allowlist(&list), &network);
    assert_all(&listed, &public, Outcome::Refused);
    assert_all(&listed, &listable, Outcome::Answered);
}

#[test]
fn no_list_opens_metadata_or_the_host() {
    let world = World::new();
    let network = world.open();
    let list = [
        "169.254.169.254/32",
        "fd00:ec2::254/128",
        "168.63.129.16/32",
        "192.168.77.0/24",
        "93.184.216.0/24",
        "2606:2800:220:2::/64",
        "fd99::/16",
        "0.0.0.0/0",
        "::/0",
    ];
    let (sandbox, _) = Sandbox::attached_to(allowlist(&list), &network);
    let metadata = ["169.254.169.254", "fd00:ec2::254", "168.63.129.16"];
    assert_all(&sandbox, &metadata, Outcome::Refused);
    assert_all(&sandbox, &HOST_ADDRESSES, Outcome::Refused);
    // Their neighbours are listed and open.
    assert_all(
        &sandbox,
        &["93.184.216.3", "2606:2800:220:2::3"],
        Outcome::Answered,
    );
}

#[test]
fn the_host_is_closed_at_every_address_it_has() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_all(&sandbox, &HOST_ADDRESSES, Outcome::Refused);
    // Both ends of the uplink, and the sandbox's own gateway.
    let ends = network
        .layout
        .host()
        .iter()
        .chain(network.layout.router().iter());
    for address in ends.chain(network.resolver().iter()) {
        assert_all(&sandbox, &[&address.to_string()], Outcome::Refused);
    }
}

#[test]
fn the_loopback_of_the_host_is_out_of_reach() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    // By themselves they are the sandbox's own, where nothing listens.
    for address in ["127.0.0.1", "::1"] {
        let address = address.parse().unwrap();
        let seen = probe(&sandbox.namespace, Protocol::Tcp, address);
        assert_eq!(seen, Outcome::Refused, "{address}");
    }
    // Whoever is root inside may send them out all the same.
    run(
        &sandbox.namespace,
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1
        ip route del local 127.0.0.0/8 dev lo table local || true
        ip route del local 127.0.0.1 dev lo table local || true
        ip -6 route del local ::1 dev lo table local || true
        ip route add 127.0.0.0/8 via 169.254.1.1 dev eth0 onlink
        ip -6 route add ::1 via fe80::1 dev eth0",
    );
    for address in ["127.0.0.1", "127.0.0.53", "::1"] {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let address: IpAddr = address.parse().unwrap();
            let seen = probe_briefly(&sandbox.namespace, protocol, address);
            assert_ne!(seen, Outcome::Answered, "{protocol:?} {address}");
        }
    }
}

#[test]
fn sandboxes_do_not_reach_each_other() {
    let world = World::new();
    let network = world.open();
    let (target, attached) = Sandbox::attached_to(EgressMode::Internet, &network);
    target.namespace.visit(serve).unwrap();
    let own = attached.addresses.iter().map(|address| address.to_string());
    let own = own.collect::<Vec<_>>();
    let own = own.iter().map(String::as_str).collect::<Vec<_>>();
    // It does answer: to itself.
    assert_all(&target, &own, Outcome::Answered);
    let hosts = attached.addresses.iter().map(Cidr::host);
    let modes = [
        EgressMode::None,
        EgressMode::Internet,
        EgressMode::Allowlist(network.layout.pools().collect()),
        EgressMode::Allowlist(hosts.collect()),
    ];
    for mode in modes {
        let (caller, _) = Sandbox::attached_to(mode, &network);
        assert_all(&caller, &own, Outcome::Refused);
    }
}

#[test]
fn nobody_outside_opens_connections_to_a_sandbox() {
    let world = World::new();
    let network = world.open();
    let (target, attached) = Sandbox::attached_to(EgressMode::Internet, &network);
    target.namespace.visit(serve).unwrap();
    // As a neighbour of the host could, by routes of its own making.
    for pool in network.layout.pools() {
        let host = if pool.is_ipv4() {
            HOST_ADDRESSES[0]
        } else {
            HOST_ADDRESSES[3]
        };
        run(
            &world.outside,
            &format!("ip route add {pool} via {host} dev wan0"),
        );
    }
    for namespace in [&world.outside, &world.host] {
        allow_ping(namespace);
    }
    for address in attached.addresses.iter() {
        for protocol in Protocol::ALL {
            for (who, from) in [("outside", &world.outside), ("host", &world.host)] {
                let seen = probe_briefly(from, protocol, address);
                assert_eq!(seen, Outcome::Lost, "{who} {protocol:?} {address}");
            }
        }
    }
}
