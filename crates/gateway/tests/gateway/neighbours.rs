//! What others do, or leave undone, on the one connection of a runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as ExecFrame;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Answer;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::rig::{Bearer, GatewayProcess, RunnerProcess, Stage, channel, running, until};

type Streams = GatewayStreamingServiceClient<InterceptedService<Channel, Bearer>>;
type Opened = (
    mpsc::Sender<pb::ExecStreamRequest>,
    Streaming<pb::ExecStreamResponse>,
);

/// Readers that do not read, each with more for it than all windows on the way hold.
const DEAF: usize = 40;
const MUCH: usize = 16 << 20;
/// What a neighbour has to get through, and how often, and how soon.
const SOME: usize = 2_000_000;
const TURNS: usize = 5;
const SOON: Duration = Duration::from_secs(10);
/// Keystrokes that nobody takes: more than the library lets wait on usual connections.
const KEYSTROKES: usize = 4_000;

struct Scene {
    stage: Stage,
    gateway: GatewayProcess,
    _runner: RunnerProcess,
    id: String,
}

impl Scene {
    async fn new() -> Self {
        let (stage, gateway, runner, client) = Stage::usual().await;
        let started = client.start(running("fake until-stopped")).await.unwrap();
        let id = started.sandbox_id;
        client.runs(&id).await;
        Self {
            stage,
            gateway,
            _runner: runner,
            id,
        }
    }

    /// A client with a connection of its own.
    async fn streams(&self) -> Streams {
        let bearer = format!("Bearer {}", self.stage.token("acme").await.reveal());
        let channel = channel(self.gateway.address).await.unwrap();
        GatewayStreamingServiceClient::with_interceptor(channel, Bearer(bearer.parse().unwrap()))
    }

    async fn exec(&self, mut streams: Streams, words: &str) -> Opened {
        let (frames, received) = mpsc::channel(1);
        let init = ExecFrame::Init(pb::ExecStreamInit {
            sandbox_id: self.id.clone(),
            command: words.split(' ').map(str::to_owned).collect(),
            ..Default::default()
        });
        frames.send(frame(init)).await.unwrap();
        let opened = streams.stream_exec(ReceiverStream::new(received)).await;
        (frames, opened.unwrap().into_inner())
    }

    /// Somebody else gets all of his output, again and again.
    async fn a_neighbour_is_served(&self) {
        let streams = self.streams().await;
        for _ in 0..TURNS {
            let words = format!("fake bytes {SOME} exit 0");
            let (_frames, answers) = self.exec(streams.clone(), &words).await;
            let (size, end) = time::timeout(SOON, rest(answers)).await.expect("in time");
            assert_eq!(size, SOME, "{end:?}");
            let Some(Answer::Exit(exit)) = end else {
                panic!("{end:?}");
            };
            assert_eq!(exit.exit_code, 0);
        }
    }
}

fn frame(request: ExecFrame) -> pb::ExecStreamRequest {
    pb::ExecStreamRequest {
        request: Some(request),
    }
}

/// How much output there was, and what came last.
async fn rest(mut answers: Streaming<pb::ExecStreamResponse>) -> (usize, Option<Answer>) {
    let (mut size, mut last) = (0, None);
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Answer::Output(data)) = &answer.response {
            size += data.data.len();
        }
        last = answer.response;
    }
    (size, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_hold_nobody_else_up() {
    let scene = Scene::new().await;
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        let words = format!("fake bytes {MUCH} exit 0");
        // Each for himself: a client that does not read holds himself up.
        let (frames, mut answers) = scene.exec(scene.streams().await, &words).await;
        // It runs, and nothing more of it is read.
        answers.message().await.unwrap().expect("it begins");
        deaf.push((frames, answers));
    }
    scene.a_neighbour_is_served().await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn keystrokes_that_nobody_takes_end_nothing_of_others() {
    let scene = Scene::new().await;
    let streams = scene.streams().await;
    let (frames, mut answers) = scene.exec(streams, "fake until-stopped").await;
    answers.message().await.unwrap().expect("it begins");
    let typed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&typed);
    let mut typing = JoinSet::new();
    typing.spawn(async move {
        let key = || {
            frame(ExecFrame::Stdin(pb::ExecStreamData {
                data: vec![b'x'].into(),
            }))
        };
        while frames.send(key()).await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let enough = async || typed.load(Ordering::Relaxed) >= KEYSTROKES;
    until("there are many keystrokes", enough).await;
    scene.a_neighbour_is_served().await;
    assert!(typing.try_join_next().is_none(), "nor of its own");
}
