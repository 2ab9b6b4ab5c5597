//! Many sandboxes at once, and sandboxes that want very much.

use std::net::{Ipv4Addr, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use palisade_model::profile::EgressMode;

use super::super::{Addresses, Config, Network};
use super::attaching::held;
use super::probe::{Outcome, Protocol, probe};
use super::world::{Sandbox, World, allowlist, run};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(140, 82, 112, 10);

/// Connects a sandbox, sees that its own policy holds, and disconnects it.
fn come_and_go(network: &Network, worker: u8, turn: u8) -> Addresses {
    let own = format!("140.{}.{turn}.0/24", 100 + worker);
    let (mode, expected) = match turn % 3 {
        0 => (EgressMode::None, Outcome::Refused),
        1 => (EgressMode::Internet, Outcome::Answered),
        _ => (allowlist(&[&own]), Outcome::Refused),
    };
    let (sandbox, attached) = Sandbox::attached_to(mode, network);
    let seen = probe(&sandbox.namespace, Protocol::Tcp, PUBLIC.into());
    assert_eq!(seen, expected, "{:?}", sandbox.standing.egress);
    network.detach(sandbox.id).unwrap();
    attached.addresses
}

#[test]
fn fifty_sandboxes_come_and_go_at_once() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let taken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let (network, taken) = (&network, &taken);
        for worker in 0..10 {
            let come_and_go = move |turn| {
                let addresses = come_and_go(network, worker, turn);
                taken.lock().unwrap().push(addresses);
            };
            scope.spawn(move || (0..5).for_each(come_and_go));
        }
    });
    let mut taken = taken.into_inner().unwrap();
    assert_eq!(taken.len(), 50);
    taken.sort_by_key(|addresses| addresses.v4);
    taken.dedup();
    assert_eq!(taken.len(), 50, "no address is given out again so soon");
    assert_eq!(held(&network), before);
}

#[test]
fn many_leave_at_a_time_with_their_flows_and_come_back_at_once() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let sandboxes = [(); 70].map(|()| Sandbox::new(EgressMode::Internet));
    for round in 0..2 {
        for sandbox in &sandboxes {
            // The second time its interface may just be on its way out.
            sandbox.attach(&network).unwrap();
            if round == 0 {
                let seen = probe(&sandbox.namespace, Protocol::Udp, PUBLIC.into());
                assert_eq!(seen, Outcome::Answered);
            }
        }
        for sandbox in &sandboxes {
            network.detach(sandbox.id).unwrap();
        }
    }
    assert_eq!(held(&network), before);
    let flows = run(
        &world.host,
        "cat /proc/net/nf_conntrack 2>/dev/null || true",
    );
    assert!(!flows.contains(&PUBLIC.to_string()), "{flows}");
}

#[test]
fn the_same_sandbox_is_never_connected_twice_at_once() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let sandbox = Sandbox::new(EgressMode::Internet);
    let attach = || {
        let attached = sandbox.attach(&network);
        attached.is_ok()
    };
    let won = thread::scope(|scope| {
        let attempts = [(); 8].map(|()| scope.spawn(attach));
        attempts.map(|attempt| attempt.join().unwrap())
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, PUBLIC.into()),
        Outcome::Answered
    );
    network.detach(sandbox.id).unwrap();
    assert_eq!(held(&network), before);
}

/// How many of so many datagrams, each from a port of its own, are answered.
fn flows(sandbox: &Sandbox, count: usize) -> usize {
    let answered = sandbox.namespace.visit(|| {
        let sockets = (0..count).map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            socket.connect((PUBLIC, 7)).unwrap();
            socket.send(b"hello").unwrap();
            socket
        });
        let sockets = sockets.collect::<Vec<_>>();
        let heard = sockets
            .iter()
            .filter(|socket| socket.recv(&mut [0; 16]).is_ok());
        heard.count()
    });
    answered.unwrap()
}

#[test]
fn a_sandbox_has_only_so_many_flows_and_takes_none_from_others() {
    let world = World::new();
    let config = Config {
        flows_max: NonZeroU32::new(20).unwrap(),
        ..world.config()
    };
    let network = world.open_with(&config);
    let (greedy, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (modest, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let got = flows(&greedy, 60);
    assert!((19..=21).contains(&got), "{got}");
    assert!(network.denials(greedy.id).unwrap() >= 39);
    assert_eq!(flows(&modest, 10), 10);
    // Whoever leaves takes its flows along.
    network.detach(greedy.id).unwrap();
    let (next, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_eq!(flows(&next, 10), 10);
}
