//! Every egress mode against every kind of target, with real sockets of each
//! protocol and version, against the decision of the model.
//!
//! `make test-network` counts these probes. The same ones are made while
//! policies change and sandboxes come and go, with no runner, and after the
//! network was opened again.

mod entering;
mod hosts;
mod killing;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use palisade_model::id::ProfileId;
use palisade_model::policy::{Door, EgressRules, Exposed, Knock, Standing, Target, decide};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::{Owner, Protocol as Transport};
use uuid::Uuid;

use super::super::{Addresses, Network};
use super::probe::{Outcome, Protocol, probe_port};
use super::world::{Sandbox, World, allowlist, serve_at};

/// A port that targets expose, and one where they listen all the same.
const EXPOSED: u16 = 80;
const HIDDEN: u16 = 81;

/// Whose a sandbox is: organization, user and profile.
type Who = (&'static str, &'static str, u128);

/// Callers beside ada's target under profile 1 of acme.
const CALLERS: [Who; 5] = [
    ("acme", "ada", 1),
    ("acme", "ada", 2),
    ("acme", "bob", 1),
    ("acme", "bob", 2),
    ("evil", "ada", 1),
];

fn modes() -> [EgressMode; 6] {
    [
        EgressMode::None,
        EgressMode::Internet,
        // Everything that an administrator could list, sandboxes included.
        allowlist(&["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00::/8"]),
        EgressMode::User,
        EgressMode::Org,
        EgressMode::Profile,
    ]
}

fn standing((organization, user, profile): Who, egress: EgressMode) -> Standing {
    Standing {
        owner: Owner {
            organization: organization.parse().unwrap(),
            user: user.parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(profile)),
        egress,
        exposed: None,
    }
}

fn exposing(scope: Scope) -> Exposed {
    let door = |protocol| Door {
        protocol,
        port: EXPOSED,
    };
    Exposed {
        level: "internal".parse().unwrap(),
        scope,
        doors: [Transport::Tcp, Transport::Udp].map(door).into(),
    }
}

/// A sandbox and where it is.
struct Peer {
    sandbox: Sandbox,
    addresses: Addresses,
}

impl Peer {
    fn new(standing: Standing, network: &Network) -> Self {
        let (sandbox, attached) = Sandbox::attached_as(standing, network);
        Self {
            sandbox,
            addresses: attached.addresses,
        }
    }

    fn target(exposed: Option<Exposed>, network: &Network) -> Self {
        let standing = Standing {
            exposed,
            ..standing(CALLERS[0], EgressMode::None)
        };
        let peer = Self::new(standing, network);
        for port in [EXPOSED, HIDDEN] {
            peer.sandbox
                .namespace
                .visit(move || serve_at(port))
                .unwrap();
        }
        peer
    }
}

fn knock(protocol: Protocol, port: u16) -> Knock {
    match protocol {
        Protocol::Tcp => Knock::At(Door {
            protocol: Transport::Tcp,
            port,
        }),
        Protocol::Udp => Knock::At(Door {
            protocol: Transport::Udp,
            port,
        }),
        Protocol::Icmp => Knock::Icmp,
    }
}

/// Probes a target in every way, and returns how often.
fn probe_peer(caller: &Peer, target: &Peer, when: &str) -> usize {
    let mut count = 0;
    for address in target.addresses.iter() {
        for protocol in Protocol::ALL {
            for port in [EXPOSED, HIDDEN] {
                let knock = knock(protocol, port);
                let (from, to) = (&caller.sandbox.standing, &target.sandbox.standing);
                let verdict = from.reaches(to, knock);
                let to_port = SocketAddr::new(address, port);
                let seen = probe_port(&caller.sandbox.namespace, protocol, to_port);
                let expected = expected(verdict.is_allowed());
                assert_eq!(
                    seen, expected,
                    "{when}: {from:?} → {to:?} {protocol:?} {to_port}: {verdict}"
                );
                count += 1;
            }
        }
    }
    count
}

fn expected(is_allowed: bool) -> Outcome {
    if is_allowed {
        Outcome::Answered
    } else {
        Outcome::Refused
    }
}

/// Addresses that are no sandbox's: public, private, of the host, metadata.
const ELSEWHERE: [&str; 12] = [
    "140.82.112.10",
    "2606:2800:220:1::1",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "100.64.0.1",
    "fd00::1",
    "169.254.169.254",
    "fd00:ec2::254",
    "192.168.77.2",
    "93.184.216.2",
    "2606:2800:220:2::2",
];

