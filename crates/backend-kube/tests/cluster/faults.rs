//! What the API server, and the way to it, may do wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::DeleteParams;
use palisade_backend::conformance::{self, Harness as _, Job};
use palisade_backend::{Backend as _, EnsureError, View};
use palisade_backend_kube::KubeBackend;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use serde_json::{Value, json};
use tokio::time;

use crate::crashes::exposed;
use crate::fields::make_classes;
use crate::profile::launch_under;
use crate::proxy::{Plan, Proxy};
use crate::support::{Harness, client, open_at};

const LIMIT: Duration = Duration::from_mins(2);

async fn wait_for(backend: &KubeBackend, id: SandboxId, holds: impl Fn(&View) -> bool) -> View {
    let waited = time::timeout(LIMIT, async {
        loop {
            let seen = backend.get(id).await.expect("it can be looked at");
            if let Some(seen) = seen.filter(|seen| holds(&seen.view)) {
                return seen.view;
            }
            time::sleep(Duration::from_millis(100)).await;
        }
    });
    let last = backend.get(id).await;
    waited
        .await
        .unwrap_or_else(|_| unreachable!("it was first seen as {last:?}"))
}

fn runs(view: &View) -> bool {
    matches!(view, View::Running { .. })
}

/// The kinds of objects that are written until a launch runs, in turn.
async fn writes_until_it_runs(
    proxy: &Proxy,
    backend: &KubeBackend,
    launch: &Launch,
) -> Vec<String> {
    proxy.take_writes();
    backend.ensure(launch).await.expect("it is taken on");
    wait_for(backend, launch.id, runs).await;
    let writes = proxy.take_writes().into_iter();
    let kinds = writes.filter_map(|write| write.rsplit('/').nth(1).map(str::to_owned));
    let kinds = kinds.collect();
    backend.remove(launch.id).await.expect("it can be removed");
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_takes_three_writes_and_one_for_each_way_in() {
    make_classes().await;
    let harness = Harness::bare().await;
    let proxy = Proxy::start().await;
    let backend = open_at(&proxy.cluster, &harness.settings).await;
    let closed = || launch_under(&harness, &json!({}));
    // The namespace is there from here on.
    writes_until_it_runs(&proxy, &backend, &closed()).await;
    let route = json!({ "controllerName": "fields", "template": "{{.SandboxID}}.example.com" });
    let level = |level: Value| {
        launch_under(
            &harness,
            &json!({ "network": { "ingress": { "level": level } } }),
        )
    };
    let with_service = level(json!({ "scope": "any" }));
    let with_route = level(json!({ "scope": "any", "ingress": route }));
    let in_new_namespace = exposed(&harness);
    for (launch, expected) in [
        (closed(), vec!["secrets", "networkpolicies", "pods"]),
        (
            with_service,
            vec!["secrets", "networkpolicies", "services", "pods"],
        ),
        (
            with_route,
            vec![
                "secrets",
                "networkpolicies",
                "services",
                "ingresses",
                "pods",
            ],
        ),
        (
            in_new_namespace,
            vec![
                "namespaces",
                "secrets",
                "networkpolicies",
                "services",
                "pods",
            ],
        ),
    ] {
        let written = writes_until_it_runs(&proxy, &backend, &launch).await;
        assert_eq!(written, expected, "{:?}", launch.exposure);
    }
    backend.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_now_and_then_is_asked_again() {
    let harness = Harness::bare().await;
    let proxy = Proxy::start().await;
    let backend = open_at(&proxy.cluster, &harness.settings).await;
    let launch = conformance::launch(&harness, &Job::RunUntilStopped);
    proxy.plan(Plan::Refuse(8));
    // Whoever asked is told of a failure that passes, and asks again.
    let taken_on = time::timeout(LIMIT, async {
        while let Err(error) = backend.ensure(&launch).await {
            assert!(matches!(error, EnsureError::Internal(_)), "{error}");
        }
    });
    taken_on.await.expect("it is taken on in the end");
    wait_for(&backend, launch.id, runs).await;
    let stopped = time::timeout(LIMIT, async {
        while backend.stop(launch.id, Duration::ZERO).await.is_err() {}
    });
    stopped.await.expect("it stops in the end");
    wait_for(&backend, launch.id, View::is_over).await;
    let removed = time::timeout(LIMIT, async {
        while backend.remove(launch.id).await.is_err() {}
    });
    removed.await.expect("it is removed in the end");
    backend.close().await;
}

/// How many writes the life of a sandbox with a Service in a namespace of its own
/// takes: five objects are made, and all but the namespace are deleted.
const WRITES: usize = 9;

/// Waits until the pod is there: no node takes it on, and none has to.
async fn wait_for_pod(launch: &Launch) {
    let pods: Api<Pod> = Api::namespaced(client().await, launch.namespace.name.as_str());
    let name = launch.id.to_string();
    while !matches!(pods.get_opt(&name).await, Ok(Some(_))) {
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lives a whole life once for each of its writes, which is refused in this way.
async fn refuse_each_write(code: u16) {
    let mut number = 0;
    loop {
        let harness = Harness::bare().await;
        let proxy = Proxy::start().await;
        let backend = open_at(&proxy.cluster, &harness.settings).await;
        let mut launch = exposed(&harness);
        launch.node_selector = BTreeMap::from([("no".to_owned(), "such-node".to_owned())]);
        proxy.plan(Plan::RefuseOne(number, code));
        let life = time::timeout(LIMIT, async {
            while let Err(error) = backend.ensure(&launch).await {
                assert!(matches!(error, EnsureError::Internal(_)), "{error}");
            }
            wait_for_pod(&launch).await;
            while backend.remove(launch.id).await.is_err() {}
        });
        let lived = life.await;
        lived.unwrap_or_else(|_| unreachable!("{code} at write {number} is not got over"));
        let left = harness.leftovers(launch.id).await;
        assert_eq!(left, Vec::<String>::new(), "after {code} at write {number}");
        backend.close().await;
        if proxy.tries() <= number {
            break;
        }
        number += 1;
    }
    assert!(number >= WRITES, "only {number} writes were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_at_any_write_of_a_life_is_got_over() {
    refuse_each_write(409).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_at_any_write_of_a_life_are_got_over() {
    refuse_each_write(429).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_error_at_any_write_of_a_life_is_got_over() {
    refuse_each_write(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_while_the_watches_are_broken_is_seen_afterwards() {
    let harness = Harness::bare().await;
    let proxy = Proxy::start().await;
    let backend = open_at(&proxy.cluster, &harness.settings).await;
    let launch = conformance::launch(&harness, &Job::RunUntilStopped);
    backend.ensure(&launch).await.expect("it is taken on");
    wait_for(&backend, launch.id, runs).await;
    // Nothing goes through any more, and the pod goes meanwhile.
    proxy.take_writes();
    proxy.plan(Plan::DieAfter(0));
    proxy.break_watches();
    let pods: Api<Pod> = Api::namespaced(client().await, launch.namespace.name.as_str());
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    let name = launch.id.to_string();
    pods.delete(&name, &now).await.expect("it can be deleted");
    proxy.plan(Plan::Pass);
    let view = wait_for(&backend, launch.id, View::is_over).await;
    let View::Failed { reason, .. } = &view else {
        unreachable!("it failed: {view:?}");
    };
    assert!(reason.contains("deleted"), "{reason}");
    backend.remove(launch.id).await.expect("it can be removed");
    backend.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_deleted_takes_its_sandbox_along_with_the_reason() {
    let harness = Harness::new().await;
    let backend = harness.open();
    let mut launch = conformance::launch(&harness, &Job::RunUntilStopped);
    let name = format!("doomed-{}", launch.id);
    launch.namespace.name = name.parse().expect("it is a name");
    backend.ensure(&launch).await.expect("it is taken on");
    wait_for(&backend, launch.id, runs).await;
    let namespaces: Api<Namespace> = Api::all(client().await);
    let deleted = namespaces.delete(&name, &DeleteParams::default()).await;
    deleted.expect("it can be deleted");
    let view = wait_for(&backend, launch.id, View::is_over).await;
    let reason = match &view {
        View::Failed { reason, .. } | View::Ended { reason, .. } => reason.clone(),
        View::Starting(_) | View::Running { .. } | View::Paused { .. } | View::Stopping { .. } => {
            unreachable!("it is over")
        }
    };
    assert!(reason.contains("deleted"), "{reason}");
    backend.remove(launch.id).await.expect("it can be removed");
    backend.close().await;
}
