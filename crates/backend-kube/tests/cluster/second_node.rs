//! A second node, which is healthy and takes nothing on.
//!
//! It is nothing but a Node that goes on saying that it is well, as a kubelet does.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::client;

const NAME: &str = "node-2";
/// How often it says that it is well: four times as often as it has to.
const BEAT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct SecondNode {
    stop: CancellationToken,
    nodes: Api<Node>,
}

impl SecondNode {
    pub(crate) async fn join() -> Self {
        let nodes: Api<Node> = Api::all(client().await);
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": NAME },
            "spec": { "unschedulable": true },
        });
        let as_tests = PatchParams::apply("tests").force();
        let made = nodes.patch(NAME, &as_tests, &Patch::Apply(&node)).await;
        made.expect("it can be made");
        beat(&nodes).await.expect("it can say that it is well");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (until, well) = (stop.clone(), nodes.clone());
        tasks.spawn(until.run_until_cancelled_owned(async move {
            loop {
                time::sleep(BEAT).await;
                // The next one makes up for one that failed.
                let _ = beat(&well).await;
            }
        }));
        Self { stop, nodes }
    }

    /// Tells an address of it, beside those that it has.
    pub(crate) async fn tell_address(&self, address: &str) {
        let addresses = json!([{ "type": "ExternalIP", "address": address }]);
        let status = json!({ "status": { "addresses": addresses } });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&status));
        let told = self.nodes.patch_status(NAME, &parameters, &patch).await;
        told.expect("it can be told");
    }

    pub(crate) async fn leave(self) {
        self.stop.cancel();
        let deleted = self.nodes.delete(NAME, &DeleteParams::default()).await;
        deleted.expect("it can be deleted");
    }
}

async fn beat(nodes: &Api<Node>) -> kube::Result<Node> {
    let now = jiff::Timestamp::now().to_string();
    let status = json!({ "status": { "conditions": [{
        "type": "Ready", "status": "True", "reason": "Well",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }] } });
    let parameters = PatchParams::default();
    nodes
        .patch_status(NAME, &parameters, &Patch::Merge(&status))
        .await
}
