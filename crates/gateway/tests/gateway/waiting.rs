use std::time::Duration;

use palisade_model::quota::{Limits, Quota};
use palisade_store::Organizations as _;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{KEY_ANNOTATION, WAIT_ANNOTATION, WAIT_HEADER};
use tokio::time::{self, Instant};
use tonic::{Code, Request};

use crate::rig::{Client, PATIENCE, Stage, fact, parsed, reason, running, tick, until};

fn waiting(seconds: &str) -> pb::StartSandboxRequest {
    let annotation = (WAIT_ANNOTATION.to_owned(), seconds.to_owned());
    pb::StartSandboxRequest {
        pod_annotations: [annotation].into(),
        ..running("fake until-stopped")
    }
}

/// An organization that may have one sandbox, and has it.
async fn full() -> (
    Stage,
    crate::rig::GatewayProcess,
    crate::rig::RunnerProcess,
    Client,
    String,
) {
    let (stage, gateway, runner, client) = Stage::usual().await;
    set(&stage, 1).await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    (stage, gateway, runner, client, started.sandbox_id)
}

async fn set(stage: &Stage, sandboxes: u32) {
    let quota = Quota {
        organization: Limits {
            sandboxes: Some(sandboxes),
            ..Limits::default()
        },
        ..Quota::default()
    };
    let acme = parsed("acme");
    stage.store.update_quota(&acme, quota, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_asks_for_it_waits_until_there_is_room() {
    let (_stage, gateway, _runner, client, first) = full().await;
    let start = client.start(waiting("30"));
    tokio::pin!(start);
    let early = time::timeout(Duration::from_millis(300), &mut start).await;
    assert!(early.is_err(), "{early:?}");
    let seen = gateway.live.waiting(&parsed("acme"));
    assert_eq!((seen.length, seen.waiting[0].position), (1, 1));
    assert_eq!(seen.waiting[0].reason, "CWSANDBOX_QUOTA_EXCEEDED");
    client.delete(&first).await.unwrap();
    let started = time::timeout(PATIENCE, start).await.unwrap().unwrap();
    client.runs(&started.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_does_not_ask_is_refused_at_once() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let began = Instant::now();
    let refusal = client.start(running("fake until-stopped")).await;
    assert_eq!(reason(&refusal.unwrap_err()), "CWSANDBOX_QUOTA_EXCEEDED");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waited_for_nothing_is_told_why_and_where_it_stood() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let refusal = client.start(waiting("1")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refusal), "CWSANDBOX_QUOTA_EXCEEDED");
    assert_eq!(fact(&refusal, "queue_position").as_deref(), Some("1"));
    assert_eq!(fact(&refusal, "queue_length").as_deref(), Some("1"));
    assert!(refusal.message().contains("waited"), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_the_call_ends_the_wait_with_the_reason() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let mut request = Request::new(waiting("60"));
    request.set_timeout(Duration::from_secs(3));
    let refusal = client.sandboxes.clone().start(request).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_QUOTA_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_the_request_gives_itself_ends_the_wait_with_the_reason() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let hasty = pb::StartSandboxRequest {
        max_timeout_seconds: 3,
        ..waiting("300")
    };
    let refusal = client.start(hasty).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_QUOTA_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_repeated_while_others_wait_is_answered_at_once() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    set(&stage, 1).await;
    let keyed = || {
        let mut request = waiting("300");
        let key = (KEY_ANNOTATION.to_owned(), "k".to_owned());
        request.pod_annotations.extend([key]);
        request
    };
    let first = client.start(keyed()).await.unwrap().sandbox_id;
    let (other, mut starts) = (client.clone(), tokio::task::JoinSet::new());
    starts.spawn(async move { other.start(waiting("300")).await });
    until("somebody waits", async || others_in_line(&client).await > 0).await;
    let again = client.start(keyed()).await.unwrap().sandbox_id;
    assert_eq!(again, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_asks_as_well_as_an_annotation() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let mut request = Request::new(running("fake until-stopped"));
    let metadata = request.metadata_mut();
    metadata.insert(WAIT_HEADER, "1".parse().unwrap());
    let refusal = client.sandboxes.clone().start(request).await.unwrap_err();
    assert_eq!(fact(&refusal, "queue_position").as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_admitted_does_not_wait() {
    let (_stage, _gateway, _runner, client, _first) = full().await;
    let unknown = pb::StartSandboxRequest {
        profile_names: vec!["none-such".to_owned()],
        ..waiting("30")
    };
    let refusal = time::timeout(Duration::from_secs(5), client.start(unknown));
    let refusal = refusal.await.unwrap().unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    let wrong = client.start(waiting("soon")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}

/// How many stand in the line beside somebody who comes only to count them.
async fn others_in_line(client: &Client) -> usize {
    let refusal = client.start(waiting("1")).await.unwrap_err();
    let len = fact(&refusal, "queue_length").unwrap();
    len.parse::<usize>().unwrap() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_served_in_turn() {
    let (stage, gateway, _runner, ada, first) = full().await;
    let bob = gateway.client(&stage.token_of("acme", "bob").await).await;
    let mut order = Vec::new();
    let (told, mut admitted) = tokio::sync::mpsc::channel(3);
    let eve = gateway.client(&stage.token_of("acme", "eve").await).await;
    let mut starts = tokio::task::JoinSet::new();
    for (number, client) in [&ada, &ada, &bob].into_iter().enumerate() {
        let (client, told) = (client.clone(), told.clone());
        starts.spawn(async move {
            let started = client.start(waiting("30")).await.unwrap();
            told.send((number, started.sandbox_id)).await.unwrap();
        });
        // The next one comes after this one stands in the line.
        while others_in_line(&eve).await <= number {
            tick().await;
        }
    }
    let mut living = first;
    for _ in 0..3 {
        ada.delete(&living).await.unwrap();
        let next = time::timeout(PATIENCE, admitted.recv()).await.unwrap();
        let (number, id) = next.unwrap();
        order.push(number);
        living = id;
    }
    assert_eq!(order, [0, 2, 1]);
}
