//! What stands in for a node and for the controllers of a cluster where there is
//! an API server alone.
//!
//! It says of pods what a kubelet would say of them, and lets namespaces go that
//! are being deleted. No program runs, so that commands and logs fail. Each one
//! cares for the objects of one instance, so that many can be there side by side;
//! on a whole node there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::jiff;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_kind};
use kube::{Api, Client, Resource, ResourceExt as _};
use palisade_backend_kube::naming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The node that it plays, and what it is labelled with.
const NODE: &str = "stand-in";
const LABELS: [(&str, &str); 4] = [
    ("gpu.nvidia.com/class", "H100"),
    ("kubernetes.io/arch", "amd64"),
    ("disk", "ssd"),
    ("node.kubernetes.io/instance-type", "h100"),
];
/// How often to look again at what failed, or whose time is over.
const TICK: Duration = Duration::from_millis(100);

/// Plays the node of one instance until it is dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    stop: CancellationToken,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl StandIn {
    /// Begins, with a node that is there.
    pub(crate) async fn start(client: &Client, instance: &str) -> Self {
        put_node(client).await.expect("the node can be made");
        let selector = format!("{}={instance}", naming::INSTANCE);
        let config = watcher::Config::default().labels(&selector);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let pods = Box::pin(follow(client.clone(), config.clone(), see_to_pod));
        let namespaces = Box::pin(follow(client.clone(), config, see_to_namespace));
        let until = stop.clone();
        tasks.spawn(async move {
            let both = async { tokio::join!(pods, namespaces) };
            until.run_until_cancelled(both).await;
        });
        Self { stop }
    }
}

async fn put_node(client: &Client) -> kube::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let labels: BTreeMap<&str, &str> = BTreeMap::from(LABELS);
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODE, "labels": labels },
    });
    let as_tests = PatchParams::apply("tests").force();
    nodes.patch(NODE, &as_tests, &Patch::Apply(&node)).await?;
    let amounts = json!({ "cpu": "4k", "memory": "16Ti", "pods": "5k", "nvidia.com/gpu": "8k" });
    let status = json!({ "status": {
        "capacity": amounts, "allocatable": amounts,
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    let parameters = PatchParams::default();
    nodes
        .patch_status(NODE, &parameters, &Patch::Merge(&status))
        .await?;
    Ok(())
}

/// Sees to every object of a kind, as often as one changes and until that worked.
async fn follow<K>(
    client: Client,
    config: watcher::Config,
    see_to: impl AsyncFn(&Client, &K) -> kube::Result<bool>,
) where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let mut events = watch_kind(Api::<K>::all(client.clone()), config)
        .default_backoff()
        .boxed();
    let mut ticks = time::interval(TICK);
    // What is not settled, by uid.
    let mut open: BTreeMap<String, K> = BTreeMap::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Apply(object) | Event::InitApply(object))) => {
                    open.insert(object.uid().unwrap_or_default(), object);
                }
                Some(Ok(Event::Delete(object))) => {
                    open.remove(&object.uid().unwrap_or_default());
                    continue;
                }
                Some(Ok(Event::Init | Event::InitDone) | Err(_)) => continue,
                None => return,
            },
            _ = ticks.tick() => {}
        }
        let mut settled = Vec::new();
        for (uid, object) in &open {
            if matches!(see_to(&client, object).await, Ok(true)) {
                settled.push(uid.clone());
            }
        }
        open.retain(|uid, _| !settled.contains(uid));
    }
}

/// Does what a kubelet would do next; whether there is nothing more to do until
/// the pod changes.
async fn see_to_pod(client: &Client, pod: &Pod) -> kube::Result<bool> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    let (spec, status) = (
        pod.spec.clone().unwrap_or_default(),
        pod.status.clone().unwrap_or_default(),
    );
    let phase = status.phase.as_deref().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        let preconditions = Some(Preconditions {
            uid: pod.uid(),
            resource_version: None,
        });
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions,
            ..DeleteParams::default()
        };
        pods.delete(&name, &parameters).await?;
    } else if spec.node_name.is_none() {
        if !is_of_this_node(&spec.node_selector.unwrap_or_default()) {
            return Ok(true);
        }
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": NODE },
        });
        let parameters = PostParams::default();
        let _: Value = pods
            .create_subresource("binding", &name, &parameters, &binding)
            .await?;
    } else if phase == "Pending" {
        say(&pods, pod, running(pod)).await?;
    } else if let (Some(seconds), "Running") = (spec.active_deadline_seconds, phase) {
        let started = status.start_time.map_or(jiff::Timestamp::now(), |at| at.0);
        if jiff::Timestamp::now().duration_since(started).as_secs() < seconds {
            return Ok(false);
        }
        say(&pods, pod, timed_out(pod)).await?;
    }
    Ok(true)
}

fn is_of_this_node(selector: &BTreeMap<String, String>) -> bool {
    let labels = BTreeMap::from(LABELS);
    selector
        .iter()
        .all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()))
}

async fn say(pods: &Api<Pod>, pod: &Pod, status: Value) -> kube::Result<()> {
    let patch = json!({ "metadata": { "uid": pod.uid() }, "status": status });
    let parameters = PatchParams::default();
    pods.patch_status(&pod.name_any(), &parameters, &Patch::Merge(&patch))
        .await?;
    Ok(())
}

fn running(pod: &Pod) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let true_ones = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    json!({
        "phase": "Running", "startTime": now, "podIP": "192.0.2.1",
        "podIPs": [{ "ip": "192.0.2.1" }],
        "conditions": true_ones.map(|kind| json!({ "type": kind, "status": "True" })),
        "containerStatuses": containers(pod, &json!({ "running": { "startedAt": now } })),
    })
}

fn timed_out(pod: &Pod) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let ended = json!({ "terminated": {
        "exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now,
    } });
    json!({
        "phase": "Failed", "reason": "DeadlineExceeded",
        "containerStatuses": containers(pod, &ended),
    })
}

fn containers(pod: &Pod, state: &Value) -> Vec<Value> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let statuses = containers.map(|container| {
        json!({
            "name": container.name, "image": container.image, "imageID": "", "ready": true,
            "restartCount": 0, "started": true, "state": state,
        })
    });
    statuses.collect()
}

/// Empties a namespace that is being deleted, and lets it go.
async fn see_to_namespace(client: &Client, namespace: &Namespace) -> kube::Result<bool> {
    if namespace.metadata.deletion_timestamp.is_none() {
        return Ok(true);
    }
    let name = namespace.name_any();
    empty::<Pod>(client, &name).await?;
    empty::<Ingress>(client, &name).await?;
    empty::<Service>(client, &name).await?;
    empty::<NetworkPolicy>(client, &name).await?;
    empty::<Secret>(client, &name).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut last = namespaces.get(&name).await?;
    last.spec.get_or_insert_default().finalizers = Some(Vec::new());
    let parameters = PostParams::default();
    namespaces
        .replace_subresource("finalize", &name, &parameters, &last)
        .await?;
    Ok(true)
}

async fn empty<K>(client: &Client, namespace: &str) -> kube::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    for one in api.list(&ListParams::default()).await?.items {
        api.delete(&one.name_any(), &now).await?;
    }
    Ok(())
}
