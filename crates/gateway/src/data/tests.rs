//! The data plane as clients meet it: over a socket, one test for a sentence of
//! the contract. Sandboxes are those of the fake backend, or puppets whose every
//! move a test makes.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_backend::conformance::Job;
use palisade_backend::fake::{self, Fake, World};
use palisade_backend::{
    Attach, AttachError, Backend as _, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, ExecSpec,
    LogChunk, LogQuery, Logs, Tunnel, Upload, View,
};
use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::id::{SandboxId, TokenId};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Exit, Launch, Phase};
use palisade_model::tenant::{Principal, Role};
use palisade_model::testing::sample_launch;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as ExecFrame;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use palisade_wire::v1beta2::{sandbox_id, sandbox_not_found};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::ways::{Way, Ways};
use super::{DataPlane, Means};
use crate::access::Whereabouts;
use crate::config::SessionLimits;
use crate::context::Context;
use crate::error::ApiResult;
use crate::visits::Visits;

mod calls;
mod commands;
mod disorder;
mod load;
mod logs;
mod resuming;
mod sessions;
mod silence;
mod tunnels;

/// The longest that any state is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

type Client = GatewayStreamingServiceClient<Channel>;

/// A data plane behind a socket.
struct Plane {
    data: DataPlane,
    known: Arc<Known>,
    client: Client,
    address: SocketAddr,
}

/// The sandboxes there are: of the fake, and puppets.
#[derive(Debug)]
struct Known {
    fake: Fake,
    puppets: Mutex<HashMap<SandboxId, Puppet>>,
}

/// A sandbox whose every move a test makes.
#[derive(Clone, Debug)]
struct Puppet {
    phase: Phase,
    execs: mpsc::Sender<(ExecSpec, Strings)>,
    logs: mpsc::Sender<(LogQuery, LogSender)>,
    refusal: Option<AttachError>,
}

type LogSender = mpsc::Sender<Result<LogChunk, AttachError>>;

/// The other ends of a command.
struct Strings {
    inputs: mpsc::Receiver<ExecInput>,
    events: mpsc::Sender<ExecEvent>,
}

/// What a test holds of a puppet.
struct Hand {
    id: String,
    execs: mpsc::Receiver<(ExecSpec, Strings)>,
    logs: mpsc::Receiver<(LogQuery, LogSender)>,
}

#[derive(Debug)]
struct TestClock(time::Instant);

#[derive(Debug)]
struct TestIds;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).saturating_add(self.0.elapsed())
    }
}

impl Ids for TestIds {
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn secret(&self) -> [u8; 32] {
        let [first, second] = [(); 2].map(|()| Uuid::new_v4().into_bytes());
        std::array::from_fn(|at| if at < 16 { first[at] } else { second[at - 16] })
    }
}

/// Kept for so long that nothing ends in a test because its time is over.
fn session_limits() -> SessionLimits {
    SessionLimits {
        kept: Duration::from_hours(1),
        ..SessionLimits::default()
    }
}

fn context(organization: &str) -> Context {
    context_of(organization, "ada")
}

fn context_of(organization: &str, user: &str) -> Context {
    Context {
        caller: Principal {
            organization: organization.parse().unwrap(),
            user: user.parse().unwrap(),
            role: Role::SandboxUser,
            token: TokenId::new(Uuid::nil()),
        },
        request_id: "req-1".to_owned(),
    }
}

impl Plane {
    async fn new() -> Self {
        Self::with_room(10_000).await
    }

    async fn with_room(streams_max: usize) -> Self {
        Self::with(streams_max, session_limits()).await
    }

    async fn with(streams_max: usize, session_limits: SessionLimits) -> Self {
        let known = Arc::new(Known {
            fake: Fake::open(Arc::new(World::default())),
            puppets: Mutex::default(),
        });
        let means = Means {
            clock: Arc::new(TestClock(time::Instant::now())),
            ids: Arc::new(TestIds),
            visits: Visits::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            call_time: PATIENCE,
            streams_max,
            unread_max: Duration::from_mins(10),
            session_limits,
        };
        let data = DataPlane::over(means, known.clone());
        let address = serve(&data).await;
        let client = connect(address).await;
        Self {
            data,
            known,
            client,
            address,
        }
    }

    /// A running sandbox of the fake.
    async fn sandbox(&self, job: &Job) -> String {
        let mut launch = sample_launch();
        launch.id = SandboxId::new(Uuid::now_v7());
        launch.workload.image = fake::IMAGE.parse().unwrap();
        launch.workload.command = fake::command(job);
        self.launch(&launch).await;
        launch.id.to_string()
    }

    async fn launch(&self, launch: &Launch) {
        self.known.fake.ensure(launch).await.unwrap();
        self.wait_for(&launch.id.to_string(), |view| {
            !matches!(view, View::Starting(_))
        })
        .await;
    }

