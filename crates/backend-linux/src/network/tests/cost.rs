//! What connecting a sandbox costs, and that it costs the same however many there
//! are; that nothing is left of five hundred after five times. Measures, and so is run
//! by `scripts/bench.sh` only.

use std::time::Duration;

use palisade_model::id::ProfileId;
use palisade_model::policy::{Door, Exposed, Standing};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::{Owner, Protocol};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::Network;
use super::attaching::held;
use super::world::{Sandbox, World};

/// How many come and go.
const FLEET: usize = 500;
const ROUNDS: usize = 5;
/// How many are compared with as many that are alone.
const SAMPLE: u128 = 60;

/// One of the sandboxes of ten users under five profiles, of every peer mode.
fn standing(number: u128) -> Standing {
    let modes = [EgressMode::Org, EgressMode::User, EgressMode::Profile];
    let doors = [8080, 8443].map(|port| Door {
        protocol: Protocol::Tcp,
        port,
    });
    Standing {
        owner: Owner {
            organization: "acme".parse().unwrap(),
            user: format!("user-{}", number % 10).parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(number % 5)),
        egress: modes[usize::try_from(number % 3).unwrap()].clone(),
        exposed: Some(Exposed {
            level: "internal".parse().unwrap(),
            scope: Scope::ALL[usize::try_from(number % 4).unwrap()],
            doors: doors.into(),
        }),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn fleet() -> Vec<Sandbox> {
    let numbers = (0_u128..).take(FLEET);
    numbers
        .map(|number| Sandbox::standing(standing(number)))
        .collect()
}

fn connect(network: &Network, sandbox: &Sandbox) -> Duration {
    timed(|| drop(sandbox.attach(network).unwrap()))
}

/// Connects one that goes again.
fn visit(network: &Network, number: u128) -> Duration {
    let sandbox = Sandbox::standing(standing(number));
    let took = connect(network, &sandbox);
    network.detach(sandbox.id).unwrap();
    assert!(network.await_departures());
    took
}

/// Connects sandboxes to a network and to an empty one in turn, as whatever else
/// the machine does falls on both.
fn compare(crowded: &Network, empty: &Network, others: usize) {
    let pairs = (0..SAMPLE).map(|number| (visit(empty, number), visit(crowded, number)));
    let (alone, beside): (Vec<_>, Vec<_>) = pairs.unzip();
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "connecting a sandbox, p50: {alone:?} beside none, {beside:?} beside {others} ({:.2} times)",
        beside.as_secs_f64() / alone.as_secs_f64()
    );
}

#[test]
#[ignore = "it measures, which needs a quiet machine: scripts/bench.sh"]
fn connecting_costs_the_same_with_one_sandbox_and_with_a_thousand() {
    let (world, empty) = (World::new(), World::new());
    let (network, empty) = (world.open(), empty.open());
    let before = held(&network);
    let fleets = [fleet(), fleet()];
    compare(&network, &empty, 0);
    let mut others = 0;
    for fleet in &fleets {
        for sandbox in fleet {
            connect(&network, sandbox);
        }
        others += fleet.len();
        compare(&network, &empty, others);
    }
    for sandbox in fleets.iter().flatten() {
        network.detach(sandbox.id).unwrap();
    }
    assert_eq!(held(&network), before, "nothing is left");
}

#[test]
#[ignore = "it measures, which needs a quiet machine: scripts/bench.sh"]
fn five_hundred_sandboxes_leave_nothing_and_leave_soon() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let fleet = fleet();
    let (mut disconnecting, mut leaving) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for sandbox in &fleet {
            connect(&network, sandbox);
        }
        leaving.push(timed(|| {
            let disconnect = |sandbox: &Sandbox| timed(|| network.detach(sandbox.id).unwrap());
            disconnecting.extend(fleet.iter().map(disconnect));
            assert!(network.await_departures());
        }));
        assert_eq!(held(&network), before, "nothing is left");
    }
    let count = u32::try_from(fleet.len()).unwrap();
    println!(
        "disconnecting a sandbox, p50 of {ROUNDS} times {count}: {:?}; until nothing is left of it: {:?}",
        median(disconnecting),
        median(leaving) / count
    );
}
