//! A sandbox on the usual stage, and the streams of a client of it.

use std::net::SocketAddr;

use palisade_gateway::GatewayConfig;
use palisade_model::token::PresentedToken;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as ExecFrame;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Answer;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use palisade_wire::proto::v1beta2::log_stream_request::Request as LogFrame;
use palisade_wire::proto::v1beta2::log_stream_response::Response as LogAnswer;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::rig::{
    Bearer, Client, GatewayProcess, PATIENCE, RunnerProcess, Stage, channel, config, running, until,
};

pub(crate) type Streams = GatewayStreamingServiceClient<InterceptedService<Channel, Bearer>>;

/// A sandbox that runs, and clients for it.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) gateway: GatewayProcess,
    pub(crate) runner: RunnerProcess,
    pub(crate) client: Client,
    pub(crate) streams: Streams,
    pub(crate) id: String,
}

impl Scene {
    pub(crate) async fn of(main: &str) -> Self {
        Self::configured(config(), main).await
    }

    /// The same, with a gateway that is configured like this.
    pub(crate) async fn configured(config: GatewayConfig, main: &str) -> Self {
        let (stage, gateway, runner, client) = Stage::configured(config).await;
        let streams = connect(&stage, &gateway).await;
        let id = client.start(running(main)).await.unwrap().sandbox_id;
        Self {
            stage,
            gateway,
            runner,
            client,
            streams,
            id,
        }
    }

    pub(crate) async fn running() -> Self {
        let scene = Self::of("fake until-stopped").await;
        scene.client.runs(&scene.id).await;
        scene
    }

    /// Another client, over a connection of its own.
    pub(crate) async fn another(&self) -> Streams {
        connect(&self.stage, &self.gateway).await
    }

    /// Lets a client in a process of its own do this. The process is killed with its
    /// connection by [`Runtime::shutdown_background`].
    pub(crate) async fn elsewhere<F>(
        &self,
        client: impl FnOnce(Streams) -> F + Send + 'static,
    ) -> Runtime
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.stage.token("acme").await;
        self.elsewhere_by(&token, client)
    }

    /// The same, with this token.
    pub(crate) fn elsewhere_by<F>(
        &self,
        token: &PresentedToken,
        client: impl FnOnce(Streams) -> F + Send + 'static,
    ) -> Runtime
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let process = Runtime::new().unwrap();
        let bearer = bearer_of(token);
        let address = self.gateway.address;
        process.spawn(async move { client(connect_to(address, bearer).await).await });
        process
    }

    /// What begins a command.
    pub(crate) fn init(&self, words: &str) -> pb::ExecStreamInit {
        pb::ExecStreamInit {
            sandbox_id: self.id.clone(),
            command: words.split(' ').map(str::to_owned).collect(),
            ..Default::default()
        }
    }

    /// What goes on with a command.
    pub(crate) fn resumed(&self, session: &str) -> pb::ExecStreamInit {
        pb::ExecStreamInit {
            sandbox_id: self.id.clone(),
            resume_session_id: session.to_owned(),
            ..Default::default()
        }
    }

    pub(crate) async fn exec(&self, words: &str) -> (mpsc::Sender<pb::ExecStreamRequest>, Answers) {
        self.exec_by(self.streams.clone(), words).await
    }

    pub(crate) async fn exec_by(
        &self,
        streams: Streams,
        words: &str,
    ) -> (mpsc::Sender<pb::ExecStreamRequest>, Answers) {
        open(streams, self.init(words)).await.unwrap()
    }

    pub(crate) async fn log(&self, follow: bool) -> (Vec<u8>, Option<LogAnswer>) {
        let init = LogFrame::Init(pb::LogStreamInit {
            sandbox_id: self.id.clone(),
            follow,
            ..Default::default()
        });
        let frames = [pb::LogStreamRequest {
            request: Some(init),
        }];
        let opened = self
            .streams
            .clone()
            .stream_logs(tokio_stream::iter(frames))
            .await;
        let mut answers = opened.unwrap().into_inner();
        let (mut text, mut end) = (Vec::new(), None);
        while let Some(answer) = time::timeout(PATIENCE, answers.message())
            .await
            .unwrap()
            .unwrap()
        {
            match answer.response.unwrap() {
                LogAnswer::Data(data) => text.extend_from_slice(&data.data),
                last @ (LogAnswer::Complete(_) | LogAnswer::Error(_)) => end = Some(last),
            }
        }
        (text, end)
    }

    /// Waits until nothing but the main process runs.
    pub(crate) async fn alone(&self) {
        let id = self.id.parse().unwrap();
        until("the commands are killed", async || {
            self.runner.commands(id).await == 0
        })
        .await;
    }
}

