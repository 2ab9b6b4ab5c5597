use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;
use tonic::Code;

use crate::rig::{Client, Stage, reason, running, until};

fn is_terminal(status: SandboxStatus) -> bool {
    match status {
        SandboxStatus::Completed | SandboxStatus::Failed | SandboxStatus::Terminated => true,
        SandboxStatus::Unspecified
        | SandboxStatus::Creating
        | SandboxStatus::Running
        | SandboxStatus::Pending
        | SandboxStatus::Paused
        | SandboxStatus::Terminating => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_sandbox_and_can_be_repeated() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    let id = &started.sandbox_id;
    client.runs(id).await;
    assert!(client.stop(id, 10).await.unwrap().success);
    assert!(client.stop(id, 10).await.unwrap().success);
    let seen = client.is_over(id).await;
    assert_eq!(seen.exit_code, Some(143));
    assert!(client.stop(id, 10).await.unwrap().success);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_a_stop_comes_before_the_end_is_seen() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    for _ in 0..10 {
        let started = client.start(running("fake until-stopped")).await.unwrap();
        let id = &started.sandbox_id;
        client.runs(id).await;
        tokio::select! {
            biased;
            () = end_is_seen(&client, id) => panic!("the end was seen before the reply"),
            stopped = client.stop(id, 10) => assert!(stopped.unwrap().success),
        }
        client.is_over(id).await;
    }
}

/// Looks as fast as it can, to catch the first instant.
async fn end_is_seen(client: &Client, id: &str) {
    while !is_terminal(client.get(id).await.unwrap().sandbox_status()) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ignores_the_stop_is_killed_after_its_grace() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake ignore-stop")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    client.stop(&started.sandbox_id, 1).await.unwrap();
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Terminating);
    let seen = client.is_over(&started.sandbox_id).await;
    assert_eq!(seen.exit_code, Some(137));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_stopped_before_it_began_never_begins() {
    let (stage, gateway, runner, client) = Stage::usual().await;
    let uid = stage.local().await.uid;
    let world = runner.world.clone();
    // Placed while the runner is there, told while it is not.
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.stop(&started.sandbox_id, 10).await.unwrap();
    runner.end();
    gateway.disconnected(uid).await;
    let join = stage.join_token("local").await;
    let _again = stage.runner(&join, &world);
    client.is_over(&started.sandbox_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_ends_at_once_and_leaves_nothing_on_the_runner() {
    let (_stage, _gateway, runner, client) = Stage::usual().await;
    let started = client.start(running("fake ignore-stop")).await.unwrap();
    let id = &started.sandbox_id;
    client.runs(id).await;
    assert!(client.delete(id).await.unwrap().success);
    let seen = client.get(id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Terminated);
    assert!(seen.status_reason.contains("deleted by ada"));
    assert!(client.delete(id).await.unwrap().success);
    until("the runner holds nothing", async || {
        runner.world.ids().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_on_stop_is_refused_and_nothing_is_stopped() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let request = pb::StopSandboxRequest {
        sandbox_id: started.sandbox_id.clone(),
        file_system_snapshot_on_stop: true,
        ..Default::default()
    };
    let refusal = client.sandboxes.clone().stop(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "CWSANDBOX_FSS_NOT_SUPPORTED");
    let seen = client.get(&started.sandbox_id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_somebody_else_recorded_is_carried_out() {
    use palisade_store::Sandboxes as _;
    use palisade_store::sandbox::StatusChange;
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let wish = StatusChange::StopWished(palisade_model::sandbox::StopWish {
        grace: std::time::Duration::ZERO,
        at: stage.clock.now(),
    });
    let id = started.sandbox_id.parse().unwrap();
    let organization = crate::rig::parsed("acme");
    let changed = stage.store.change_status(&organization, id, wish);
    changed.await.unwrap();
    client.is_over(&started.sandbox_id).await;
}
