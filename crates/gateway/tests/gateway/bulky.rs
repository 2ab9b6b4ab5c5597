//! Large requests that do not come to their end, beside others.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use palisade_gateway::GatewayConfig;
use palisade_wire::proto::v1beta2 as pb;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::rig::{
    Client, GatewayProcess, PATIENCE, Stage, channel, config, reason, running, until,
};
use crate::scene::Scene;

/// Requests of one organization that may be large at once.
pub(crate) const OF_ONE: usize = 16;
const PIECE: usize = 16 << 10;

/// Sends the beginning of a file, more than any window holds, so that the server is
/// known to have room for it; and never the rest.
async fn stall(gateway: &GatewayProcess, bearer: &str, ends: &mut JoinSet<Status>) {
    let mut channel = channel(gateway.address).await.unwrap();
    let (pieces, sent) = mpsc::channel::<Bytes>(1);
    let frames = ReceiverStream::new(sent).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let request = http::Request::post("/coreweave.sandbox.v1beta2.GatewayService/AddFile")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", bearer)
        .body(tonic::body::Body::new(StreamBody::new(frames)))
        .unwrap();
    let answer = channel.ready().await.unwrap().call(request);
    let hold = pieces.clone();
    ends.spawn(async move {
        let answer = answer.await.unwrap();
        drop(hold);
        Status::from_header_map(answer.headers()).unwrap()
    });
    let prefix = [0, 0, 0x10, 0, 0];
    pieces.send(Bytes::copy_from_slice(&prefix)).await.unwrap();
    for _ in 0..32 {
        let sent = pieces.send(Bytes::from(vec![0; PIECE]));
        tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap();
    }
}

async fn file(client: &Client, sandbox_id: &str) -> Result<(), Status> {
    let add = pb::AddFileSandboxRequest {
        sandbox_id: sandbox_id.to_owned(),
        file_contents: vec![7; 1 << 20].into(),
        filepath: "/data/x".to_owned(),
        max_timeout_seconds: 0,
    };
    client.sandboxes.clone().add_file(add).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_never_end_hold_up_nobody_else_and_end() {
    let config = GatewayConfig {
        call_time: Duration::from_secs(5),
        ..config()
    };
    let (stage, gateway, _runner, client) = Stage::configured(config).await;
    let id = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&id.sandbox_id).await;
    let bearer = format!("Bearer {}", stage.token("acme").await.reveal());
    let mut ends = JoinSet::new();
    for _ in 0..OF_ONE {
        stall(&gateway, &bearer, &mut ends).await;
    }
    // What is small needs no room, and another organization has some.
    client.get(&id.sandbox_id).await.unwrap();
    stage.organization("globex").await;
    let globex = gateway.client(&stage.token("globex").await).await;
    let refused = file(&globex, &id.sandbox_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "it is not theirs");
    assert!(ends.try_join_next().is_none(), "they are still there");
    // The next one waits for one of them.
    file(&client, &id.sandbox_id).await.unwrap();
    for end in ends.join_all().await {
        assert_eq!(end.code(), Code::DeadlineExceeded, "{end:?}");
        assert_eq!(reason(&end), "CWSANDBOX_BACKEND_UNAVAILABLE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_with_large_arguments_hold_up_nothing_while_they_run() {
    let scene = Scene::running().await;
    let mut calls = JoinSet::new();
    for _ in 0..OF_ONE {
        let mut sandboxes = scene.client.sandboxes.clone();
        let request = pb::ExecSandboxRequest {
            sandbox_id: scene.id.clone(),
            command: vec!["sleep".to_owned(), "9".repeat(100 << 10)],
            ..Default::default()
        };
        calls.spawn(async move { sandboxes.exec(request).await });
    }
    let id = scene.id.parse().unwrap();
    until("all of them run", async || {
        scene.runner.commands(id).await == OF_ONE as u64
    })
    .await;
    file(&scene.client, &scene.id).await.unwrap();
    assert!(calls.try_join_next().is_none(), "they still run");
}
