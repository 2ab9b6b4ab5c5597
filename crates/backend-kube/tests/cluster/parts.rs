//! Stopping parts of the test node, and what a runner does about it meanwhile.
//!
//! Whatever uses this has the cluster to itself: scripts/kube runs it one by one.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::conformance::{self, Harness as _, Job};
use palisade_backend::{Backend as _, View};
use palisade_backend_kube::KubeBackend;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::time;

use crate::support::Harness;

/// How long anything may take that has to wait for a part of the node.
pub(crate) const LIMIT: Duration = Duration::from_secs(170);
const PAUSE: Duration = Duration::from_millis(200);

/// Has the script of the node do something with a part of it.
pub(crate) fn node(verb: &str, part: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kube/node.sh");
    let command = "exec \"$0\" \"$1\" \"$PALISADE_TEST_KUBE_DIR\" \"$2\"";
    run(Command::new("sh").args(["-c", command, script, verb, part]));
}

pub(crate) fn kubectl(words: &[&str]) {
    let command = "exec kubectl --kubeconfig \"$PALISADE_TEST_KUBECONFIG\" \"$@\"";
    run(Command::new("sh").args(["-c", command, "sh"]).args(words));
}

fn run(command: &mut Command) {
    let ran = command.output().expect("there is a shell");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{command:?}: {said}");
}

pub(crate) fn runs(view: &View) -> bool {
    matches!(view, View::Running { .. })
}

pub(crate) async fn wait_for(
    backend: &KubeBackend,
    id: SandboxId,
    holds: impl Fn(&View) -> bool,
) -> View {
    let mut last = None;
    let waited = time::timeout(LIMIT, async {
        loop {
            let seen = backend.get(id).await.expect("it can be looked at");
            last = seen.map(|seen| seen.view);
            if let Some(view) = last.as_ref().filter(|view| holds(view)) {
                return view.clone();
            }
            time::sleep(PAUSE / 2).await;
        }
    });
    let reached = waited.await.ok();
    reached.unwrap_or_else(|| unreachable!("it was last seen as {last:?}"))
}

/// As a runner does it: what failed is tried again.
pub(crate) async fn ensure(backend: Arc<KubeBackend>, launch: Launch) {
    while backend.ensure(&launch).await.is_err() {
        time::sleep(PAUSE).await;
    }
}

/// The same for removals.
pub(crate) async fn until_removed(backend: Arc<KubeBackend>, id: SandboxId) {
    while backend.remove(id).await.is_err() {
        time::sleep(PAUSE).await;
    }
}

pub(crate) async fn running(harness: &Harness) -> Launch {
    let launch = conformance::launch(harness, &Job::RunUntilStopped);
    let backend = harness.open();
    backend.ensure(&launch).await.expect("it is taken on");
    wait_for(&backend, launch.id, runs).await;
    launch
}

pub(crate) async fn remove(harness: &Harness, id: SandboxId) {
    let removed = time::timeout(LIMIT, until_removed(harness.open(), id));
    removed.await.expect("it can be removed");
    assert_eq!(harness.leftovers(id).await, Vec::<String>::new());
}
