//! Many sandboxes at once.

use std::time::Duration;

use palisade_backend::conformance::{self, Harness as _, Job};
use palisade_model::sandbox::Launch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::parts::{ensure, runs, until_removed, wait_for};
use crate::support::{Harness, is_whole};

/// How many start at once. A machine for tests has no room for a hundred real ones.
const MANY: usize = 100;
const MANY_REAL: usize = 20;
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sandboxes_that_start_at_once_all_run_and_all_go() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let count = if is_whole() { MANY_REAL } else { MANY };
    let launches: Vec<Launch> = (0..count)
        .map(|_| conformance::launch(&harness, &Job::RunUntilStopped))
        .collect();
    let began = Instant::now();
    let mut started = JoinSet::new();
    for launch in launches.clone() {
        started.spawn(ensure(harness.open(), launch));
    }
    let started = time::timeout(LIMIT, started.join_all()).await;
    started.expect("all are taken on");
    for launch in &launches {
        wait_for(&backend, launch.id, runs).await;
    }
    println!(
        "{count} sandboxes run after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let mut gone = JoinSet::new();
    for launch in &launches {
        gone.spawn(until_removed(harness.open(), launch.id));
    }
    let gone = time::timeout(LIMIT, gone.join_all()).await;
    gone.expect("all are removed");
    let first = launches.first().expect("there are some");
    assert_eq!(harness.leftovers(first.id).await, Vec::<String>::new());
    backend.close().await;
}
