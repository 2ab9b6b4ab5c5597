use std::sync::Arc;
use std::time::Duration;

use palisade_gateway::GatewayConfig;
use palisade_model::token::PresentedToken;
use palisade_store::Tokens as _;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message as FromGateway;
use palisade_wire::proto::runner_v1::runner_message::Message as ToGateway;
use palisade_wire::proto::runner_v1::runner_service_client::RunnerServiceClient;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::rig::{
    Bearer, Begun, GatewayProcess, PATIENCE, Stage, channel, config, parsed, reason, running,
};

/// A runner that says only what a test has it say.
struct Bare {
    says: mpsc::Sender<pb::RunnerMessage>,
    hears: Streaming<pb::GatewayMessage>,
}

impl Bare {
    async fn join(
        gateway: &GatewayProcess,
        token: &PresentedToken,
        instance: &str,
    ) -> Result<Self, Status> {
        Self::join_holding(gateway, token, instance, Vec::new()).await
    }

    async fn join_holding(
        gateway: &GatewayProcess,
        token: &PresentedToken,
        instance: &str,
        sandbox_ids: Vec<String>,
    ) -> Result<Self, Status> {
        let channel = channel(gateway.address).await.unwrap();
        let bearer = Bearer(format!("Bearer {}", token.reveal()).parse().unwrap());
        let mut client = RunnerServiceClient::with_interceptor(channel, bearer);
        let (says, messages) = mpsc::channel(16);
        let bare = pb::Hello {
            protocol: 1,
            instance_id: instance.to_owned(),
            sandbox_ids,
            ..Default::default()
        };
        says.send(message(ToGateway::Hello(bare))).await.unwrap();
        let hears = client.join(ReceiverStream::new(messages)).await?;
        let hears = hears.into_inner();
        Ok(Self { says, hears })
    }

    async fn next(&mut self) -> Result<Option<FromGateway>, Status> {
        let heard = time::timeout(PATIENCE, self.hears.message()).await;
        let heard = heard.expect("the gateway says something in time")?;
        Ok(heard.and_then(|heard| heard.message))
    }

    /// Hears until the gateway ends the connection.
    async fn end(mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("closed"),
                Err(status) => return status,
            }
        }
    }
}