/// Another client of acme, over a connection of its own.
pub(crate) async fn connect(stage: &Stage, gateway: &GatewayProcess) -> Streams {
    connect_to(gateway.address, bearer(stage).await).await
}

/// A client with this token, over a connection of its own.
pub(crate) async fn connect_by(gateway: &GatewayProcess, token: &PresentedToken) -> Streams {
    connect_to(gateway.address, bearer_of(token)).await
}

async fn bearer(stage: &Stage) -> Bearer {
    bearer_of(&stage.token("acme").await)
}

fn bearer_of(token: &PresentedToken) -> Bearer {
    Bearer(format!("Bearer {}", token.reveal()).parse().unwrap())
}

async fn connect_to(address: SocketAddr, bearer: Bearer) -> Streams {
    let channel = channel(address).await.unwrap();
    GatewayStreamingServiceClient::with_interceptor(channel, bearer)
}

/// Opens the stream of a command, or goes on with it.
pub(crate) async fn open(
    mut streams: Streams,
    init: pb::ExecStreamInit,
) -> Result<(mpsc::Sender<pb::ExecStreamRequest>, Answers), Status> {
    let (frames, received) = mpsc::channel(1);
    frames.send(frame(ExecFrame::Init(init))).await.unwrap();
    let answers = streams.stream_exec(ReceiverStream::new(received)).await?;
    Ok((frames, Answers(answers.into_inner())))
}

pub(crate) struct Answers(pub(crate) Streaming<pb::ExecStreamResponse>);

impl Answers {
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        self.told().await.unwrap()
    }

    /// The next answer, or the status with which the stream ends.
    pub(crate) async fn told(&mut self) -> Result<Option<Answer>, Status> {
        let answer = time::timeout(PATIENCE, self.0.message()).await;
        let answer = answer.expect("the stream goes on or ends")?;
        Ok(answer.and_then(|answer| answer.response))
    }

    /// The session of a command that began.
    pub(crate) async fn ready(&mut self) -> String {
        match self.next().await {
            Some(Answer::Ready(ready)) => ready.session_id,
            other => panic!("ready comes first, not {other:?}"),
        }
    }

    /// The bytes of the output, and the end.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Option<Answer>) {
        let (mut output, mut end) = (Vec::new(), None);
        while let Some(answer) = self.next().await {
            assert_eq!(end, None, "nothing follows the end");
            match answer {
                Answer::Ready(_) => {}
                Answer::Output(data) => output.extend_from_slice(&data.data),
                Answer::Exit(_) | Answer::Error(_) => end = Some(answer),
            }
        }
        (output, end)
    }
}

pub(crate) fn frame(frame: ExecFrame) -> pb::ExecStreamRequest {
    pb::ExecStreamRequest {
        request: Some(frame),
    }
}

pub(crate) fn stdin(data: Vec<u8>) -> pb::ExecStreamRequest {
    frame(ExecFrame::Stdin(pb::ExecStreamData { data: data.into() }))
}

pub(crate) fn code(end: Option<Answer>) -> i32 {
    match end {
        Some(Answer::Exit(exit)) => exit.exit_code,
        other => panic!("no exit: {other:?}"),
    }
}
