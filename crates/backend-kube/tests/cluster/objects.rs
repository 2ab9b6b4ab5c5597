//! What the API server stores, and how little is needed of it: these tests need
//! no node.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use palisade_backend::conformance::{self, Harness as _, Job};
use palisade_backend::{Backend as _, EnsureError, View};
use palisade_backend_kube::naming;
use palisade_model::sandbox::{Launch, MountedFile};
use serde_json::{Value, json};

use crate::profile::launch_under;
use crate::support::{Harness, client};

/// A launch of this test alone, in a namespace that is not made for it.
fn launch(harness: &Harness) -> Launch {
    conformance::launch(harness, &Job::RunUntilStopped)
}

pub(crate) async fn stored<K>(launch: &Launch, name: &str) -> K
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client().await, launch.namespace.name.as_str());
    // Objects follow the record; the pod comes last.
    for _ in 0..100 {
        if let Some(found) = api.get_opt(name).await.expect("the cluster answers") {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("{} {name} was not made", K::kind(&()));
}

async fn remove(harness: &Harness, launch: &Launch) {
    let removed = harness.open().remove(launch.id).await;
    removed.expect("it can be removed");
    assert_eq!(harness.leftovers(launch.id).await, Vec::<String>::new());
}

fn as_json<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("objects are JSON")
}

