//! Streams whose token is taken away, or expires, while they go on. Whoever revokes has
//! the store and no gateway, as the command that revokes, and as another gateway.

use std::time::Duration;

use palisade_gateway::{GatewayConfig, SessionLimits};
use palisade_model::token::PresentedToken;
use palisade_wire::proto::tunnel_v1 as tunnel_pb;
use palisade_wire::proto::tunnel_v1::connect_request::Frame as TunnelFrame;
use palisade_wire::proto::tunnel_v1::tunnel_service_client::TunnelServiceClient;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::log_stream_request::Request as LogFrame;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::rig::{Bearer, PATIENCE, channel, config, reason, until};
use crate::scene::{Scene, code, connect_by, open};

/// Looks often, so that nobody waits for it, and keeps commands without a client for
/// longer than any test waits.
fn watchful() -> GatewayConfig {
    GatewayConfig {
        tokens_checked: Duration::from_millis(50),
        exec_sessions: SessionLimits {
            kept: Duration::from_hours(1),
            ..SessionLimits::default()
        },
        ..config()
    }
}

async fn watched(main: &str) -> Scene {
    let scene = Scene::configured(watchful(), main).await;
    scene.client.runs(&scene.id).await;
    scene
}

fn is_shown_out(end: &Status) {
    assert_eq!(end.code(), Code::Unauthenticated, "{end}");
    assert_eq!(reason(end), "CWSANDBOX_UNAUTHENTICATED");
}

/// Waits for the status with which a stream ends.
async fn status<T>(answers: &mut tonic::Streaming<T>) -> Status {
    let end = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ends with a status"),
                Err(status) => return status,
            }
        }
    };
    time::timeout(PATIENCE, end).await.expect("the stream ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_the_token_of_its_stream_and_no_other_does() {
    let scene = watched("fake until-stopped").await;
    let (others, mut others_answers) = scene.exec("fake cat exit 0").await;
    others_answers.ready().await;
    let token = scene.stage.token("acme").await;
    let streams = connect_by(&scene.gateway, &token).await;
    let mut opened = Vec::new();
    for tty in [false, true] {
        let init = pb::ExecStreamInit {
            tty,
            ..scene.init("fake ignore-stop")
        };
        let (frames, mut answers) = open(streams.clone(), init).await.unwrap();
        answers.ready().await;
        opened.push((frames, answers));
    }
    scene.stage.revoke(&token).await;
    for (_frames, answers) in &mut opened {
        is_shown_out(&answers.told().await.unwrap_err());
    }
    let id = scene.id.parse().unwrap();
    until("its commands are killed", async || {
        scene.runner.commands(id).await == 1
    })
    .await;
    drop(others);
    assert_eq!(code(others_answers.rest().await.1), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_the_time_of_its_token() {
    let scene = watched("fake until-stopped").await;
    let token = scene.stage.token_for(Duration::from_secs(2)).await;
    let streams = connect_by(&scene.gateway, &token).await;
    let init = scene.init("fake ignore-stop");
    let (_frames, mut answers) = open(streams, init).await.unwrap();
    answers.ready().await;
    is_shown_out(&answers.told().await.unwrap_err());
    scene.alone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_client_that_does_not_read_ends_with_its_token_as_well() {
    let scene = watched("fake until-stopped").await;
    let token = scene.stage.token("acme").await;
    let streams = connect_by(&scene.gateway, &token).await;
    let init = scene.init("fake bytes 67108864 exit 0");
    let (_frames, mut answers) = open(streams, init).await.unwrap();
    answers.ready().await;
    scene.stage.revoke(&token).await;
    scene.alone().await;
    is_shown_out(&status(&mut answers.0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_client_ends_with_the_token_of_the_stream_that_was_cut() {
    let scene = watched("fake until-stopped").await;
    let token = scene.stage.token("acme").await;
    let (told, mut began) = mpsc::channel(1);
    let init = scene.init("fake ignore-stop");
    let process = scene.elsewhere_by(&token, async move |streams| {
        let (_frames, mut answers) = open(streams, init).await.unwrap();
        told.send(answers.ready().await).await.unwrap();
        std::future::pending::<()>().await;
    });
    began.recv().await.unwrap();
    process.shutdown_background();
    scene.stage.revoke(&token).await;
    scene.alone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_followed_ends_with_its_token() {
    let scene = watched("fake lines 3 until-stopped").await;
    let token = scene.stage.token("acme").await;
    let mut streams = connect_by(&scene.gateway, &token).await;
    let init = LogFrame::Init(pb::LogStreamInit {
        sandbox_id: scene.id.clone(),
        follow: true,
        ..Default::default()
    });
    let frames = [pb::LogStreamRequest {
        request: Some(init),
    }];
    let opened = streams.stream_logs(tokio_stream::iter(frames)).await;
    let mut answers = opened.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    scene.stage.revoke(&token).await;
    is_shown_out(&status(&mut answers).await);
}

async fn tunnel(
    scene: &Scene,
    token: &PresentedToken,
) -> (
    mpsc::Sender<tunnel_pb::ConnectRequest>,
    tonic::Streaming<tunnel_pb::ConnectResponse>,
) {
    let bearer = Bearer(format!("Bearer {}", token.reveal()).parse().unwrap());
    let channel = channel(scene.gateway.address).await.unwrap();
    let mut client = TunnelServiceClient::with_interceptor(channel, bearer);
    let (frames, received) = mpsc::channel(1);
    let sandbox_id = scene.id.clone();
    let frame = Some(TunnelFrame::Open(tunnel_pb::Open {
        sandbox_id,
        port: 7,
    }));
    let frame = tunnel_pb::ConnectRequest { frame };
    frames.send(frame).await.unwrap();
    let opened = client.connect(ReceiverStream::new(received)).await;
    (frames, opened.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_ends_with_its_token() {
    let scene = watched("fake echo 7 until-stopped").await;
    let token = scene.stage.token("acme").await;
    let (_frames, mut answers) = tunnel(&scene, &token).await;
    assert!(answers.message().await.unwrap().is_some());
    scene.stage.revoke(&token).await;
    is_shown_out(&status(&mut answers).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_answered_once_ends_with_its_token() {
    let scene = watched("fake until-stopped").await;
    let token = scene.stage.token("acme").await;
    let mut client = scene.gateway.client(&token).await.sandboxes;
    let request = pb::ExecSandboxRequest {
        sandbox_id: scene.id.clone(),
        command: ["fake", "ignore-stop"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let id = scene.id.parse().unwrap();
    let revoke = async {
        until("it runs", async || scene.runner.commands(id).await == 1).await;
        scene.stage.revoke(&token).await;
    };
    let both = async { tokio::join!(client.exec(request), revoke).0 };
    let answer = time::timeout(PATIENCE, both).await.expect("it ends");
    is_shown_out(&answer.unwrap_err());
    scene.alone().await;
}
