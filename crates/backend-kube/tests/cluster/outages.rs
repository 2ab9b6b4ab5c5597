//! An API server that is killed while sandboxes start and go.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use palisade_backend::Backend as _;
use palisade_backend::conformance::{self, Job};
use palisade_backend_kube::naming;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::task::JoinSet;
use tokio::time;

use crate::parts::{LIMIT, ensure, node, remove, running, runs, until_removed, wait_for};
use crate::support::{Harness, client, labelled};

/// How many start, and how many go, at the moment of the kill.
const STARTING: usize = 8;
const LEAVING: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_killed_as_the_first_one_is_taken_on_costs_no_sandbox() {
    kill_after(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_killed_in_the_middle_of_starts_costs_no_sandbox() {
    kill_after(STARTING / 2).await;
}

/// Kills the server once so many of the starting ones are acknowledged.
async fn kill_after(acknowledged: usize) {
    let harness = Harness::new().await;
    let backend = harness.open();
    let before = running(&harness).await;
    let mut leaving = Vec::new();
    for _ in 0..LEAVING {
        leaving.push(running(&harness).await.id);
    }
    let starting: Vec<Launch> = (0..STARTING)
        .map(|_| conformance::launch(&harness, &Job::RunUntilStopped))
        .collect();
    let (mut started, mut gone) = (JoinSet::new(), JoinSet::new());
    for launch in starting.clone() {
        started.spawn(ensure(harness.open(), launch));
    }
    for id in leaving.clone() {
        gone.spawn(until_removed(harness.open(), id));
    }
    for _ in 0..acknowledged {
        let one = time::timeout(LIMIT, started.join_next()).await;
        one.expect("it is taken on")
            .expect("one is left")
            .expect("it ends");
    }
    node("kill", "apiserver");
    let seen = backend.get(before.id).await.expect("it is known");
    assert!(seen.is_some_and(|seen| runs(&seen.view)), "it runs on");
    node("start", "apiserver");
    let started = time::timeout(LIMIT, started.join_all()).await;
    started.expect("all are taken on");
    let gone = time::timeout(LIMIT, gone.join_all()).await;
    gone.expect("all are removed");
    let kept: BTreeSet<SandboxId> = starting.iter().chain([&before]).map(|one| one.id).collect();
    for id in &kept {
        wait_for(&backend, *id, runs).await;
    }
    assert_eq!(owned(&harness).await, (kept.clone(), kept.clone()));
    for id in kept {
        remove(&harness, id).await;
    }
    let left = labelled(naming::INSTANCE, &harness.settings.instance).await;
    assert_eq!(left, Vec::<String>::new(), "orphans");
    backend.close().await;
}

/// The sandboxes of this instance that have a pod, and those that have a record.
async fn owned(harness: &Harness) -> (BTreeSet<SandboxId>, BTreeSet<SandboxId>) {
    let selector = format!("{}={}", naming::INSTANCE, harness.settings.instance);
    let parameters = ListParams::default().labels(&selector);
    let client = client().await;
    let pods = Api::<Pod>::all(client.clone()).list(&parameters).await;
    let records = Api::<Secret>::all(client).list(&parameters).await;
    let pods = pods.expect("the cluster answers");
    let records = records.expect("the cluster answers");
    (ids(&pods.items), ids(&records.items))
}

fn ids<K: kube::Resource>(objects: &[K]) -> BTreeSet<SandboxId> {
    let labels = objects
        .iter()
        .map(|object| &object.labels()[naming::SANDBOX_ID]);
    labels.map(|id| id.parse().expect("it is an id")).collect()
}
