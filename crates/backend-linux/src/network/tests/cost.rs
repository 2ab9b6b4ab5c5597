//! What connecting a sandbox costs, and that it costs the same however many there
//! are, and that nothing is left of a thousand after five times. Measures, and so is
//! run by `scripts/bench.sh` only.

use std::ops::Range;
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

const SANDBOXES: u128 = 1000;
/// How many are compared: the first ones, those before the 500th, and the last ones.
const SAMPLE: usize = 100;
const ROUNDS: usize = 5;

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

/// What one round took.
struct Round {
    connecting: Vec<Duration>,
    disconnecting: Vec<Duration>,
    /// From the first one that leaves until nothing is left of any.
    leaving: Duration,
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// Connects all and disconnects all.
fn round(sandboxes: &[Sandbox], network: &Network) -> Round {
    let connect = |sandbox: &Sandbox| timed(|| drop(sandbox.attach(network).unwrap()));
    let connecting = sandboxes.iter().map(connect).collect();
    let start = Instant::now();
    let disconnect = |sandbox: &Sandbox| timed(|| network.detach(sandbox.id).unwrap());
    let disconnecting = sandboxes.iter().map(disconnect).collect();
    assert!(network.await_departures());
    Round {
        connecting,
        disconnecting,
        leaving: start.elapsed(),
    }
}

#[test]
#[ignore = "it measures, which needs a quiet machine: scripts/bench.sh"]
fn connecting_costs_the_same_with_one_sandbox_and_with_a_thousand() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let sandboxes = (0..SANDBOXES).map(|number| Sandbox::standing(standing(number)));
    let sandboxes = sandboxes.collect::<Vec<_>>();
    let rounds = [(); ROUNDS].map(|()| {
        let round = round(&sandboxes, &network);
        assert_eq!(held(&network), before, "nothing is left");
        round
    });
    let connecting = |sample: Range<usize>| {
        let of_round = |round: &Round| round.connecting[sample.clone()].to_vec();
        median(rounds.iter().flat_map(of_round).collect())
    };
    let first = connecting(0..SAMPLE);
    println!("connecting a sandbox, p50 of {ROUNDS} rounds: {first:?} beside none");
    for others in [500, sandboxes.len()] {
        let p50 = connecting(others - SAMPLE..others);
        let ratio = p50.as_secs_f64() / first.as_secs_f64();
        println!("connecting a sandbox: {p50:?} beside {others} ({ratio:.2} times)");
    }
    let disconnecting = rounds.iter().flat_map(|round| round.disconnecting.clone());
    println!("disconnecting one: {:?}", median(disconnecting.collect()));
    let leaving = median(rounds.iter().map(|round| round.leaving).collect());
    let count = u32::try_from(sandboxes.len()).unwrap();
    println!("until nothing is left: {:?} for each", leaving / count);
}
