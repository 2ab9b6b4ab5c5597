//! Nodes with public addresses, which are no internet to sandboxes.
//!
//! Every backend of the cluster sees such a node, and writes policies anew: nothing
//! else may run beside these. scripts/kube runs them one by one.

use std::time::Duration;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use palisade_backend::Backend as _;
use palisade_backend::conformance::Harness as _;
use palisade_model::sandbox::Launch;
use serde_json::json;
use tokio::time;

use crate::parts::{LIMIT, runs, wait_for};
use crate::profile::launch_under;
use crate::proxy::Proxy;
use crate::second_node::SecondNode;
use crate::support::{Harness, client, open_at};

const ADDRESS: &str = "5.9.0.1";

async fn policy(launch: &Launch) -> NetworkPolicy {
    let namespace = launch.namespace.name.as_str();
    let policies: Api<NetworkPolicy> = Api::namespaced(client().await, namespace);
    let policy = policies.get(&launch.id.to_string()).await;
    policy.expect("the sandbox has a policy")
}

/// Waits until the policy of a sandbox closes the address of the node, or no more.
async fn wait_until_closed(launch: &Launch, is_closed: bool) {
    let waited = time::timeout(LIMIT, async {
        let range = format!("{ADDRESS}/32");
        loop {
            let text = serde_json::to_string(&policy(launch).await).expect("it is JSON");
            if text.contains(&range) == is_closed {
                return;
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.expect("the policy follows the nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_is_closed_to_sandboxes_that_run_and_to_those_that_come() {
    let harness = Harness::bare().await;
    let proxy = Proxy::start().await;
    let backend = open_at(&proxy.cluster, &harness.settings).await;
    let open = |kind: &str| {
        let modes = json!({ "mode": { "type": kind } });
        let egress = json!({ "default": "mode", "modes": modes });
        launch_under(&harness, &json!({ "network": { "egress": egress } }))
    };
    let (first, closed) = (open("internet"), open("none"));
    for launch in [&first, &closed] {
        backend.ensure(launch).await.expect("it is taken on");
        wait_for(&backend, launch.id, runs).await;
    }
    wait_until_closed(&first, false).await;
    proxy.take_writes();
    let node = SecondNode::join().await;
    node.tell_address(ADDRESS).await;
    wait_until_closed(&first, true).await;
    let owners = policy(&first).await.metadata.owner_references;
    let is_owned = owners.is_some_and(|owners| owners.len() == 1);
    assert!(is_owned, "it goes with its record");
    let next = open("internet");
    backend.ensure(&next).await.expect("it is taken on");
    wait_for(&backend, next.id, runs).await;
    wait_until_closed(&next, true).await;
    // Where nothing is open, nothing is written.
    let writes = proxy.take_writes();
    let of_policies = writes
        .iter()
        .filter(|write| write.contains("networkpolicies"));
    assert_eq!(of_policies.count(), 2, "{writes:?}");
    node.leave().await;
    wait_until_closed(&first, false).await;
    for launch in [first, closed, next] {
        backend.remove(launch.id).await.expect("it can be removed");
        let left = harness.leftovers(launch.id).await;
        assert_eq!(left, Vec::<String>::new());
    }
    backend.close().await;
}
