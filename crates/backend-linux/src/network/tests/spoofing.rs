//! Packets that say they are somebody else's.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use palisade_model::profile::EgressMode;

use super::super::Network;
use super::probe::{Outcome, Protocol, probe, probe_briefly};
use super::world::{Sandbox, World, run};

const OUTSIDE4: &str = "140.82.112.10";
const OUTSIDE6: &str = "2606:2800:220:1::1";

fn counterpart(address: IpAddr) -> SocketAddr {
    let text = if address.is_ipv4() {
        OUTSIDE4
    } else {
        OUTSIDE6
    };
    SocketAddr::new(text.parse().unwrap(), 7)
}

/// Whether a packet from this source is answered. The address is made the
/// sandbox's own for it, as root inside could.
fn is_answered_as(sandbox: &Sandbox, source: IpAddr) -> bool {
    let flags = if source.is_ipv6() { "nodad" } else { "" };
    run(
        &sandbox.namespace,
        &format!("ip addr replace {source} dev eth0 {flags}"),
    );
    let heard = sandbox.namespace.visit(|| {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket.send_to(b"hello", counterpart(source)).unwrap();
        socket.recv(&mut [0; 16])
    });
    heard.unwrap().is_ok()
}

/// How many packets came in at the host through the uplink.
pub(super) fn passed(world: &World) -> u64 {
    let script = "sed -n 's/^ *pal-test://p' /proc/thread-self/net/dev | awk '{ print $2 }'";
    run(&world.host, script).trim().parse().unwrap()
}

fn denials(network: &Network, sandbox: &Sandbox) -> u64 {
    network.denials(sandbox.id).unwrap()
}

#[test]
fn a_source_that_is_not_ones_own_is_dropped_and_counted() {
    let world = World::new();
    let network = world.open();
    let (sandbox, attached) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (_victim, victim) = Sandbox::attached_to(EgressMode::Internet, &network);
    for own in attached.addresses.iter() {
        assert!(is_answered_as(&sandbox, own), "{own}");
    }
    let strangers = [
        "140.82.112.77",
        "192.168.77.2",
        "10.0.0.9",
        "2606:2800:220:9::9",
        "fd99::2",
        "fd00::9",
    ];
    let strangers = strangers.map(|text| text.parse().unwrap());
    let uplink = network
        .layout
        .host()
        .iter()
        .chain(network.layout.router().iter());
    let sources = victim.addresses.iter().chain(strangers).chain(uplink);
    for source in sources {
        let before = (denials(&network, &sandbox), passed(&world));
        assert!(!is_answered_as(&sandbox, source), "{source}");
        let after = (denials(&network, &sandbox), passed(&world));
        assert!(after.0 > before.0, "{source} must be counted");
        assert_eq!(after.1, before.1, "{source} must not leave the router");
    }
}

#[test]
fn the_hardware_address_of_another_gives_nothing() {
    let world = World::new();
    let network = world.open();
    let (open, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (closed, _) = Sandbox::attached_to(EgressMode::None, &network);
    let target = OUTSIDE4.parse().unwrap();
    for address in [
        "02:00:00:00:00:07",
        "02:70:61:6c:00:01",
        "ff:ff:ff:ff:ff:fe",
    ] {
        run(
            &closed.namespace,
            &format!("ip link set eth0 address {address} 2>/dev/null || true"),
        );
        assert_ne!(
            probe_briefly(&closed.namespace, Protocol::Udp, target),
            Outcome::Answered,
            "{address}"
        );
    }
    assert_eq!(
        probe(&open.namespace, Protocol::Udp, target),
        Outcome::Answered
    );
}

#[test]
fn an_interface_of_another_name_inside_gives_nothing() {
    let world = World::new();
    let network = world.open();
    let (sandbox, attached) = Sandbox::attached_to(EgressMode::None, &network);
    let v4 = attached.addresses.v4;
    run(
        &sandbox.namespace,
        &format!(
            "ip link set eth0 down; ip link set eth0 name uplink; ip link set uplink up
            ip addr replace {v4} dev uplink
            ip route replace default via 169.254.1.1 dev uplink onlink"
        ),
    );
    let seen = probe(&sandbox.namespace, Protocol::Udp, OUTSIDE4.parse().unwrap());
    assert_ne!(seen, Outcome::Answered);
    assert!(denials(&network, &sandbox) > 0);
}
