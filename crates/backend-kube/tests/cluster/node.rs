//! What happens to sandboxes when parts of the cluster go down and come back.
//!
//! These stop the API server and the kubelet, and drain the node: nothing else
//! may run beside them. scripts/kube/test.sh runs them last, one by one.

use std::process::Command;
use std::time::Duration;

use palisade_backend::conformance::{self, Harness as _, Job};
use palisade_backend::{Backend as _, View};
use palisade_backend_kube::KubeBackend;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::time;

use crate::support::Harness;

const LIMIT: Duration = Duration::from_secs(170);
const SANDBOXES: usize = 8;

/// Has the script of the node do something with a part of it.
fn node(verb: &str, part: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kube/node.sh");
    let command = "exec \"$0\" \"$1\" \"$PALISADE_TEST_KUBE_DIR\" \"$2\"";
    run(Command::new("sh").args(["-c", command, script, verb, part]));
}

fn kubectl(words: &[&str]) {
    let command = "exec kubectl --kubeconfig \"$PALISADE_TEST_KUBECONFIG\" \"$@\"";
    run(Command::new("sh").args(["-c", command, "sh"]).args(words));
}

fn run(command: &mut Command) {
    let ran = command.output().expect("there is a shell");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{command:?}: {said}");
}

async fn wait_for(backend: &KubeBackend, id: SandboxId, holds: impl Fn(&View) -> bool) -> View {
    let mut last = None;
    let waited = time::timeout(LIMIT, async {
        loop {
            let seen = backend.get(id).await.expect("it can be looked at");
            last = seen.map(|seen| seen.view);
            if let Some(view) = last.as_ref().filter(|view| holds(view)) {
                return view.clone();
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    let reached = waited.await.ok();
    reached.unwrap_or_else(|| unreachable!("it was last seen as {last:?}"))
}

async fn until_nothing_is_open(backend: &KubeBackend) {
    while backend.capacity().await.expect("it is known").sandboxes_max > 0 {
        time::sleep(Duration::from_millis(200)).await;
    }
}

fn runs(view: &View) -> bool {
    matches!(view, View::Running { .. })
}

/// As a runner does it: what failed is tried again.
async fn ensure(backend: std::sync::Arc<KubeBackend>, launch: Launch) {
    while backend.ensure(&launch).await.is_err() {
        time::sleep(Duration::from_millis(200)).await;
    }
}

async fn running(harness: &Harness) -> Launch {
    let launch = conformance::launch(harness, &Job::RunUntilStopped);
    let backend = harness.open();
    backend.ensure(&launch).await.expect("it is taken on");
    wait_for(&backend, launch.id, runs).await;
    launch
}

async fn remove(harness: &Harness, id: SandboxId) {
    let backend = harness.open();
    let removed = time::timeout(LIMIT, async {
        while backend.remove(id).await.is_err() {
            time::sleep(Duration::from_millis(200)).await;
        }
    });
    removed.await.expect("it can be removed");
    assert_eq!(harness.leftovers(id).await, Vec::<String>::new());
}

/// The node is killed and comes back while sandboxes start, run and end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_killed_under_load_costs_no_sandbox() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let before = running(&harness).await;
    let launches: Vec<Launch> = (0..SANDBOXES)
        .map(|_| conformance::launch(&harness, &Job::RunUntilStopped))
        .collect();
    let mut started = tokio::task::JoinSet::new();
    for launch in launches.clone() {
        started.spawn(ensure(harness.open(), launch));
    }
    time::sleep(Duration::from_millis(150)).await;
    node("kill", "apiserver");
    let seen = backend.get(before.id).await.expect("it is known");
    assert!(seen.is_some_and(|seen| runs(&seen.view)), "it runs on");
    node("start", "apiserver");
    time::timeout(LIMIT, started.join_all())
        .await
        .expect("all are taken on");
    for launch in launches.iter().chain([&before]) {
        wait_for(&backend, launch.id, runs).await;
    }
    for launch in launches.iter().chain([&before]) {
        remove(&harness, launch.id).await;
    }
    backend.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_on_a_node_that_falls_silent_is_lost_and_can_be_removed() {
    let harness = Harness::new().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    node("kill", "kubelet");
    let silent = time::timeout(LIMIT, until_nothing_is_open(&backend));
    silent.await.expect("the node takes nothing on any more");
    // What the cluster does by itself, unless every node of it is silent.
    let name = launch.id.to_string();
    let namespace = launch.namespace.name.as_str();
    kubectl(&["delete", "pod", "-n", namespace, &name, "--wait=false"]);
    let view = wait_for(&backend, launch.id, View::is_over).await;
    remove(&harness, launch.id).await;
    node("start", "kubelet");
    let View::Failed { reason, .. } = &view else {
        unreachable!("it failed: {view:?}");
    };
    assert!(reason.contains("node was lost"), "{reason}");
    // The node is of use again.
    let next = running(&harness).await;
    remove(&harness, next.id).await;
    backend.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_of_a_node_that_is_drained_ends_for_good_and_says_why() {
    let harness = Harness::new().await;
    let launch = running(&harness).await;
    kubectl(&[
        "drain",
        "node-1",
        "--force",
        "--delete-emptydir-data",
        "--timeout=120s",
    ]);
    let backend = harness.open();
    let view = wait_for(&backend, launch.id, View::is_over).await;
    kubectl(&["uncordon", "node-1"]);
    let reason = match &view {
        View::Ended { reason, .. } | View::Failed { reason, .. } => reason,
        View::Starting(_) | View::Running { .. } | View::Paused { .. } | View::Stopping { .. } => {
            unreachable!("it is over")
        }
    };
    assert!(reason.contains("deleted from the cluster"), "{view:?}");
    // What was said once stays, though the pod is gone.
    harness.open().ensure(&launch).await.expect("it is known");
    let again = backend.get(launch.id).await.expect("it is known");
    assert_eq!(again.map(|seen| seen.view), Some(view));
    remove(&harness, launch.id).await;
    backend.close().await;
}