    /// Waits until the sandbox is seen in a state that `holds`.
    async fn wait_for(&self, id: &str, holds: impl Fn(&View) -> bool) {
        let id = id.parse().unwrap();
        let mut changes = self.known.fake.changes(id);
        let holds_now = async || {
            let seen = self.known.fake.get(id).await.unwrap().unwrap();
            holds(&seen.view)
        };
        let reached = time::timeout(PATIENCE, async {
            while !holds_now().await {
                changes.changed().await.unwrap();
            }
        });
        reached.await.expect("the sandbox gets there");
    }

    /// Waits until only the main process runs.
    async fn wait_until_alone(&self, id: &str) {
        let id = id.parse().unwrap();
        let mut changes = self.known.fake.changes(id);
        let alone = time::timeout(PATIENCE, async {
            while self.known.fake.usage(id).await.unwrap().pids > Some(1) {
                changes.changed().await.unwrap();
            }
        });
        alone.await.expect("the commands are killed");
    }

    fn puppet(&self) -> Hand {
        self.puppet_that(Phase::Running, None)
    }

    fn puppet_that(&self, phase: Phase, refusal: Option<AttachError>) -> Hand {
        self.known.puppet_that(phase, refusal)
    }

    /// Runs a command and closes its input at once, as clients without input do.
    async fn run(&self, id: &str, command: Vec<String>) -> Result<Seen, Status> {
        let mut stream = self.stream(id, command).await;
        drop(stream.frames);
        Seen::of(&mut stream.answers).await
    }

    /// Opens a stream for a command.
    async fn stream(&self, id: &str, command: Vec<String>) -> ExecStream {
        let stream = self.empty_stream().await;
        stream.send(init(id, command)).await;
        stream
    }

    /// Opens a stream that has not said anything.
    async fn empty_stream(&self) -> ExecStream {
        stream_of(&self.client).await
    }
}

/// Opens a stream that has not said anything.
async fn stream_of(client: &Client) -> ExecStream {
    let (frames, received) = mpsc::channel(1);
    let mut client = client.clone();
    let answers = client.stream_exec(ReceiverStream::new(received)).await;
    ExecStream {
        frames,
        answers: answers.expect("the head is sent at once").into_inner(),
    }
}

/// A command as its client holds it.
struct ExecStream {
    frames: mpsc::Sender<pb::ExecStreamRequest>,
    answers: Streaming<pb::ExecStreamResponse>,
}

impl ExecStream {
    async fn send(&self, frame: ExecFrame) {
        let request = Some(frame);
        self.frames
            .send(pb::ExecStreamRequest { request })
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Answer {
        next(&mut self.answers)
            .await
            .unwrap()
            .expect("the stream goes on")
    }
}

type Answer = pb::exec_stream_response::Response;

async fn next(answers: &mut Streaming<pb::ExecStreamResponse>) -> Result<Option<Answer>, Status> {
    let answer = time::timeout(PATIENCE, answers.message()).await;
    let answer = answer.expect("the stream goes on or ends")?;
    Ok(answer.map(|answer| answer.response.expect("every frame says something")))
}

/// What a client saw of a command.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    ready: usize,
    stdout: Vec<Bytes>,
    stderr: Vec<Bytes>,
    /// The exit codes, and the errors by code.
    ends: Vec<Result<i32, String>>,
}

impl Seen {
    async fn of(answers: &mut Streaming<pb::ExecStreamResponse>) -> Result<Self, Status> {
        let mut seen = Self::default();
        while let Some(answer) = next(answers).await? {
            seen.take(answer);
        }
        Ok(seen)
    }

    fn take(&mut self, answer: Answer) {
        assert!(self.ends.is_empty(), "nothing follows the end");
        match answer {
            Answer::Ready(ready) => {
                assert!(!ready.session_id.is_empty() && ready.ready_at.is_some());
                self.ready += 1;
            }
            Answer::Output(output) => {
                assert!(output.timestamp.is_some() && self.ready == 1);
                match output.stream_type() {
                    pb::exec_stream_output::StreamType::Stdout => self.stdout.push(output.data),
                    pb::exec_stream_output::StreamType::Stderr => self.stderr.push(output.data),
                    pb::exec_stream_output::StreamType::Unspecified => panic!("no stream"),
                }
            }
            Answer::Exit(exit) => {
                assert!(exit.completed_at.is_some());
                self.ends.push(Ok(exit.exit_code));
            }
            Answer::Error(error) => {
                assert!(!error.message.is_empty());
                self.ends.push(Err(error.code));
            }
        }
    }
}

impl Strings {
    async fn tell(&self, event: ExecEvent) {
        self.events.send(event).await.unwrap();
    }

    async fn input(&mut self) -> Option<ExecInput> {
        let input = time::timeout(PATIENCE, self.inputs.recv()).await;
        input.expect("the input comes or ends")
    }
}

impl Hand {
    /// The next command that is started.
    async fn exec(&mut self) -> (ExecSpec, Strings) {
        let started = time::timeout(PATIENCE, self.execs.recv()).await;
        started.unwrap().expect("a command is started")
    }

    /// The next reading of the log.
    async fn log(&mut self) -> (LogQuery, LogSender) {
        let opened = time::timeout(PATIENCE, self.logs.recv()).await;
        opened.unwrap().expect("the log is opened")
    }
}

