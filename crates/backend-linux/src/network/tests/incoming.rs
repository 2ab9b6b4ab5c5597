//! What is refused to those outside is known of the sandbox that it was for; and the way of a
//! sandbox to itself.

use std::net::SocketAddr;
use std::time::Duration;

use palisade_model::denial::Direction;
use palisade_model::policy::{Door, Knock, Standing};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::Protocol as Transport;
use tokio::time::Instant;

use super::super::witness::Refused;
use super::super::{Kind, Network};
use super::probe::{Outcome, Protocol, probe_port};
use super::services::{EXPOSED, address, config, pool, target, ways, wish, world};
use super::world::{Sandbox, serve_at};

const LIMIT: Duration = Duration::from_secs(10);

/// The flows that were refused to a sandbox, once there are so many.
fn flows(network: &Network, sandbox: &Sandbox, wanted: usize) -> Vec<Refused> {
    let start = Instant::now();
    loop {
        let flows = network.refused(sandbox.id);
        if flows.len() >= wanted || start.elapsed() > LIMIT {
            return flows;
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_is_refused_to_those_outside_is_counted_and_told_of_the_sandbox_that_it_was_for() {
    let world = world();
    let network = world.open_with(&config(&world));
    let scoped = target(&network, Scope::Org, pool("far"));
    let open = target(&network, Scope::Any, pool("near"));
    let to_scoped = address(&network, &scoped);
    let hidden = SocketAddr::new(address(&network, &open).ip(), EXPOSED + 1);
    for to in [to_scoped, hidden] {
        assert_eq!(
            probe_port(&world.outside, Protocol::Tcp, to),
            Outcome::Refused
        );
    }
    let exposed = address(&network, &open);
    assert_eq!(
        probe_port(&world.outside, Protocol::Tcp, exposed),
        Outcome::Answered
    );
    for (sandbox, port) in [(&scoped, EXPOSED), (&open, EXPOSED + 1)] {
        assert_eq!(network.turned_away(sandbox.id).unwrap(), 1);
        // Nothing that the sandbox itself did.
        assert_eq!(network.denials(sandbox.id).unwrap(), 0);
        let [flow] = *flows(&network, sandbox, 1) else {
            panic!("one flow was refused");
        };
        assert_eq!(flow.direction, Direction::Incoming);
        assert_eq!(flow.packet.destination_port, port);
        assert!(["192.168.77.1", "203.0.113.2"].contains(&&*flow.packet.source.to_string()));
    }
    // Counters outlive the runner and go on; with the sandbox they are gone.
    drop(network);
    let opening = world.try_open(&config(&world), &[&scoped, &open]).unwrap();
    let network = opening.network;
    assert_eq!(network.turned_away(scoped.id).unwrap(), 1);
    probe_port(&world.outside, Protocol::Tcp, to_scoped);
    assert_eq!(network.turned_away(scoped.id).unwrap(), 2);
    network.detach(scoped.id).unwrap();
    assert_eq!(network.turned_away(scoped.id).unwrap(), 0);
}

#[test]
fn a_flood_from_outside_does_not_hide_what_a_sandbox_itself_was_refused() {
    let world = world();
    let network = world.open_with(&config(&world));
    let sandbox = target(&network, Scope::Org, pool("far"));
    let to = address(&network, &sandbox);
    for _ in 0..100 {
        probe_port(&world.outside, Protocol::Tcp, to);
    }
    let outside = "8.8.8.8:443".parse().unwrap();
    assert_eq!(
        probe_port(&sandbox.namespace, Protocol::Tcp, outside),
        Outcome::Refused
    );
    let is_own = |flow: &Refused| flow.direction == Direction::Outgoing;
    let start = Instant::now();
    while !network.refused(sandbox.id).iter().any(is_own) {
        assert!(start.elapsed() < LIMIT, "it is not told");
        std::thread::yield_now();
    }
    assert_eq!(network.turned_away(sandbox.id).unwrap(), 100);
    assert_eq!(network.denials(sandbox.id).unwrap(), 1);
    let incoming = network.refused(sandbox.id);
    let incoming = incoming.iter().filter(|flow| !is_own(flow)).count();
    // Probes differ by the port that they come from, which is not told apart.
    assert_eq!(incoming, 1);
}

#[test]
fn a_sandbox_reaches_itself_by_what_leads_to_it_exactly_if_the_model_says_so() {
    let world = world();
    let network = world.open_with(&config(&world));
    let modes = [
        EgressMode::Org,
        EgressMode::User,
        EgressMode::Profile,
        EgressMode::Internet,
        EgressMode::None,
    ];
    let mut count = 0;
    for kind in [Kind::NodePort, pool("near"), pool("far")] {
        for (egress, scope) in modes
            .iter()
            .flat_map(|mode| Scope::ALL.map(|scope| (mode, scope)))
        {
            let standing = Standing {
                egress: egress.clone(),
                ..super::services::standing("acme", "ada", 1, Some(scope))
            };
            let sandbox = Sandbox {
                wish: Some(wish(kind.clone())),
                ..Sandbox::standing(standing)
            };
            sandbox.attach(&network).unwrap();
            sandbox.namespace.visit(|| serve_at(EXPOSED)).unwrap();
            count += ways(&network, &sandbox)
                .into_iter()
                .map(|way| compare_with_itself(&sandbox, way))
                .sum::<usize>();
            network.detach(sandbox.id).unwrap();
        }
    }
    println!("{count} probes, all equal to the model");
}

/// Probes what leads to a sandbox from inside of it, and returns how often.
fn compare_with_itself(sandbox: &Sandbox, way: SocketAddr) -> usize {
    let both = [
        (Protocol::Tcp, Transport::Tcp),
        (Protocol::Udp, Transport::Udp),
    ];
    for (protocol, transport) in both {
        let knock = Knock::At(Door {
            protocol: transport,
            port: EXPOSED,
        });
        let standing = &sandbox.standing;
        let verdict = standing.reaches(standing, knock);
        let seen = probe_port(&sandbox.namespace, protocol, way);
        let is_open = seen == Outcome::Answered;
        assert_eq!(
            is_open,
            verdict.is_allowed(),
            "{standing:?} {protocol:?} {way}: {seen:?}"
        );
    }
    both.len()
}
