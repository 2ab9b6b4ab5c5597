//! One runner for an instance, whatever becomes of the one before.

use std::sync::Arc;
use std::time::Duration;

use palisade_backend_kube::{Lease, LeaseError};
use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::support::{RealClock, cluster};

/// How long a runner that crashed holds others back, and some time on top.
const RUN_OUT: Duration = Duration::from_secs(25);

fn fresh() -> String {
    format!("test-{}", uuid::Uuid::now_v7())
}

async fn take(instance: &str, holder: &str) -> Result<Lease, LeaseError> {
    Lease::take(&cluster().await, instance, holder, Arc::new(RealClock)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_runner_is_refused_as_long_as_the_first_is_there() {
    let instance = fresh();
    let first = take(&instance, "first").await.expect("nobody holds it");
    let stop = CancellationToken::new();
    let kept = tokio_util::task::TaskTracker::new();
    let keeping = kept.spawn(first.keep(stop.clone()));
    let refused = time::timeout(RUN_OUT, take(&instance, "second")).await;
    let Ok(Err(LeaseError::Held { holder, .. })) = refused else {
        unreachable!("it is refused: {refused:?}");
    };
    assert_eq!(holder, "first");
    // Another instance is not in its way.
    take(&fresh(), "third").await.expect("nobody holds it");
    stop.cancel();
    keeping.await.expect("it ends").expect("it was not lost");
    // What was given back can be taken at once.
    let again = time::timeout(Duration::from_secs(5), take(&instance, "second")).await;
    again
        .expect("there is nothing to wait for")
        .expect("nobody holds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_crashed_holds_others_back_for_a_while_only() {
    let instance = fresh();
    let first = take(&instance, "first").await.expect("nobody holds it");
    drop(first);
    let second = time::timeout(RUN_OUT, take(&instance, "second")).await;
    second.expect("it runs out").expect("nobody renews it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_lease_was_taken_has_lost_it() {
    let instance = fresh();
    let first = take(&instance, "first").await.expect("nobody holds it");
    // It was held up for longer than its Lease lasts.
    take(&instance, "second").await.expect("nobody renewed it");
    let kept = first.keep(CancellationToken::new());
    let ended = time::timeout(RUN_OUT, kept).await.expect("it finds out");
    assert!(matches!(ended, Err(LeaseError::Lost)), "{ended:?}");
}
