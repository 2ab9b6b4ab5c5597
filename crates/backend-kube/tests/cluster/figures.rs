//! What a sandbox costs beside a bare pod, and a node for those who measure more.
//!
//! scripts/kube/bench.sh runs these one by one. They print, and judge nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use palisade_backend::conformance::{self, Job};
use palisade_backend::{Attach as _, Backend as _, ExecEvent, ExecSpec};
use palisade_backend_kube::KubeBackend;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use serde_json::json;
use tokio::time::{self, Instant};

use crate::parts::{running, runs};
use crate::stand_in::StandIn;
use crate::support::{Harness, IMAGE, client, named, reached_directly};

const ROUNDS: usize = 30;

/// From the wish until it runs, and gone again.
async fn sandbox(backend: &KubeBackend, launch: &Launch) -> Duration {
    let mut changes = backend.changes(launch.id);
    let began = Instant::now();
    backend.ensure(launch).await.expect("it is taken on");
    loop {
        let seen = backend.get(launch.id).await.expect("it is known");
        if seen.is_some_and(|seen| runs(&seen.view)) {
            break;
        }
        changes.changed().await.expect("the backend is there");
    }
    let took = began.elapsed();
    backend.remove(launch.id).await.expect("it can be removed");
    took
}

/// The same for a pod that is created straight through the API server.
async fn bare(pods: &Api<Pod>) -> Duration {
    let name = format!("bare-{}", uuid::Uuid::now_v7());
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 2,
            "containers": [{
                "name": "bare", "image": IMAGE, "command": ["/bin/sh", "-c", "exec sleep 1000"],
            }],
        },
    }))
    .expect("it is a pod");
    let parameters = PostParams::default();
    let began = Instant::now();
    // The watch opens beside the write, as those of the backend are open already.
    let (created, ready) = tokio::join!(
        pods.create(&parameters, &pod),
        await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod
            .is_some_and(is_ready)),
    );
    let took = began.elapsed();
    created.expect("it can be made");
    ready.expect("it becomes ready");
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    pods.delete(&name, &now).await.expect("it can be deleted");
    let gone = await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_none());
    gone.await.expect("it goes");
    took
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut ready = conditions.flatten().filter(|one| one.type_ == "Ready");
    ready.any(|one| one.status == "True")
}

fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted[index].as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: scripts/kube/bench.sh"]
async fn a_start_beside_a_bare_pod() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let launch = || conformance::launch(&harness, &Job::RunUntilStopped);
    let first = launch();
    let pods: Api<Pod> = Api::namespaced(client().await, first.namespace.name.as_str());
    // Both have been done once before anything counts.
    sandbox(&backend, &first).await;
    bare(&pods).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            ours.push(sandbox(&backend, &launch()).await);
            theirs.push(bare(&pods).await);
        } else {
            theirs.push(bare(&pods).await);
            ours.push(sandbox(&backend, &launch()).await);
        }
    }
    backend.close().await;
    ours.sort();
    theirs.sort();
    let ratio = quantile(&ours, 50) / quantile(&theirs, 50);
    println!("| what | median | p90 | ratio | target |\n|---|---|---|---|---|");
    let (median, late) = (quantile(&theirs, 50), quantile(&theirs, 90));
    println!("| bare pod: created → Ready | {median:.0} ms | {late:.0} ms | 1 | |");
    let (median, late) = (quantile(&ours, 50), quantile(&ours, 90));
    println!(
        "| sandbox: wished for → RUNNING | {median:.0} ms | {late:.0} ms | {ratio:.2} | ≤ 1.25 |"
    );
}

/// How long a command takes that does nothing, from the call to its exit.
async fn command(backend: &KubeBackend, id: SandboxId) -> Duration {
    let spec = ExecSpec {
        command: vec!["/bin/true".to_owned()],
        environment: BTreeMap::new(),
        terminal: None,
    };
    let began = Instant::now();
    let mut exec = backend.exec(id, spec).await.expect("it starts");
    loop {
        match exec.events.recv().await {
            Some(ExecEvent::Exit(_)) => return began.elapsed(),
            Some(ExecEvent::Started) => {}
            other => unreachable!("it does nothing: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: scripts/kube/bench.sh"]
async fn a_command_past_the_server_beside_one_through_it() {
    let (direct, through) = (Harness::with(reached_directly).await, Harness::new().await);
    let mut figures = Vec::new();
    let mut sandboxes = Vec::new();
    for harness in [&direct, &through] {
        let launch = running(harness).await;
        // Everything that is done once is done.
        command(&harness.open(), launch.id).await;
        sandboxes.push((harness, launch.id));
        figures.push(Vec::new());
    }
    for _ in 0..ROUNDS {
        for ((harness, id), figures) in sandboxes.iter().zip(&mut figures) {
            figures.push(command(&harness.open(), *id).await);
        }
    }
    for (harness, id) in &sandboxes {
        harness.open().remove(*id).await.expect("it can be removed");
        harness.open().close().await;
    }
    println!("| `true` in a sandbox: call → exit | median | p90 |\n|---|---|---|");
    for (name, mut figures) in ["past the API server", "through it"]
        .into_iter()
        .zip(figures)
    {
        figures.sort();
        let (median, late) = (quantile(&figures, 50), quantile(&figures, 90));
        println!("| {name} | {median:.1} ms | {late:.1} ms |");
    }
}

/// Plays the node of an instance, for a runner in a process of its own, until a
/// file is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of scripts/kube/bench.py"]
async fn stands_in_for_a_node() {
    let instance = named("PALISADE_BENCH_INSTANCE");
    let until = named("PALISADE_BENCH_UNTIL");
    let instance = instance.to_str().expect("it is a label");
    let _node = StandIn::start(&client().await, instance).await;
    println!("standing in");
    while !until.exists() {
        time::sleep(Duration::from_millis(200)).await;
    }
}
