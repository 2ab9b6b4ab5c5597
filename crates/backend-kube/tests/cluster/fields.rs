//! A golden test for each field of a profile: what the API server has stored of a
//! sandbox, its defaults included.
//!
//! The objects of a profile that says nothing are a snapshot as a whole; of every
//! field there is what it changes in them. What differs from run to run, and what
//! a node or a controller adds, is left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::{Api, Resource};
use palisade_backend::Backend as _;
use palisade_backend_kube::naming;
use palisade_model::profile::form;
use palisade_model::sandbox::{GpuKind, GpuRequest, Launch, MountedFile};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::objects::{apply, stored};
use crate::parts::until_removed;
use crate::profile::landed;
use crate::support::{Harness, client};

/// Fields that no object of a cluster shows.
const WITHOUT_OBJECT: [&str; 2] = ["resource_ceiling", "tags"];
/// Keys that are not looked at: the server's own, and what is added after it.
const LEFT_OUT: [&str; 15] = [
    "apiVersion",
    "clusterIP",
    "clusterIPs",
    "creationTimestamp",
    "generation",
    "healthCheckNodePort",
    "managedFields",
    "nodeName",
    "nodePort",
    "resourceVersion",
    "selfLink",
    "serviceAccount",
    "serviceAccountName",
    "status",
    "uid",
];

/// A namespace that somebody else made.
const KEPT: &str = "golden-kept";

fn container() -> Vec<(&'static str, Value)> {
    vec![
        ("container_image", json!("ghcr.io/myorg/python-ds:3.11")),
        ("runtime_class", json!("fields")),
        ("resource_defaults.cpuRequest", json!("1")),
        ("resource_defaults.memoryRequest", json!("2Gi")),
        ("resource_defaults.cpuLimit", json!("4")),
        ("resource_defaults.memoryLimit", json!("8Gi")),
        ("instance_types", json!(["h100", "a100"])),
        ("node_selector", json!({ "gpu": "h100" })),
    ]
}

fn namespaces() -> Vec<(&'static str, Value)> {
    vec![
        ("namespace.strategy", json!("per-user")),
        ("namespace.strategy", json!("per-org")),
        ("namespace.strategy", json!("per-profile")),
        (
            "namespace",
            json!({ "strategy": "static", "staticNamespace": "golden" }),
        ),
        (
            "namespace",
            json!({ "strategy": "static", "staticNamespace": KEPT, "autoCreate": false }),
        ),
        ("namespace.namespacePrefix", json!("team-a-")),
        ("namespace.labels", json!({ "team": "ml" })),
        ("namespace.annotations", json!({ "owner": "ml-platform" })),
    ]
}

fn egress() -> Vec<(&'static str, Value)> {
    let mode = |mode: Value| {
        let egress = json!({ "default": "mode", "modes": { "mode": mode } });
        ("network.egress", egress)
    };
    let mut modes: Vec<_> = ["none", "internet", "org", "user", "profile"]
        .map(|kind| mode(json!({ "type": kind })))
        .into();
    let cidrs = json!(["140.82.112.0/20", "2606:50c0::/32"]);
    modes.push(mode(json!({ "type": "allowlist", "cidrs": cidrs })));
    modes
}

fn ingress() -> Vec<(&'static str, Value)> {
    let level = |level: Value| ("network.ingress", json!({ "level": level }));
    let mut levels: Vec<_> = ["user", "profile", "org", "any"]
        .map(|scope| level(json!({ "scope": scope })))
        .into();
    for kind in ["NodePort", "LoadBalancer"] {
        let service = json!({ "serviceType": kind });
        levels.push(level(json!({ "scope": "any", "service": service })));
    }
    for annotation in ["serviceSelectorAnnotation", "dnsAnnotation"] {
        let pair = json!({ "key": "example.com/key", "value": "value" });
        let service = json!({ "serviceType": "LoadBalancer", annotation: pair });
        levels.push(level(json!({ "scope": "any", "service": service })));
    }
    let template = "{{.SandboxID}}.sandboxes.example.com";
    let route = json!({ "controllerName": "fields", "template": template });
    levels.push(level(json!({
        "scope": "any", "expectsExternalAddress": true, "ingress": route,
    })));
    levels
}

