//! What connecting a sandbox costs, and that it costs the same however many there
//! are. Measures, and so is run by `scripts/bench.sh` only.

use std::time::Duration;

use palisade_model::id::ProfileId;
use palisade_model::policy::{Door, Exposed, Standing};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::{Owner, Protocol};
use tokio::time::Instant;
use uuid::Uuid;

use super::attaching::held;
use super::world::{Sandbox, World};

const SANDBOXES: u128 = 500;
/// How many at either end are compared.
const SAMPLE: usize = 100;

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

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "it measures, which needs a quiet machine: scripts/bench.sh"]
fn connecting_costs_the_same_with_one_sandbox_and_with_five_hundred() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    for round in 1..=5 {
        let sandboxes = (0..SANDBOXES).map(|number| Sandbox::standing(standing(number)));
        let sandboxes = sandboxes.collect::<Vec<_>>();
        let connect = |sandbox: &Sandbox| {
            let start = Instant::now();
            sandbox.attach(&network).unwrap();
            start.elapsed()
        };
        let times = sandboxes.iter().map(connect).collect::<Vec<_>>();
        let (first, last) = (
            median(&times[..SAMPLE]),
            median(&times[times.len() - SAMPLE..]),
        );
        let start = Instant::now();
        for sandbox in &sandboxes {
            network.detach(sandbox.id).unwrap();
        }
        let gone = start.elapsed() / u32::try_from(sandboxes.len()).unwrap();
        println!(
            "network set-up, round {round}: p50 {:?} of the first {SAMPLE}, {:?} of the last \
             {SAMPLE} of {SANDBOXES} ({:.2} times), removal {gone:?}",
            first,
            last,
            last.as_secs_f64() / first.as_secs_f64(),
        );
        assert_eq!(held(&network), before, "nothing is left");
    }
}
