//! Whoever is outside and tries to get more of sandboxes than they give.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use palisade_model::policy::Standing;
use palisade_model::profile::Scope;

use super::super::namespace::Namespace;
use super::super::{Config, Kind, Network};
use super::services::{
    EXPOSED, address, caller, compare, config, pool, sandbox_addresses, standing, target, ways,
    wish, world,
};
use super::world::{Sandbox, World, run};

/// For what should never come; what comes does so at once.
const BRIEFLY: Duration = Duration::from_millis(300);

/// Whether anything comes to an exposed port while `act` runs.
fn heard(inside: &Namespace, act: impl FnOnce()) -> bool {
    let listen = || UdpSocket::bind(("::", EXPOSED)).unwrap();
    let socket = inside.visit(listen).unwrap();
    socket.set_read_timeout(Some(BRIEFLY)).unwrap();
    act();
    socket.recv(&mut [0; 16]).is_ok()
}

/// A sandbox for its organization only, at which nothing listens yet.
fn closed(network: &Network, scope: Scope, kind: Kind) -> Sandbox {
    let sandbox = Sandbox {
        wish: Some(wish(kind)),
        ..Sandbox::standing(standing("acme", "ada", 1, Some(scope)))
    };
    sandbox.attach(network).unwrap();
    sandbox
}

fn send(from: &Namespace, own: IpAddr, to: SocketAddr) {
    let send = || {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        // That it was tried is enough.
        let _ = socket.send_to(b"forged", to);
    };
    from.visit(send).unwrap();
}

#[test]
fn nobody_outside_comes_in_with_the_address_of_a_sandbox() {
    let world = world();
    let network = world.open_with(&config(&world));
    let member = caller(&network, standing("acme", "ada", 1, None));
    let own = sandbox_addresses(&network, &member);
    for ip in &own {
        let flags = if ip.is_ipv6() { "nodad" } else { "" };
        run(
            &world.outside,
            &format!("ip addr add {ip} dev wan0 {flags}"),
        );
    }
    let mut sent = 0;
    for (kind, scope) in [
        (pool("far"), Scope::Org),
        (pool("near"), Scope::User),
        (Kind::NodePort, Scope::Org),
    ] {
        let target = closed(&network, scope, kind);
        let forgery = || {
            for to in ways(&network, &target) {
                let same = own.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
                send(&world.outside, *same.unwrap(), to);
                sent += 1;
            }
        };
        assert!(!heard(&target.namespace, forgery));
        network.detach(target.id).unwrap();
    }
    assert!(sent >= 6);
}

#[test]
fn a_name_for_everybody_opens_nothing_to_sandboxes_of_others() {
    let world = world();
    let network = world.open_with(&config(&world));
    let target = closed(&network, Scope::Any, pool("far"));
    let callers = [
        standing("evil", "ada", 1, None),
        Standing {
            egress: palisade_model::profile::EgressMode::Internet,
            ..standing("evil", "ada", 1, None)
        },
    ];
    for standing in callers {
        let thief = caller(&network, standing);
        let before = network.denials(thief.id).unwrap();
        let own = sandbox_addresses(&network, &thief);
        let all_ways = || {
            for to in ways(&network, &target) {
                let same = own.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
                send(&thief.namespace, *same.unwrap(), to);
            }
        };
        assert!(!heard(&target.namespace, all_ways));
        assert!(network.denials(thief.id).unwrap() > before);
    }
}

#[test]
fn flows_from_outside_are_bounded_for_each_sandbox() {
    let world = world();
    let most = 8;
    let config = Config {
        flows_max: most.try_into().unwrap(),
        ..config(&world)
    };
    let network = world.open_with(&config);
    let crowded = target(&network, Scope::Any, pool("far"));
    let other = target(&network, Scope::Any, pool("far"));
    let connect = |to: SocketAddr| {
        let connect = || std::net::TcpStream::connect_timeout(&to, BRIEFLY);
        world.outside.visit(connect).unwrap()
    };
    let to = address(&network, &crowded);
    let held = (0..most).map(|_| connect(to).unwrap()).collect::<Vec<_>>();
    assert!(connect(to).is_err());
    assert!(connect(address(&network, &other)).is_ok());
    drop(held);
}

/// Says so when it goes, even if what is between fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn come_and_go(network: &Network, turn: usize) {
    let kind = [Kind::NodePort, pool("near"), pool("far")][turn % 3].clone();
    let scope = Scope::ALL[turn % Scope::ALL.len()];
    let sandbox = closed(network, scope, kind);
    network.detach(sandbox.id).unwrap();
}

fn probe_all(world: &World, network: &Network, targets: &[Sandbox], callers: &[Sandbox]) -> usize {
    let mut count = 0;
    for target in targets {
        for way in ways(network, target) {
            let outside = compare(&world.outside, way, target, None, "while others change");
            let inside = callers.iter().map(|caller| {
                let visitor = Some(&caller.standing);
                compare(
                    &caller.namespace,
                    way,
                    target,
                    visitor,
                    "while others change",
                )
            });
            count += outside + inside.sum::<usize>();
        }
    }
    count
}

#[test]
fn ways_in_stay_as_they_are_while_others_come_and_go() {
    let world = world();
    let network = world.open_with(&config(&world));
    let targets = [
        target(&network, Scope::Any, Kind::NodePort),
        target(&network, Scope::Org, pool("near")),
        target(&network, Scope::Any, pool("far")),
    ];
    let callers = ["acme", "evil"].map(|organization| {
        let standing = standing(organization, "bob", 2, None);
        caller(&network, standing)
    });
    let is_done = AtomicBool::new(false);
    let count = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let goes_on = |_: &usize| !is_done.load(Ordering::Relaxed);
            let turns = (0..).take_while(goes_on);
            turns.map(|turn| come_and_go(&network, turn)).count()
        });
        let _done = Done(&is_done);
        let count = (0..3).map(|_| {
            assert!(!others.is_finished(), "the others must go on");
            probe_all(&world, &network, &targets, &callers)
        });
        count.sum::<usize>()
    });
    println!("{count} probes, all equal to the model");
}