fn probe_elsewhere(caller: &Peer, network: &Network) -> usize {
    let host = [
        "192.168.77.2",
        "93.184.216.2",
        "2606:2800:220:2::2",
        "fd99::2",
    ];
    let host =
        host.map(|address| format!("{address}/{}", if address.contains(':') { 128 } else { 32 }));
    let here = network.surroundings(host.map(|range| range.parse().unwrap()).to_vec());
    let standing = &caller.sandbox.standing;
    let rules = EgressRules::new(&standing.egress, &here);
    for address in ELSEWHERE {
        let address: IpAddr = address.parse().unwrap();
        // Servers of names listen at the latter two.
        for port in [7, 53, 853] {
            for protocol in Protocol::ALL {
                let target = match knock(protocol, port) {
                    Knock::At(door) => Target::Port(address, door),
                    Knock::Icmp => Target::Address(address),
                };
                let verdict = decide(&rules, standing.party(), target);
                let to = SocketAddr::new(address, port);
                let seen = probe_port(&caller.sandbox.namespace, protocol, to);
                let expected = expected(verdict.is_allowed());
                assert_eq!(seen, expected, "{standing:?} {protocol:?} {to}: {verdict}");
            }
        }
    }
    ELSEWHERE.len() * Protocol::ALL.len() * 3
}

fn targets(network: &Network) -> Vec<Peer> {
    let scopes = Scope::ALL.map(|scope| Some(exposing(scope)));
    let exposures = scopes.into_iter().chain([None]);
    exposures
        .map(|exposed| Peer::target(exposed, network))
        .collect()
}

#[test]
fn every_probe_comes_out_as_the_model_says() {
    let world = World::new();
    let network = world.open();
    let targets = targets(&network);
    let mut count = 0;
    for who in CALLERS {
        for mode in modes() {
            let caller = Peer::new(standing(who, mode), &network);
            for target in &targets {
                count += probe_peer(&caller, target, "at rest");
            }
            if who == CALLERS[0] {
                count += probe_elsewhere(&caller, &network);
            }
            network.detach(caller.sandbox.id).unwrap();
        }
    }
    assert!(count >= 300, "{count}");
    println!("{count} probes, all equal to the model");
}

#[test]
fn every_probe_comes_out_so_without_a_runner_and_after_a_restart() {
    let world = World::new();
    let network = world.open();
    let targets = targets(&network);
    let callers = CALLERS.map(|who| Peer::new(standing(who, EgressMode::Org), &network));
    let probe_all = |when: &str| {
        let pairs = callers
            .iter()
            .flat_map(|caller| targets.iter().map(move |target| (caller, target)));
        pairs
            .map(|(caller, target)| probe_peer(caller, target, when))
            .sum::<usize>()
    };
    let mut count = probe_all("before");
    // As after `kill -9`: what is in the kernel stays.
    drop(network);
    count += probe_all("without a runner");
    let known = callers.iter().chain(&targets).map(|peer| &peer.sandbox);
    let opening = world.open_knowing(&known.collect::<Vec<_>>());
    assert_eq!(opening.adopted.len(), callers.len() + targets.len());
    count += probe_all("after");
    println!("{count} probes, all equal to the model");
}

#[test]
fn every_probe_comes_out_so_while_others_come_go_and_change() {
    let world = World::new();
    let network = world.open();
    let target = Peer::target(Some(exposing(Scope::User)), &network);
    let callers = CALLERS.map(|who| Peer::new(standing(who, EgressMode::Org), &network));
    let (is_done, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let goes_on = |_: &usize| !is_done.load(Ordering::Relaxed);
            for turn in (0..).take_while(goes_on) {
                churn(&network, turn);
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _done = Done(&is_done);
        let mut count = 0;
        while turns.load(Ordering::Relaxed) < 20 {
            assert!(!others.is_finished(), "the others must go on");
            let probes = callers
                .iter()
                .map(|caller| probe_peer(caller, &target, "while others change"));
            count += probes.sum::<usize>();
        }
        count
    });
    println!("{count} probes, all equal to the model");
}

/// Says so when it goes, even if what is between fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A sandbox comes, changes whom it reaches and who reaches it, and goes.
fn churn(network: &Network, turn: usize) {
    let who = CALLERS[turn % CALLERS.len()];
    let mut standing = standing(who, EgressMode::Org);
    let sandbox = Sandbox::standing(standing.clone());
    sandbox.attach(network).unwrap();
    for scope in Scope::ALL {
        standing.egress = modes()[turn % modes().len()].clone();
        standing.exposed = Some(exposing(scope));
        network.change(sandbox.id, &standing).unwrap();
    }
    network.detach(sandbox.id).unwrap();
}

#[test]
fn a_change_of_either_side_holds_from_the_next_packet_on() {
    let world = World::new();
    let network = world.open();
    let mut target = Peer::target(None, &network);
    let mut caller = Peer::new(standing(CALLERS[2], EgressMode::None), &network);
    for mode in modes() {
        caller.sandbox.standing.egress = mode;
        let changed = network.change(caller.sandbox.id, &caller.sandbox.standing);
        changed.unwrap();
        for scope in Scope::ALL {
            target.sandbox.standing.exposed = Some(exposing(scope));
            let changed = network.change(target.sandbox.id, &target.sandbox.standing);
            changed.unwrap();
            probe_peer(&caller, &target, "after a change");
        }
    }
}
