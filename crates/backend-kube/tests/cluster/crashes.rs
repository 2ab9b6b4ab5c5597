//! A runner that dies at any step leaves nothing that the next one does not know
//! of, and removes.
//!
//! It dies by being cut off after so many writes: that is what a crash looks like
//! to the server, whatever the moment.

use std::time::Duration;

use palisade_backend::Backend as _;
use palisade_backend::conformance::Harness as _;
use palisade_backend_kube::KubeBackend;
use palisade_model::sandbox::Launch;
use serde_json::json;
use tokio::time;

use crate::profile::launch_under;
use crate::proxy::{Plan, Proxy};
use crate::support::{Harness, cluster, open_at};

/// How long a backend that was cut off may go on trying.
const DYING: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_mins(1);
/// More writes than a sandbox takes, whichever way it goes.
const STEPS: usize = 8;

/// A launch with a Service, in a namespace of its own.
pub(crate) fn exposed(harness: &Harness) -> Launch {
    let spec = json!({ "network": { "ingress": { "near": { "scope": "org" } } } });
    let mut launch = launch_under(harness, &spec);
    let own = format!("crash-{}", launch.id);
    launch.namespace.name = own.parse().expect("it is a name");
    launch
}

/// Waits until the backend knows the sandbox to be where its own writes left it.
async fn wait_until_running(backend: &KubeBackend, launch: &Launch) {
    let waited = time::timeout(LIMIT, async {
        loop {
            let seen = backend.get(launch.id).await.expect("it can be looked at");
            let is_there = seen
                .is_some_and(|seen| matches!(seen.view, palisade_backend::View::Running { .. }));
            if is_there {
                return;
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(waited.await.is_ok(), "it runs");
}

/// What the next runner does with what it finds; nothing is left afterwards.
async fn take_over(harness: &Harness, launch: &Launch, step: usize) {
    let next = open_at(&cluster().await, &harness.settings).await;
    let found = next.list().await.expect("it can be listed");
    let left = harness.leftovers(launch.id).await;
    match found.as_slice() {
        [] => assert_eq!(left, Vec::<String>::new(), "orphans after write {step}"),
        [one] => assert_eq!(one.launch, *launch, "after write {step}"),
        more => unreachable!("{} sandboxes after write {step}", more.len()),
    }
    next.remove(launch.id).await.expect("it can be removed");
    let left = harness.leftovers(launch.id).await;
    assert_eq!(left, Vec::<String>::new(), "left after write {step}");
    next.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_of_a_start_leaves_no_orphan() {
    for step in 0..STEPS {
        let harness = Harness::bare().await;
        let launch = exposed(&harness);
        let proxy = Proxy::start().await;
        let doomed = open_at(&proxy.cluster, &harness.settings).await;
        proxy.plan(Plan::DieAfter(step));
        // Whether it got through or not, what follows must find it.
        let _ = time::timeout(DYING, doomed.ensure(&launch)).await;
        proxy.wait_for_writes(step, DYING).await;
        doomed.close().await;
        take_over(&harness, &launch, step).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_of_a_removal_leaves_no_orphan() {
    for step in 0..STEPS {
        let harness = Harness::bare().await;
        let launch = exposed(&harness);
        let proxy = Proxy::start().await;
        let doomed = open_at(&proxy.cluster, &harness.settings).await;
        doomed.ensure(&launch).await.expect("it is taken on");
        wait_until_running(&doomed, &launch).await;
        proxy.take_writes();
        proxy.plan(Plan::DieAfter(step));
        let _ = time::timeout(DYING, doomed.remove(launch.id)).await;
        doomed.close().await;
        take_over(&harness, &launch, step).await;
    }
}