/// Applies a cluster-wide object that tests share.
pub(crate) async fn apply<K>(object: Value)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(client().await);
    let name = object["metadata"]["name"]
        .as_str()
        .expect("it has a name")
        .to_owned();
    let parameters = PatchParams::apply("tests").force();
    let applied = api.patch(&name, &parameters, &Patch::Apply(&object)).await;
    applied.expect("the object can be made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_profile_is_taken_by_the_server() {
    apply::<RuntimeClass>(json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": { "name": "objects" }, "handler": "runc",
    }))
    .await;
    apply::<IngressClass>(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": { "name": "objects" }, "spec": { "controller": "example.com/none" },
    }))
    .await;
    let harness = Harness::new().await;
    let launch = rich(&harness);
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    let name = launch.id.to_string();
    let pod = as_json(&stored::<Pod>(&launch, &name).await);
    let spec = &pod["spec"];
    assert_eq!(spec["runtimeClassName"], "objects");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["enableServiceLinks"], false);
    assert_eq!(spec["terminationGracePeriodSeconds"], 20);
    assert_eq!(spec["schedulerName"], "tenant-slurm-slurm-scheduler");
    assert_eq!(spec["nodeSelector"], json!({ "gpu": "h100" }));
    assert_eq!(spec["activeDeadlineSeconds"], 4_200);
    assert_eq!(
        spec["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    let main = &spec["containers"][0];
    assert_eq!(main["resources"]["limits"]["memory"], "8Gi");
    assert_eq!(main["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(
        main["securityContext"]["capabilities"]["drop"],
        json!(["ALL"])
    );
    let mounts: Vec<&str> = main["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    assert_eq!(mounts.len(), 2, "{mounts:?}");
    assert_eq!(pod["metadata"]["labels"]["app"], "agent");
    assert_eq!(
        pod["metadata"]["annotations"]["sunk.coreweave.com/partition"],
        "cpu"
    );
    let policy = as_json(&stored::<NetworkPolicy>(&launch, &name).await);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(policy["spec"]["egress"][0]["to"][0]["ipBlock"]["except"].is_array());
    let service = as_json(&stored::<Service>(&launch, &naming::service(launch.id)).await);
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(
        service["metadata"]["annotations"]["metallb.io/pool"],
        "public"
    );
    let ingress = as_json(&stored::<Ingress>(&launch, &name).await);
    assert_eq!(ingress["spec"]["ingressClassName"], "objects");
    let secret = stored::<Secret>(&launch, &name).await;
    for object in [&pod, &policy, &service, &ingress] {
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!(owner["uid"], secret.metadata.uid.clone().unwrap());
    }
    remove(&harness, &launch).await;
}

/// A launch that uses every field at once.
fn rich(harness: &Harness) -> Launch {
    let spec = json!({
        "runtime_class": "objects",
        "resource_defaults": {
            "cpuRequest": "1", "memoryRequest": "2Gi", "cpuLimit": "4", "memoryLimit": "8Gi",
        },
        "instance_types": ["h100"],
        "node_selector": { "gpu": "h100" },
        "network": {
            "egress": { "default": "internet", "modes": { "internet": { "type": "internet" } } },
            "ingress": { "public": {
                "scope": "any",
                "expectsExternalAddress": true,
                "service": {
                    "serviceType": "LoadBalancer",
                    "serviceSelectorAnnotation": { "key": "metallb.io/pool", "value": "public" },
                },
                "ingress": {
                    "controllerName": "objects",
                    "template": "{{.SandboxID}}.sandboxes.example.com",
                },
            } },
        },
        "pod": {
            "metadata": {
                "labels": { "app": "agent" },
                "annotations": { "sunk.coreweave.com/partition": "cpu" },
            },
            "spec": {
                "schedulerName": "tenant-slurm-slurm-scheduler",
                "terminationGracePeriodSeconds": 20,
                "volumes": [{ "name": "scratch", "emptyDir": {} }],
                "initContainers": [
                    { "name": "prep", "image": "busybox", "command": ["sh", "-c", "echo prepping"] },
                ],
                "securityContext": { "runAsNonRoot": true },
                "containers": [{
                    "name": "",
                    "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
                }],
            },
        },
    });
    let mut launch = launch_under(harness, &spec);
    launch.mounted_files = vec![MountedFile {
        path: "/etc/app/config".to_owned(),
        content: b"\0\xff".to_vec(),
    }];
    launch.max_lifetime = Some(Duration::from_hours(1));
    launch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_made_elsewhere_and_missing_is_told() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness);
    launch.namespace.name = "no-such-namespace".parse().unwrap();
    launch.namespace.auto_create = false;
    let refused = harness.open().ensure(&launch).await;
    let Err(EnsureError::Unsupported { what }) = refused else {
        unreachable!("it is refused: {refused:?}");
    };
    assert!(what.contains("no-such-namespace does not exist"), "{what}");
    remove(&harness, &launch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_made_with_the_labels_of_its_profile_and_then_left_alone() {
    let harness = Harness::new().await;
    let api: Api<Namespace> = Api::all(client().await);
    let mut launch = launch(&harness);
    let name = format!("made-{}", launch.id);
    launch.namespace.name = name.parse().unwrap();
    launch.namespace.labels = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    let labels = api.get(&name).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["team"], "ml");
    let mut second = conformance::launch(&harness, &Job::RunUntilStopped);
    second.namespace = launch.namespace.clone();
    second
        .namespace
        .labels
        .insert("team".to_owned(), "web".to_owned());
    harness
        .open()
        .ensure(&second)
        .await
        .expect("it is taken on");
    let labels = api.get(&name).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["team"], "ml", "what is there is left as it is");
    remove(&harness, &launch).await;
    remove(&harness, &second).await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_fails_with_its_words() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness);
    // A name of a variable that no server takes.
    launch
        .workload
        .environment
        .insert("no=name".to_owned(), "x".to_owned());
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("the wish is recorded");
    let view = conformance::wait_until_over(&harness, launch.id).await;
    let View::Failed { reason, .. } = view else {
        unreachable!("it fails: {view:?}");
    };
    assert!(reason.contains("no=name"), "{reason}");
    remove(&harness, &launch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_no_node_took_on_can_be_stopped() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness);
    launch.node_selector = BTreeMap::from([("no".to_owned(), "such-node".to_owned())]);
    let backend = harness.open();
    backend.ensure(&launch).await.expect("it is taken on");
    stored::<Pod>(&launch, &launch.id.to_string()).await;
    backend
        .stop(launch.id, Duration::from_mins(10))
        .await
        .expect("it stops");
    let view = conformance::wait_until_over(&harness, launch.id).await;
    assert!(
        matches!(
            view,
            View::Ended {
                stopped: true,
                since: None,
                ..
            }
        ),
        "{view:?}"
    );
    remove(&harness, &launch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_with_files_comes_back_after_a_crash_bit_for_bit() {
    let mut harness = Harness::new().await;
    let launch = rich_without_classes(&harness);
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    harness.crash_and_reopen().await;
    let listed = harness.open().list().await.expect("it can be listed");
    let launches: Vec<&Launch> = listed.iter().map(|sighting| &sighting.launch).collect();
    assert_eq!(launches, [&launch]);
    remove(&harness, &launch).await;
}

fn rich_without_classes(harness: &Harness) -> Launch {
    let mut launch = rich(harness);
    launch.runtime_class = None;
    launch.exposure = None;
    launch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_somebody_deletes_is_not_made_again() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness);
    launch.node_selector = BTreeMap::from([("no".to_owned(), "such-node".to_owned())]);
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    let name = launch.id.to_string();
    stored::<Pod>(&launch, &name).await;
    let pods: Api<Pod> = Api::namespaced(client().await, launch.namespace.name.as_str());
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    pods.delete(&name, &now).await.expect("it can be deleted");
    let view = conformance::wait_until_over(&harness, launch.id).await;
    let View::Failed { reason, .. } = &view else {
        unreachable!("it failed: {view:?}");
    };
    assert!(reason.contains("deleted"), "{reason}");
    harness.open().ensure(&launch).await.expect("it is known");
    assert!(pods.get_opt(&name).await.unwrap().is_none());
    remove(&harness, &launch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_somebody_deletes_takes_the_sandbox_along() {
    let harness = Harness::new().await;
    let mut launch = launch(&harness);
    launch.node_selector = BTreeMap::from([("no".to_owned(), "such-node".to_owned())]);
    harness
        .open()
        .ensure(&launch)
        .await
        .expect("it is taken on");
    let name = launch.id.to_string();
    stored::<Pod>(&launch, &name).await;
    let secrets: Api<Secret> = Api::namespaced(client().await, launch.namespace.name.as_str());
    secrets
        .delete(&name, &DeleteParams::background())
        .await
        .expect("it can be deleted");
    let view = conformance::wait_until_over(&harness, launch.id).await;
    assert!(matches!(view, View::Failed { .. }), "{view:?}");
    remove(&harness, &launch).await;
}
