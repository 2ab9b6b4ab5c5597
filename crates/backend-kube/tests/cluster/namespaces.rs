//! Namespaces that were made for sandboxes go once nothing is in them any more.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use palisade_backend::Backend as _;
use palisade_backend::conformance::{self, Job};
use palisade_model::sandbox::Launch;
use serde_json::json;
use tokio::time;

use crate::support::{Harness, client};

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(90);
/// How often the backend looks in these tests, several times over.
const SEVERAL_LOOKS: Duration = Duration::from_secs(5);

/// A backend that waits for a second, and a launch in a namespace of its own.
async fn hasty() -> (Harness, Launch) {
    let idle = Some(Duration::from_secs(1));
    let harness = Harness::with(|settings| settings.namespace_idle = idle).await;
    let mut launch = conformance::launch(&harness, &Job::RunUntilStopped);
    launch.namespace.name = format!("idle-{}", launch.id).parse().expect("it is a name");
    (harness, launch)
}

/// Whether the namespace is there and stays.
async fn is_there(name: &str) -> bool {
    let api: Api<Namespace> = Api::all(client().await);
    let found = api.get_opt(name).await.expect("the cluster answers");
    found.is_some_and(|found| found.metadata.deletion_timestamp.is_none())
}

async fn wait_until_gone(name: &str) {
    let gone = async {
        while is_there(name).await {
            time::sleep(Duration::from_millis(200)).await;
        }
    };
    let waited = time::timeout(LIMIT, gone).await;
    assert!(waited.is_ok(), "namespace {name} is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_namespace_goes_and_comes_again_when_it_is_needed() {
    let (harness, launch) = hasty().await;
    let backend = harness.open();
    let name = launch.namespace.name.to_string();
    backend.ensure(&launch).await.expect("it is taken on");
    time::sleep(SEVERAL_LOOKS).await;
    assert!(is_there(&name).await, "a sandbox is in it");
    backend.remove(launch.id).await.expect("it can be removed");
    wait_until_gone(&name).await;
    // The namespace may still be going: the next sandbox waits for that.
    let mut next = conformance::launch(&harness, &Job::RunUntilStopped);
    next.namespace = launch.namespace.clone();
    backend.ensure(&next).await.expect("it is taken on");
    assert!(is_there(&name).await);
    backend.remove(next.id).await.expect("it can be removed");
    wait_until_gone(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_with_something_of_others_stays() {
    let (harness, launch) = hasty().await;
    let backend = harness.open();
    let name = launch.namespace.name.to_string();
    backend.ensure(&launch).await.expect("it is taken on");
    let secrets: Api<Secret> = Api::namespaced(client().await, &name);
    let secret = json!({ "metadata": { "name": "theirs" }, "stringData": { "a": "b" } });
    let secret: Secret = serde_json::from_value(secret).expect("it is a Secret");
    let made = secrets.create(&PostParams::default(), &secret).await;
    made.expect("it can be made");
    backend.remove(launch.id).await.expect("it can be removed");
    time::sleep(SEVERAL_LOOKS).await;
    assert!(is_there(&name).await, "something of others is in it");
    let deleted = secrets.delete("theirs", &DeleteParams::default()).await;
    deleted.expect("it can be deleted");
    wait_until_gone(&name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_was_made_elsewhere_stays() {
    let (harness, mut launch) = hasty().await;
    let name = launch.namespace.name.to_string();
    let api: Api<Namespace> = Api::all(client().await);
    let namespace = json!({ "metadata": { "name": name } });
    let namespace: Namespace = serde_json::from_value(namespace).expect("it is a Namespace");
    let made = api.create(&PostParams::default(), &namespace).await;
    made.expect("it can be made");
    launch.namespace.auto_create = false;
    let backend = harness.open();
    backend.ensure(&launch).await.expect("it is taken on");
    backend.remove(launch.id).await.expect("it can be removed");
    time::sleep(SEVERAL_LOOKS).await;
    assert!(is_there(&name).await);
    api.delete(&name, &DeleteParams::default())
        .await
        .expect("it can be deleted");
}
