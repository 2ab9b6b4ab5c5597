use std::time::Duration;

use palisade_model::quota::{Limits, Quota};
use palisade_store::Organizations as _;
use palisade_wire::proto::v1beta2 as pb;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::rig::{Client, Stage, config, fact, parsed, reason, running};

fn sandboxes(max: u32) -> Limits {
    Limits {
        sandboxes: Some(max),
        ..Limits::default()
    }
}

async fn set(stage: &Stage, organization: Limits, each_user: Limits) {
    let quota = Quota {
        organization,
        each_user,
        ..Quota::default()
    };
    let acme = parsed("acme");
    stage.store.update_quota(&acme, quota, None).await.unwrap();
}

async fn started(client: &Client) -> String {
    let started = client.start(running("fake until-stopped")).await.unwrap();
    started.sandbox_id
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starts_at_once_exactly_as_many_win_as_the_quota_allows() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    set(&stage, sandboxes(5), Limits::default()).await;
    let mut rivals = JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        rivals.spawn(async move { client.start(running("fake until-stopped")).await });
    }
    let answers = rivals.join_all().await;
    let refused: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!(refused.len(), 15);
    for refusal in refused {
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert_eq!(reason(refusal), "CWSANDBOX_QUOTA_EXCEEDED");
        assert_eq!(fact(refusal, "limit").as_deref(), Some("sandboxes"));
        assert_eq!(fact(refusal, "scope").as_deref(), Some("organization"));
        assert_eq!(fact(refusal, "used").as_deref(), Some("5"));
        assert_eq!(fact(refusal, "allowed").as_deref(), Some("5"));
        assert!(refusal.message().contains("stop one"), "{refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_makes_room_and_what_is_refused_holds_nothing() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    set(&stage, Limits::default(), sandboxes(1)).await;
    let first = started(&client).await;
    let refusal = client.start(running("fake until-stopped")).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(fact(&refusal, "scope").as_deref(), Some("user"));
    client.delete(&first).await.unwrap();
    started(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_after_the_gateway_was_replaced() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    set(&stage, sandboxes(1), Limits::default()).await;
    started(&client).await;
    gateway.kill();
    let gateway = stage.gateway(config()).await;
    gateway.connected(stage.local().await.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let refusal = client.start(running("fake until-stopped")).await;
    assert_eq!(reason(&refusal.unwrap_err()), "CWSANDBOX_QUOTA_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_come_too_fast_are_told_when_to_come_back() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let two = Limits {
        starts_per_minute: Some(2),
        ..Limits::default()
    };
    set(&stage, two, Limits::default()).await;
    for _ in 0..2 {
        let id = started(&client).await;
        // What is over was started all the same.
        client.delete(&id).await.unwrap();
    }
    let refusal = client.start(running("fake until-stopped")).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(
        fact(&refusal, "limit").as_deref(),
        Some("starts_per_minute")
    );
    let details = refusal.get_error_details();
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    let minute = Duration::from_mins(1);
    assert!(wait > Duration::ZERO && wait <= minute, "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_one_sandbox_is_that_of_the_user_too() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let mut small = Limits::default();
    small.sandbox.cpu = Some(parsed("2"));
    let quota = Quota {
        users: [(parsed("ada"), small)].into(),
        ..Quota::default()
    };
    let acme = parsed("acme");
    stage.store.update_quota(&acme, quota, None).await.unwrap();
    let amount = |cpu: &str| pb::ResourceRequest {
        cpu: cpu.to_owned(),
        ..Default::default()
    };
    let sized = |cpu: &str| pb::StartSandboxRequest {
        resource_requests: Some(amount(cpu)),
        resource_limits: Some(amount(cpu)),
        ..running("fake until-stopped")
    };
    let refused = client.start(sized("3")).await.unwrap_err();
    let expected = "the quota of the caller is 2";
    assert!(refused.message().contains(expected), "{refused:?}");
    client.start(sized("2")).await.unwrap();
    let bob = gateway.client(&stage.token_of("acme", "bob").await).await;
    bob.start(sized("3")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_size_holds_from_the_moment_at_which_it_is_set() {
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    // Too soon for the gateway to have heard of the last one, more often than not.
    for mebibytes in (1..=10).rev() {
        let memory = |mebibytes: u32| format!("{mebibytes}Mi");
        let mut limits = Limits::default();
        limits.sandbox.memory = Some(parsed(&memory(mebibytes)));
        set(&stage, Limits::default(), limits).await;
        let start = |mebibytes: u32| {
            let resources = Some(pb::ResourceRequest {
                cpu: "10m".to_owned(),
                memory: memory(mebibytes),
                gpu: None,
            });
            client.start(pb::StartSandboxRequest {
                resources,
                ..running("fake until-stopped")
            })
        };
        let refusal = start(mebibytes + 1).await.unwrap_err();
        assert!(refusal.message().contains("quota"), "{refusal:?}");
        start(mebibytes).await.unwrap();
    }
}