fn pod() -> Vec<(&'static str, Value)> {
    let spec = |spec: Value| ("pod.spec", spec);
    vec![
        ("pod.metadata", json!({ "labels": { "app": "agent" } })),
        (
            "pod.metadata",
            json!({ "annotations": { "sunk.coreweave.com/partition": "cpu" } }),
        ),
        ("pod.placement", json!({ "instanceTypes": ["h100"] })),
        spec(json!({ "schedulerName": "slurm", "terminationGracePeriodSeconds": 20 })),
        spec(json!({ "securityContext": { "runAsNonRoot": true, "runAsUser": 1000 } })),
        spec(json!({ "tolerations": [{ "key": "gpu", "operator": "Exists" }] })),
        spec(json!({ "initContainers": [
            { "name": "prep", "image": "busybox", "command": ["sh", "-c", "echo prepping"] },
        ] })),
        spec(json!({ "containers": [{ "name": "beside", "image": "busybox" }] })),
        spec(json!({
            "volumes": [{ "name": "scratch", "emptyDir": {} }],
            "containers": [{
                "name": "",
                "env": [{ "name": "LEVEL", "value": "high" }],
                "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
            }],
        })),
    ]
}

/// Asks for something.
type Ask = fn(&mut Launch);

/// What a request may say, by the name of its field.
fn request() -> Vec<(&'static str, Ask)> {
    vec![
        ("request.command", |launch| {
            launch.workload.command = vec!["/bin/true".to_owned()];
        }),
        ("request.environment", |launch| {
            let (name, value) = ("GREETING".to_owned(), "hello".to_owned());
            launch.workload.environment.insert(name, value);
        }),
        ("request.gpu", |launch| {
            let kind = GpuKind::Type("H100".to_owned());
            launch.resources.gpu = Some(GpuRequest { count: 2, kind });
        }),
        ("request.mounted_files", |launch| {
            let (path, content) = ("/etc/app/config".to_owned(), b"\0\xff".to_vec());
            launch.mounted_files = vec![MountedFile { path, content }];
        }),
        ("request.max_lifetime", |launch| {
            launch.max_lifetime = Some(Duration::from_hours(1));
        }),
    ]
}

/// A spec in which one field is set, by its path.
fn spec_with(path: &str, value: Value) -> Value {
    let mut keys = path.rsplit('.');
    keys.by_ref()
        .fold(value, |inner, key| json!({ key: inner }))
}

/// The objects of a sandbox, by the paths of their leaves.
async fn leaves(harness: &Harness, launch: &Launch) -> BTreeMap<String, String> {
    let backend = harness.open();
    backend.ensure(launch).await.expect("it is taken on");
    let name = launch.id.to_string();
    let namespace = launch.namespace.name.as_str();
    let client = client().await;
    let pod: Pod = stored(launch, &name).await;
    let mut objects = json!({
        "namespace": found(&Api::<Namespace>::all(client.clone()), namespace).await,
        "pod": pod,
        "policy": found(&Api::<NetworkPolicy>::namespaced(client.clone(), namespace), &name).await,
        "service": found(&Api::<Service>::namespaced(client.clone(), namespace),
            &naming::service(launch.id)).await,
        "ingress": found(&Api::<Ingress>::namespaced(client.clone(), namespace), &name).await,
        "record": found(&Api::<Secret>::namespaced(client, namespace), &name).await,
    });
    // A namespace that everybody shares may have been made by an earlier run.
    let maker = &mut objects["namespace"]["metadata"]["labels"][naming::INSTANCE];
    if maker
        .as_str()
        .is_some_and(|maker| maker.starts_with("test-"))
    {
        *maker = json!("INSTANCE");
    }
    // Values of secrets are nobody's business, and are full of ids.
    for (_, value) in objects["record"]["data"]
        .as_object_mut()
        .into_iter()
        .flatten()
    {
        *value = json!("a value");
    }
    // A node that has much to do may take longer for a pod than one removal waits.
    until_removed(backend, launch.id).await;
    let text = without_ids(&objects.to_string(), harness, launch);
    let objects = serde_json::from_str(&text).expect("it stays JSON");
    let mut leaves = BTreeMap::new();
    flatten("", &objects, &mut leaves);
    leaves
}

async fn found<K>(api: &Api<K>, name: &str) -> Value
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let found = api.get_opt(name).await.expect("the cluster answers");
    serde_json::to_value(found).expect("objects are JSON")
}

