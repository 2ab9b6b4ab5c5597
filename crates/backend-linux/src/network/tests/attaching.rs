//! Connecting sandboxes, and what is left when they are gone.

use std::thread;
use std::time::Duration;

use palisade_model::profile::EgressMode;
use tokio::time::Instant;

use super::super::{AttachError, Config, Network, Pool4, PoolChoice, Severity, examine, router};
use super::probe::{Outcome, Protocol, probe};
use super::world::{Sandbox, World, allowlist, run};
use crate::netlink::Socket;

/// What the host has that a network could leave behind.
fn traces(world: &World) -> String {
    run(
        &world.host,
        "ip -o link | grep -v wan0; ip route; ip -6 route; nft list tables;
        sysctl -e net.ipv4.conf.wan0.forwarding net.ipv6.conf.wan0.force_forwarding \
            net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
    )
}

/// Everything in the router that belongs to sandboxes.
pub(super) fn held(network: &Network) -> String {
    assert!(network.await_departures(), "those that leave must be gone");
    run(
        &network.router,
        "ip -o link | cut -d@ -f1; ip -4 route; nft list map inet palisade source4;
        nft list map inet palisade source6; nft list set inet palisade open4;
        nft list set inet palisade open6; nft list set inet palisade resolving;
        nft list set inet palisade denied; nft list set inet palisade flows;
        nft list set inet palisade shown;
        nft list map inet palisade claim1; nft list map inet palisade claim2;
        nft list map inet palisade claim3; nft list set inet palisade door4;
        nft list set inet palisade door6; nft list map inet palisade node4;
        nft list map inet palisade node6; nft list map inet palisade external4;
        nft list map inet palisade external6; nft list set inet palisade visits;
        cat /proc/net/nf_conntrack 2>/dev/null || true",
    )
}

#[test]
fn a_sandbox_with_internet_reaches_public_addresses_and_no_private_ones() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    for protocol in Protocol::ALL {
        for (address, expected) in [
            ("140.82.112.10", Outcome::Answered),
            ("2606:2800:220:1::1", Outcome::Answered),
            ("192.168.1.1", Outcome::Refused),
            ("fd00::1", Outcome::Refused),
        ] {
            let seen = probe(&sandbox.namespace, protocol, address.parse().unwrap());
            assert_eq!(seen, expected, "{protocol:?} {address}");
        }
    }
}

#[test]
fn nothing_is_left_on_the_host_after_closing() {
    let world = World::new();
    let before = traces(&world);
    let network = world.open();
    assert_ne!(traces(&world), before);
    let _running = Sandbox::attached_to(EgressMode::Internet, &network);
    network.close().unwrap();
    assert_eq!(traces(&world), before);
    assert!(!world.router_path().exists());
}

#[test]
fn nothing_is_left_in_the_router_after_detaching() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    for egress in [
        EgressMode::None,
        EgressMode::Internet,
        allowlist(&["140.82.112.0/20"]),
    ] {
        let (sandbox, _) = Sandbox::attached_to(egress, &network);
        probe(&sandbox.namespace, Protocol::Tcp, [140, 82, 112, 1].into());
        assert_ne!(held(&network), before);
        network.detach(sandbox.id).unwrap();
        assert_eq!(held(&network), before);
        network.detach(sandbox.id).unwrap();
    }
}

#[test]
fn an_attempt_that_fails_leaves_nothing() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let sandbox = Sandbox::new(EgressMode::Internet);
    run(
        &sandbox.namespace,
        "ip link add eth0 type veth peer name other",
    );
    let attached = sandbox.attach(&network);
    assert!(
        matches!(attached, Err(AttachError::Cable(_))),
        "{attached:?}"
    );
    assert_eq!(held(&network), before);
    run(&sandbox.namespace, "ip link del eth0");
    let attached = sandbox.attach(&network);
    assert!(attached.is_ok(), "{attached:?}");
}

#[test]
fn a_sandbox_is_connected_only_once() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::None, &network);
    let again = sandbox.attach(&network);
    assert!(matches!(again, Err(AttachError::AlreadyAttached)));
}

