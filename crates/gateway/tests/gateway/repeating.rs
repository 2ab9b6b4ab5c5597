//! Starts that clients repeat, because they do not know what became of the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{KEY_ANNOTATION, KEY_HEADER};
use tonic::{Code, Request};

use crate::rig::{Client, Stage, config, reason, running, until};

fn keyed(key: &str) -> pb::StartSandboxRequest {
    pb::StartSandboxRequest {
        pod_annotations: [(KEY_ANNOTATION.to_owned(), key.to_owned())].into(),
        environment_variables: [("A", "1"), ("B", "2"), ("C", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..running("fake until-stopped")
    }
}

async fn id(client: &Client, request: pb::StartSandboxRequest) -> String {
    client.start(request).await.unwrap().sandbox_id
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_with_one_key_are_one_start_at_once_and_after_a_restart() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let starts = (0..8).map(|_| id(&client, keyed("k")));
    let ids: BTreeSet<_> = join_all(starts).await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    let first = ids.into_iter().next().unwrap();
    client.runs(&first).await;
    let free = use_of_the_runner(&client).await;
    assert_eq!(free.running_sandboxes, 1);
    assert_eq!(free.available_cpu_millicores, 999_000);
    gateway.kill();
    let gateway = stage.gateway(config()).await;
    gateway.connected(stage.local().await.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    assert_eq!(id(&client, keyed("k")).await, first);
    let listed = client.list(pb::ListSandboxesRequest::default()).await;
    assert_eq!(listed.unwrap().sandboxes.len(), 1);
    // What is over is not begun anew by asking once more.
    client.delete(&first).await.unwrap();
    assert_eq!(id(&client, keyed("k")).await, first);
}

async fn use_of_the_runner(client: &Client) -> pb::RunnerResourceSummary {
    let request = pb::GetAvailableRunnerRequest {
        runner_id: "local".to_owned(),
        ..Default::default()
    };
    let told = client.discovery.clone().get_available_runner(request).await;
    told.unwrap().into_inner().resources.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_tells_when_its_sandbox_started_as_get_does() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let first = id(&client, keyed("k")).await;
    let seen = client.runs(&first).await;
    let again = client.start(keyed("k")).await.unwrap();
    assert_eq!(again.sandbox_id, first);
    assert_eq!(again.started_at_time, seen.started_at_time);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_keys_other_users_and_no_key_are_other_starts() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let bob = gateway.client(&stage.token_of("acme", "bob").await).await;
    let ids = [
        id(&client, keyed("k")).await,
        id(&client, keyed("l")).await,
        id(&bob, keyed("k")).await,
        id(&client, running("fake until-stopped")).await,
        id(&client, running("fake until-stopped")).await,
    ];
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_never_taken_for_another_start() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    id(&client, keyed("k")).await;
    let hasty = pb::StartSandboxRequest {
        max_timeout_seconds: 7,
        ..keyed("k")
    };
    assert_eq!(id(&client, hasty).await, id(&client, keyed("k")).await);
    let other = pb::StartSandboxRequest {
        tags: vec!["other".to_owned()],
        ..keyed("k")
    };
    let refusal = client.start(other).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert_eq!(reason(&refusal), "CWSANDBOX_INVALID_REQUEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_refused_can_be_repeated() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let _runner = stage.runner_with(&join, &Arc::default(), 1);
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let first = id(&client, running("fake until-stopped")).await;
    assert!(client.start(keyed("k")).await.is_err());
    client.delete(&first).await.unwrap();
    until("there is room", async || {
        client.start(keyed("k")).await.is_ok()
    })
    .await;
    let again = [id(&client, keyed("k")).await, id(&client, keyed("k")).await];
    assert_eq!(again[0], again[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_is_as_good_as_the_annotation() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let first = id(&client, keyed("k")).await;
    let mut request = Request::new(pb::StartSandboxRequest {
        pod_annotations: [].into(),
        ..keyed("k")
    });
    let metadata = request.metadata_mut();
    metadata.insert(KEY_HEADER, "k".parse().unwrap());
    let again = client.sandboxes.clone().start(request).await.unwrap();
    assert_eq!(again.into_inner().sandbox_id, first);
}