fn without_ids(text: &str, harness: &Harness, launch: &Launch) -> String {
    let namespace = launch.namespace.name.as_str();
    let hash = namespace.rsplit('-').next().filter(|tail| tail.len() == 16);
    let text = text
        .replace(&launch.id.to_string(), "SANDBOX")
        .replace(&launch.profile.to_string(), "PROFILE")
        .replace(&harness.settings.instance, "INSTANCE")
        .replace(launch.owner.user.as_str(), "OWNER");
    hash.map_or(text.clone(), |hash| text.replace(hash, "HASH"))
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let looked_at = map
                .iter()
                .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
            for (key, inner) in looked_at {
                flatten(&format!("{path}{}", step(key)), inner, leaves);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, inner) in list.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), inner, leaves);
            }
        }
        Value::Null => {}
        Value::Object(_)
        | Value::Array(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            leaves.insert(path.trim_start_matches('.').to_owned(), value.to_string());
        }
    }
}

fn step(key: &str) -> String {
    if key.contains('.') {
        format!("[{key}]")
    } else {
        format!(".{key}")
    }
}

fn lines(leaves: &BTreeMap<String, String>) -> String {
    leaves
        .iter()
        .fold(String::new(), |mut text, (path, value)| {
            let _ = writeln!(text, "{path} = {value}");
            text
        })
}

/// What became different, in the manner of `diff`.
fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let (old, new) = (before.get(path), after.get(path));
        if old == new {
            continue;
        }
        for (mark, value) in [('-', old), ('+', new)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{mark} {path} = {value}");
            }
        }
    }
    text
}

/// What each of these fields changes.
async fn golden(fields: Vec<(&'static str, Value)>) -> String {
    make_classes().await;
    let harness = Harness::new().await;
    let before = leaves(&harness, &landed(&harness, &json!({}))).await;
    let mut text = String::new();
    for (path, value) in fields {
        let spec = spec_with(path, value.clone());
        let after = leaves(&harness, &landed(&harness, &spec)).await;
        let changed = changes(&before, &after);
        let _ = writeln!(text, "{path}: {value}\n{changed}");
    }
    harness.open().close().await;
    text
}

/// The classes that profiles here name.
pub(crate) async fn make_classes() {
    apply::<RuntimeClass>(json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": { "name": "fields" }, "handler": "runc",
    }))
    .await;
    apply::<IngressClass>(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": { "name": "fields" }, "spec": { "controller": "example.com/none" },
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_says_nothing_is_stored_hardened_and_closed() {
    let harness = Harness::new().await;
    let leaves = leaves(&harness, &landed(&harness, &json!({}))).await;
    insta::assert_snapshot!(lines(&leaves));
    harness.open().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_resources_and_placement_are_stored_as_they_are_set() {
    insta::assert_snapshot!(golden(container()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_are_stored_by_strategy_and_with_what_they_are_marked_with() {
    apply::<Namespace>(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": KEPT },
    }))
    .await;
    insta::assert_snapshot!(golden(namespaces()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_egress_mode_is_stored_as_a_policy() {
    insta::assert_snapshot!(golden(egress()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ingress_level_is_stored_as_a_policy_a_service_and_a_route() {
    insta::assert_snapshot!(golden(ingress()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_of_the_pod_is_stored_merged() {
    insta::assert_snapshot!(golden(pod()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_asks_for_is_stored() {
    let harness = Harness::new().await;
    let before = leaves(&harness, &landed(&harness, &json!({}))).await;
    let mut text = String::new();
    for (field, ask) in request() {
        let mut launch = landed(&harness, &json!({}));
        ask(&mut launch);
        let changed = changes(&before, &leaves(&harness, &launch).await);
        let _ = writeln!(text, "{field}\n{changed}");
    }
    insta::assert_snapshot!(text);
    harness.open().close().await;
}

#[test]
fn every_field_of_a_profile_has_a_golden_object() {
    let groups = [container(), namespaces(), egress(), ingress(), pod()];
    let paths: Vec<&str> = groups.iter().flatten().map(|(path, _)| *path).collect();
    for field in form::FIELDS {
        let is_golden = paths
            .iter()
            .any(|path| path.split('.').next() == Some(field));
        assert_ne!(is_golden, WITHOUT_OBJECT.contains(&field), "{field}");
    }
}
