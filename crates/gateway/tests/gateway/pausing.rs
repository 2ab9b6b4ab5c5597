use std::sync::Arc;
use std::time::Duration;

use palisade_backend::Backend as _;
use palisade_backend::fake::Fake;
use palisade_model::runner::Capabilities;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::SandboxStatus;
use tonic::Code;

use crate::rig::{Client, Stage, config, fact, reason, running};

async fn started(client: &Client) -> String {
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    started.sandbox_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_paused_and_resumed_and_each_twice() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    for _ in 0..2 {
        assert!(client.pause(&id).await.unwrap().success);
        let seen = client.get(&id).await.unwrap();
        assert_eq!(seen.sandbox_status(), SandboxStatus::Paused);
        assert!(seen.status_reason.contains("resumed"), "{seen:?}");
    }
    for _ in 0..2 {
        assert!(client.resume(&id).await.unwrap().success);
        let seen = client.get(&id).await.unwrap();
        assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
        assert_eq!(seen.status_reason, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sandbox_is_listed_as_live_and_found_by_its_status() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    started(&client).await;
    client.pause(&id).await.unwrap();
    let paused = pb::ListSandboxesRequest {
        status: SandboxStatus::Paused.into(),
        ..Default::default()
    };
    let listed = client.list(paused).await.unwrap().sandboxes;
    let ids: Vec<_> = listed.iter().map(|it| it.sandbox_id.clone()).collect();
    assert_eq!(ids, [id]);
    let live = client.list(pb::ListSandboxesRequest::default()).await;
    assert_eq!(live.unwrap().sandboxes.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_files_of_a_paused_sandbox_are_refused_and_say_what_to_do() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    client.pause(&id).await.unwrap();
    let mut sandboxes = client.sandboxes.clone();
    let exec = pb::ExecSandboxRequest {
        sandbox_id: id.clone(),
        command: vec!["true".to_owned()],
        ..Default::default()
    };
    let read = pb::RetrieveFileSandboxRequest {
        sandbox_id: id.clone(),
        filepath: "/tmp/f".to_owned(),
        ..Default::default()
    };
    let refusals = [
        sandboxes.exec(exec).await.unwrap_err(),
        sandboxes.retrieve_file(read).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_RUNNING");
        assert_eq!(fact(&refusal, "status").as_deref(), Some("PAUSED"));
        assert!(refusal.message().contains("resume"), "{refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sandbox_can_be_stopped_and_deleted() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    client.pause(&id).await.unwrap();
    client.stop(&id, 10).await.unwrap();
    assert_eq!(client.is_over(&id).await.exit_code, Some(143));
    let id = started(&client).await;
    client.pause(&id).await.unwrap();
    client.delete(&id).await.unwrap();
    client.is_over(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_can_be_neither_paused_nor_resumed() {
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let ended = client.start(running("fake exit 0")).await.unwrap();
    client.is_over(&ended.sandbox_id).await;
    let paused = client.pause(&ended.sandbox_id).await.unwrap_err();
    let resumed = client.resume(&ended.sandbox_id).await.unwrap_err();
    for refusal in [paused, resumed] {
        assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_RUNNING");
        assert_eq!(fact(&refusal, "status").as_deref(), Some("COMPLETED"));
    }
    let refusal = client.pause("no-such-sandbox").await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_FOUND");
    let refusal = client.pause("").await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_of_another_organization_is_not_paused() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    stage.organization("other").await;
    let stranger = gateway.client(&stage.token("other").await).await;
    let refusal = stranger.pause(&id).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_SANDBOX_NOT_FOUND");
    let seen = client.get(&id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_cannot_pause_says_so_and_the_sandbox_runs_on() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let world = Arc::default();
    let able = Fake::open(Arc::clone(&world));
    let unable = Capabilities {
        pause: false,
        ..able.capabilities()
    };
    let _runner = stage.runner_over(&join, &world, able.with_capabilities(unable));
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let id = started(&client).await;
    let refusal = client.pause(&id).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_NOT_IMPLEMENTED");
    assert_eq!(fact(&refusal, "feature").as_deref(), Some("pause"));
    assert_eq!(fact(&refusal, "runner_id").as_deref(), Some("local"));
    let seen = client.get(&id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_stays_so_when_gateway_and_runner_are_replaced() {
    let (stage, gateway, runner, client) = Stage::usual().await;
    let id = started(&client).await;
    client.pause(&id).await.unwrap();
    let uid = stage.local().await.uid;
    let world = runner.world.clone();
    runner.end();
    gateway.disconnected(uid).await;
    let refusal = client.resume(&id).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_RUNNER_UNAVAILABLE");
    gateway.kill();

    let gateway = stage.gateway(config()).await;
    let join = stage.join_token("local").await;
    let _again = stage.runner(&join, &world);
    gateway.connected(uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let seen = client.get(&id).await.unwrap();
    assert_eq!(seen.sandbox_status(), SandboxStatus::Paused);
    client.resume(&id).await.unwrap();
    client.runs(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_pause_that_was_recorded_elsewhere_is_followed() {
    use palisade_store::Sandboxes as _;
    use palisade_store::sandbox::StatusChange;
    let (stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    for (wish, status) in [
        (true, SandboxStatus::Paused),
        (false, SandboxStatus::Running),
    ] {
        let change = StatusChange::PauseWished(wish);
        let organization = crate::rig::parsed("acme");
        let changed = stage
            .store
            .change_status(&organization, id.parse().unwrap(), change);
        changed.await.unwrap();
        client.reaches(&id, &[status]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_an_envelope_has_the_time_that_it_asks_for() {
    use palisade_wire::proto::v1beta2::raw_sandbox_request::ActionPayload;
    let config = palisade_gateway::GatewayConfig {
        call_time: Duration::from_secs(2),
        ..config()
    };
    let (_stage, _gateway, _runner, client) = Stage::configured(config).await;
    let payload = pb::ExecPayload {
        command: "fake".to_owned(),
        args: vec!["ignore-stop".to_owned()],
    };
    let request = pb::RawSandboxRequest {
        sandbox_id: started(&client).await,
        action_type: pb::ActionType::Exec.into(),
        max_timeout_seconds: 3,
        action_payload: Some(ActionPayload::ExecPayload(payload)),
    };
    let refusal = client.sandboxes.clone().raw(request).await.unwrap_err();
    assert_eq!(reason(&refusal), "CWSANDBOX_COMMAND_TIMEOUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_does_what_the_call_of_its_name_does() {
    use palisade_wire::proto::v1beta2::raw_sandbox_request::ActionPayload;
    use palisade_wire::proto::v1beta2::raw_sandbox_response::ActionResponse;
    let (_stage, _gateway, _runner, client) = Stage::usual().await;
    let id = started(&client).await;
    let mut sandboxes = client.sandboxes.clone();
    let raw = |action: pb::ActionType, payload| pb::RawSandboxRequest {
        sandbox_id: id.clone(),
        action_type: action.into(),
        action_payload: payload,
        ..Default::default()
    };
    let exec = ActionPayload::ExecPayload(pb::ExecPayload {
        command: "echo".to_owned(),
        args: vec!["hello".to_owned()],
    });
    let done = sandboxes.raw(raw(pb::ActionType::Exec, Some(exec.clone())));
    let done = done.await.unwrap().into_inner();
    let Some(ActionResponse::ExecResponse(done)) = done.action_response else {
        panic!("another answer came: {done:?}");
    };
    assert_eq!(&done.result.unwrap().stdout[..], b"hello\n");
    let mixed = sandboxes.raw(raw(pb::ActionType::AddFile, Some(exec)));
    assert_eq!(mixed.await.unwrap_err().code(), Code::InvalidArgument);
    let missing = sandboxes.raw(raw(pb::ActionType::Exec, None));
    assert_eq!(missing.await.unwrap_err().code(), Code::InvalidArgument);
    let absent = sandboxes.raw(raw(pb::ActionType::Snapshot, None));
    assert_eq!(absent.await.unwrap_err().code(), Code::Unimplemented);
}
