//! What happens to sandboxes when their node falls silent, or is drained.
//!
//! These stop the kubelet and drain the node: nothing else may run beside them.
//! scripts/kube/test.sh runs them last, one by one.

use std::time::Duration;

use palisade_backend::{Backend as _, View};
use palisade_backend_kube::KubeBackend;
use tokio::time;

use crate::parts::{LIMIT, kubectl, node, remove, running, wait_for};
use crate::second_node::SecondNode;
use crate::support::Harness;

async fn until_nothing_is_open(backend: &KubeBackend) {
    while backend.capacity().await.expect("it is known").sandboxes_max > 0 {
        time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_on_a_node_that_falls_silent_is_lost_and_can_be_removed() {
    let harness = Harness::new().await;
    // The cluster gives no pod up while every node of it is silent.
    let second = SecondNode::join().await;
    let launch = running(&harness).await;
    let backend = harness.open();
    node("kill", "kubelet");
    let silent = time::timeout(LIMIT, until_nothing_is_open(&backend));
    silent.await.expect("the node takes nothing on any more");
    let view = wait_for(&backend, launch.id, View::is_over).await;
    remove(&harness, launch.id).await;
    node("start", "kubelet");
    second.leave().await;
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