#[test]
fn a_full_pool_refuses_sandboxes_until_one_is_gone() {
    let world = World::new();
    let pool = Pool4::new("10.99.0.0/28".parse().unwrap()).unwrap();
    let config = Config {
        pool4: PoolChoice::Fixed(pool),
        ..world.config()
    };
    let network = world.open_with(&config);
    let mut sandboxes = Vec::new();
    let refused = loop {
        let sandbox = Sandbox::new(EgressMode::None);
        let attached = sandbox.attach(&network);
        match attached {
            Ok(_) => sandboxes.push(sandbox),
            Err(error) => break error,
        }
    };
    assert_eq!(sandboxes.len(), 11);
    assert!(
        matches!(refused, AttachError::PoolExhausted(_)),
        "{refused:?}"
    );
    network.detach(sandboxes[3].id).unwrap();
    Sandbox::attached_to(EgressMode::None, &network);
}

#[test]
fn what_is_refused_to_a_sandbox_is_counted_for_it() {
    let world = World::new();
    let network = world.open();
    let (one, _) = Sandbox::attached_to(EgressMode::None, &network);
    let (other, _) = Sandbox::attached_to(EgressMode::None, &network);
    for _ in 0..3 {
        probe(&one.namespace, Protocol::Icmp, [140, 82, 112, 1].into());
    }
    assert_eq!(network.denials(one.id).unwrap(), 3);
    assert_eq!(network.denials(other.id).unwrap(), 0);
}

#[test]
fn the_last_flows_that_were_refused_are_told_with_both_ends() {
    let world = World::new();
    let network = world.open();
    let (one, addresses) = Sandbox::attached_to(EgressMode::None, &network);
    let (other, _) = Sandbox::attached_to(EgressMode::None, &network);
    let targets = ["140.82.112.1", "2606:2800:220:1::1"].map(|text| text.parse().unwrap());
    for target in targets {
        probe(&one.namespace, Protocol::Udp, target);
    }
    let start = Instant::now();
    let seen = loop {
        let seen = network.refused(one.id);
        if seen.len() >= 2 {
            break seen;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{seen:?}");
        thread::yield_now();
    };
    for (refused, (target, own)) in seen
        .iter()
        .zip(targets.iter().zip(addresses.addresses.iter()))
    {
        let packet = refused.packet;
        assert_eq!((packet.source, packet.destination), (own, *target));
        assert_eq!((packet.protocol, packet.destination_port), (17, 7));
    }
    assert!(network.refused(other.id).is_empty());
    network.detach(one.id).unwrap();
    assert!(network.refused(one.id).is_empty());
}

#[test]
fn a_sandbox_is_found_by_its_id_in_the_router() {
    let world = World::new();
    let network = world.open();
    let (sandbox, attached) = Sandbox::attached_to(EgressMode::None, &network);
    let found = network
        .router
        .visit(|| router::read(&mut Socket::route().unwrap()));
    let found = found.unwrap().unwrap();
    let addresses = attached.addresses.iter().collect::<Vec<_>>();
    assert_eq!(found.sandboxes[&attached.interface], addresses);
    let link = run(
        &network.router,
        &format!("ip link show {}", attached.interface),
    );
    assert!(link.contains(&sandbox.id.to_string()), "{link}");
}

#[test]
fn a_host_that_can_carry_the_network_is_found_fit() {
    let world = World::new();
    let findings = world.host.visit(|| examine(&world.config())).unwrap();
    for finding in &findings {
        assert_eq!(finding.severity, Severity::Fine, "{findings:#?}");
    }
    assert!(findings.len() >= 6, "{findings:#?}");
}

#[test]
fn rules_of_others_that_drop_forwarded_packets_are_found() {
    let world = World::new();
    run(
        &world.host,
        "nft 'table ip other {
            chain passing { type filter hook forward priority 0; policy drop; }
        }'",
    );
    let findings = world.host.visit(|| examine(&world.config())).unwrap();
    let obstacle = findings
        .iter()
        .find(|finding| finding.severity == Severity::Warning)
        .unwrap();
    assert!(
        obstacle.message.contains("chain passing of table other"),
        "{obstacle:?}"
    );
}