fn message(message: ToGateway) -> pb::RunnerMessage {
    pb::RunnerMessage {
        message: Some(message),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_join_token_lets_a_runner_in() {
    let (stage, _record, _join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let caller = stage.token("acme").await;
    let forged = PresentedToken::new(caller.id(), [3; 32]);
    for token in [&caller, &forged] {
        let Err(refusal) = Bare::join(&gateway, token, "one").await else {
            panic!("the runner was let in");
        };
        assert_eq!(refusal.code(), Code::Unauthenticated);
        assert_eq!(reason(&refusal), "CWSANDBOX_UNAUTHENTICATED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_of_a_cluster_without_an_object_is_told_to_wait() {
    let (stage, _record, _join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let join = stage.join_token("elsewhere").await;
    let mut runner = Bare::join(&gateway, &join, "one").await.unwrap();
    let Some(FromGateway::Waiting(waiting)) = runner.next().await.unwrap() else {
        panic!("the runner is told to wait");
    };
    assert!(waiting.reason.contains("elsewhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_object_a_runner_keeps_what_is_not_known_to_be_abandoned() {
    let Begun {
        stage,
        gateway,
        runner: _runner,
        client,
        ..
    } = Begun::usual().await;
    let lives = client.start(running("fake until-stopped")).await.unwrap();
    let ended = client.start(running("fake exit 0")).await.unwrap();
    client.runs(&lives.sandbox_id).await;
    client.is_over(&ended.sandbox_id).await;
    let unknown = uuid::Uuid::from_u128(9).to_string();
    let held = vec![lives.sandbox_id, ended.sandbox_id, unknown, "x".to_owned()];
    // The token of a cluster that nobody made an object for.
    let join = stage.join_token("elsewhere").await;
    let joined = Bare::join_holding(&gateway, &join, "one", held).await;
    let Some(FromGateway::Waiting(waiting)) = joined.unwrap().next().await.unwrap() else {
        panic!("the runner is told to wait");
    };
    assert_eq!(waiting.abandoned_ids, [""; 0]);
    assert!(waiting.reason.ends_with("stay: 4"), "{}", waiting.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_welcomed_and_told_what_to_hold() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let mut runner = Bare::join(&gateway, &join, "one").await.unwrap();
    let Some(FromGateway::Welcome(welcome)) = runner.next().await.unwrap() else {
        panic!("the welcome is first");
    };
    assert_eq!(welcome.runner_id, "local");
    assert_eq!(welcome.heartbeat_interval_ms, 200);
    let Some(FromGateway::Desired(desired)) = runner.next().await.unwrap() else {
        panic!("what to hold comes next");
    };
    assert!(desired.sandbox_ids.is_empty());
    assert!(gateway.live.observe(record.uid).is_connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_that_is_revoked_ends_the_connection_that_it_opened() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let runner = Bare::join(&gateway, &join, "one").await.unwrap();
    gateway.connected(record.uid).await;
    let organization = parsed("acme");
    let revoked = stage.store.revoke_token(&organization, join.id());
    revoked.await.unwrap();
    let says = runner.says.clone();
    let beats = async {
        // It goes on as if nothing were.
        let beat = || message(ToGateway::Heartbeat(pb::Heartbeat::default()));
        while says.send(beat()).await.is_ok() {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    let end = tokio::select! {
        end = runner.end() => end,
        () = async { beats.await; std::future::pending().await } => unreachable!(),
    };
    assert_eq!(end.code(), Code::Unauthenticated, "{end}");
    gateway.disconnected(record.uid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_runner_is_not_connected_any_more() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage
        .gateway(GatewayConfig {
            silence_max: Duration::from_millis(300),
            ..config()
        })
        .await;
    // The connection stays open: only the silence tells.
    let runner = Bare::join(&gateway, &join, "one").await.unwrap();
    let _kept = runner.says.clone();
    let end = runner.end().await;
    assert_eq!(end.code(), Code::Unavailable);
    gateway.disconnected(record.uid).await;
    assert!(gateway.live.observe(record.uid).last_heartbeat.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_that_came_last_has_the_place() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let first = Bare::join(&gateway, &join, "one").await.unwrap();
    gateway.connected(record.uid).await;
    let mut second = Bare::join(&gateway, &join, "two").await.unwrap();
    assert_eq!(first.end().await.code(), Code::Unavailable);
    assert!(matches!(
        second.next().await.unwrap(),
        Some(FromGateway::Welcome(_))
    ));
    assert!(gateway.live.observe(record.uid).is_connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_start_does_not_drive_a_later_one_out() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let instance = |time: u32| format!("0190{time:04x}-0000-7000-8000-000000000000");
    let mut later = Bare::join(&gateway, &join, &instance(2)).await.unwrap();
    gateway.connected(record.uid).await;
    let earlier = Bare::join(&gateway, &join, &instance(1)).await.unwrap();
    assert_eq!(earlier.end().await.code(), Code::AlreadyExists);
    assert!(matches!(
        later.next().await.unwrap(),
        Some(FromGateway::Welcome(_))
    ));
    assert!(gateway.live.observe(record.uid).is_connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_asked_for_is_refused() {
    let (stage, _record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let channel = channel(gateway.address).await.unwrap();
    let bearer = Bearer(format!("Bearer {}", join.reveal()).parse().unwrap());
    let mut client = RunnerServiceClient::with_interceptor(channel, bearer);
    let (says, messages) = mpsc::channel(1);
    let named = pb::AttachUp {
        event: Some(pb::attach_up::Event::AttachId("00".repeat(32))),
    };
    says.send(named).await.unwrap();
    let refusal = client.attach(ReceiverStream::new(messages)).await;
    assert_eq!(refusal.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_mean_nothing_do_no_harm() {
    let (stage, record, join) = Stage::awaiting_runner().await;
    let gateway = stage.gateway(config()).await;
    let mut runner = Bare::join(&gateway, &join, "one").await.unwrap();
    runner.next().await.unwrap();
    runner.next().await.unwrap();
    let unknown = uuid::Uuid::from_u128(9).to_string();
    for (sandbox_id, state) in [("x", 2), (unknown.as_str(), 99), (unknown.as_str(), 2)] {
        let report = pb::Observation {
            sandbox_id: sandbox_id.to_owned(),
            number: 1,
            state,
            ..Default::default()
        };
        let report = message(ToGateway::Observation(report));
        runner.says.send(report).await.unwrap();
    }
    // The one that can be read is of a sandbox that nobody knows.
    let (mut recorded, mut removed) = (false, false);
    while !(recorded && removed) {
        match runner.next().await.unwrap() {
            Some(FromGateway::Recorded(_)) => recorded = true,
            Some(FromGateway::Remove(remove)) => removed = remove.sandbox_id == unknown,
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(gateway.live.observe(record.uid).is_connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_object_that_comes_later_lets_its_runner_in() {
    let stage = Stage::new().await;
    let gateway = stage.gateway(config()).await;
    let join = stage.join_token("local").await;
    let _runner = stage.runner(&join, &Arc::default());
    let profile = stage.profile("ci").await;
    let record = stage.runner_record("local", profile.id).await;
    gateway.connected(record.uid).await;
    let client = gateway.client(&stage.token("acme").await).await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
}