fn init(id: &str, command: Vec<String>) -> ExecFrame {
    ExecFrame::Init(pb::ExecStreamInit {
        sandbox_id: id.to_owned(),
        command,
        ..Default::default()
    })
}

fn stdin(data: impl Into<Bytes>) -> ExecFrame {
    ExecFrame::Stdin(pb::ExecStreamData { data: data.into() })
}

fn close() -> ExecFrame {
    ExecFrame::Close(pb::ExecStreamClose {})
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A fact that a refusal tells for programs.
fn fact(status: &Status, key: &str) -> Option<String> {
    let details = status.get_error_details();
    details.error_info()?.metadata.get(key).cloned()
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info();
    info.map(|info| info.reason.clone()).unwrap_or_default()
}

/// Serves the data plane on a free port, for callers of the organization that
/// they name.
async fn serve(data: &DataPlane) -> SocketAddr {
    serve_with(data, Server::builder()).await
}

async fn serve_with(data: &DataPlane, mut server: Server) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let introduce = |mut request: Request<()>| {
        let said = |key: &str, otherwise: &str| {
            let name = request.metadata().get(key);
            name.map_or(otherwise, |name| name.to_str().unwrap())
                .to_owned()
        };
        let context = context_of(&said("organization", "acme"), &said("user", "ada"));
        request.extensions_mut().insert(context);
        Ok(request)
    };
    let server = server
        .add_service(InterceptedService::new(data.streaming(), introduce))
        .add_service(InterceptedService::new(data.tunnels(), introduce));
    let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
    data.means
        .tasks
        .spawn(async move { serving.await.unwrap() });
    address
}

async fn connect(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    GatewayStreamingServiceClient::new(endpoint.connect().await.unwrap())
}

impl Known {
    fn puppet_that(&self, phase: Phase, refusal: Option<AttachError>) -> Hand {
        let id = SandboxId::new(Uuid::now_v7());
        let (exec_sender, execs) = mpsc::channel(16);
        let (log_sender, logs) = mpsc::channel(16);
        let puppet = Puppet {
            phase,
            execs: exec_sender,
            logs: log_sender,
            refusal,
        };
        self.puppets.lock().unwrap().insert(id, puppet);
        let id = id.to_string();
        Hand { id, execs, logs }
    }
}

#[async_trait]
impl Ways for Known {
    async fn running(&self, caller: &Principal, id: &str) -> ApiResult<Way> {
        let way = self.logged(caller, id).await?;
        if way.at.phase != Phase::Running {
            return Err(Refusal::new(Reason::SandboxNotRunning, "it must be RUNNING").into());
        }
        Ok(way)
    }

    async fn logged(&self, caller: &Principal, id: &str) -> ApiResult<Way> {
        let parsed = sandbox_id(id)?;
        let way = |phase, attach| Way {
            at: Whereabouts {
                id: parsed,
                phase,
                runner: "local".parse().unwrap(),
            },
            attach,
        };
        let puppet = self.puppets.lock().unwrap().get(&parsed).cloned();
        let found = match (puppet, self.fake.get(parsed).await.unwrap()) {
            (Some(puppet), _) => Some(way(puppet.phase, Arc::new(puppet) as Arc<dyn Attach>)),
            (None, Some(sighting)) => {
                let phase = if sighting.view.is_over() {
                    Phase::Completed
                } else {
                    Phase::Running
                };
                Some(way(phase, Arc::new(self.fake.clone())))
            }
            (None, None) => None,
        };
        let is_own = caller.organization.as_str() == "acme";
        found
            .filter(|_| is_own)
            .ok_or_else(|| sandbox_not_found(id).into())
    }
}

#[async_trait]
impl Attach for Puppet {
    async fn exec(&self, _: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError> {
        if let Some(error) = &self.refusal {
            return Err(error.clone());
        }
        let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
        let (events, received) = mpsc::channel(EXEC_QUEUE_MAX);
        let strings = Strings { inputs, events };
        self.execs
            .send((spec, strings))
            .await
            .map_err(|_| AttachError::Lost)?;
        Ok(Exec {
            input,
            events: received,
        })
    }

    async fn logs(&self, _: SandboxId, query: LogQuery) -> Result<Logs, AttachError> {
        if let Some(error) = &self.refusal {
            return Err(error.clone());
        }
        let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
        self.logs
            .send((query, sender))
            .await
            .map_err(|_| AttachError::Lost)?;
        Ok(Logs { chunks })
    }

    async fn write_file(&self, _: SandboxId, _: &str, _: Upload) -> Result<(), AttachError> {
        std::future::pending().await
    }

    async fn read_file(&self, _: SandboxId, path: &str, max: u64) -> Result<Bytes, AttachError> {
        let path = path.to_owned();
        let error = palisade_backend::FileError::TooLarge {
            size_bytes: max + 1,
            bytes_max: max,
        };
        Err(AttachError::File { path, error })
    }

    async fn connect(&self, _: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError> {
        Err(self
            .refusal
            .clone()
            .unwrap_or(AttachError::PortClosed { port: port.get() }))
    }
}
