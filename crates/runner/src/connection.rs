//! The life line to the gateway, and the connection for work beside it.
//!
//! They are two, so that whatever happens to the one for work, heartbeats and wishes
//! go on, and the runner is not taken for dead.
//!
//! Inputs: wishes of the gateway. Outputs: observations and heartbeats. A
//! connection that breaks is dialled again, with pauses that grow; drivers do
//! not notice. Every new connection begins with everything that is held, so
//! that nothing depends on what an earlier one said.

use std::collections::BTreeSet;
use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message as FromGateway;
use palisade_wire::proto::runner_v1::runner_message::Message as ToGateway;
use palisade_wire::proto::runner_v1::runner_service_client::RunnerServiceClient;
use palisade_wire::runner::denials_message;
use palisade_wire::runner::{
    BadMessage, PROTOCOL, capabilities_message, capacity_message, observation_message,
    rooms_message, surroundings_message,
};
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status, Streaming};
use tower::BoxError;
use tracing::{info, warn};

use crate::attach::Worker;
use crate::denials::{Journal, Refusals, Told};
use crate::driver::Tools;
use crate::registry::Registry;
use crate::runner::RunnerConfig;
use crate::snapshots::GatewaySnapshots;
use crate::transport::{Dial, Transport};
use crate::usage::Meter;

/// Messages that may wait for the network.
const OUTGOING_MAX: usize = 64;
/// The largest message, for launches that carry files.
pub(crate) const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// The pause after the first loss; it doubles up to the limit.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A gateway that does not answer for so long is given up.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// Used until the gateway says another interval.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The bounds of what a gateway can say.
const HEARTBEAT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(1));

/// What the user of a sandbox reads whose launch could not be read.
const UNREADABLE_LAUNCH: &str =
    "the runner cannot read the launch; it is older than the gateway and must be updated";

/// What heartbeats of one connection are made from.
#[derive(Debug, Default)]
struct Pulse {
    meter: Meter,
    told: Told,
}

/// Adds the join token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A client that presents the join token.
pub(crate) type Client = RunnerServiceClient<InterceptedService<Transport, Bearer>>;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("the gateway could not be reached")]
    Dial(#[source] BoxError),
    #[error("the join token cannot be sent: it holds other than visible characters")]
    BadToken,
    #[error("the gateway ended the call: {}", .0.message())]
    Refused(Status),
    #[error("the gateway did not answer in time")]
    Silent,
    #[error("the gateway ended the connection")]
    Closed,
    #[error("no runner object exists for this cluster: {0}")]
    Waiting(String),
}

/// What a gateway says first.
enum Greeted {
    /// This is the interval of heartbeats.
    Welcome(Duration),
    /// There is no runner object for the cluster.
    Waiting(pb::Waiting),
}

/// What one dialling brought about.
struct Line {
    /// Kept for as long as the life line is.
    _life: Client,
    /// Over its own connection.
    work: Client,
    outgoing: mpsc::Sender<pb::RunnerMessage>,
    incoming: Streaming<pb::GatewayMessage>,
}

/// Keeps the life line.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) config: RunnerConfig,
    pub(crate) tools: Tools,
    pub(crate) registry: std::sync::Arc<Registry>,
    pub(crate) worker: Worker,
    pub(crate) snapshots: GatewaySnapshots,
    /// Of all connections.
    pub(crate) journal: Journal,
    pub(crate) refusals: Refusals,
}

impl Connection {
    /// Dials again and again until `stop`.
    pub(crate) async fn serve(&self, dial: Dial, stop: &CancellationToken) {
        let mut pause = RECONNECT_PAUSE;
        while !stop.is_cancelled() {
            let began = time::Instant::now();
            let loss = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                loss = self.once(&dial) => loss,
            };
            if began.elapsed() > RECONNECT_PAUSE_MAX {
                pause = RECONNECT_PAUSE;
            }
            warn!(error = %chain(&loss), retry_ms = pause.as_millis(), "not connected to the gateway");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// One connection, from dialling to its loss.
    async fn once(&self, dial: &Dial) -> Loss {
        match self.connect(dial).await {
            Ok(line) => {
                info!("connected to the gateway");
                let _connected = self.snapshots.over(&line.work);
                self.work(line).await
            }
            Err(loss) => loss,
        }
    }

    async fn connect(&self, dial: &Dial) -> Result<Line, Loss> {
        let bearer = format!("Bearer {}", self.config.join_token);
        let mut bearer: MetadataValue<Ascii> = bearer.parse().map_err(|_| Loss::BadToken)?;
        bearer.set_sensitive(true);
        let both = async { tokio::try_join!(dial(), dial()) };
        let (line, work) = time::timeout(GREETING_LIMIT, both)
            .await
            .map_err(|_| Loss::Silent)?
            .map_err(Loss::Dial)?;
        let client = |channel| {
            RunnerServiceClient::with_interceptor(channel, Bearer(bearer.clone()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
        let (mut line, work) = (client(line), client(work));
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let hello = self.hello().await;
        // The channel is new and empty, so that the first message always fits.
        let _ = outgoing.try_send(message(ToGateway::Hello(hello)));
        let joined = time::timeout(GREETING_LIMIT, line.join(ReceiverStream::new(messages)));
        let incoming = joined
            .await
            .map_err(|_| Loss::Silent)?
            .map_err(Loss::Refused)?
            .into_inner();
        Ok(Line {
            _life: line,
            work,
            outgoing,
            incoming,
        })
    }

    async fn hello(&self) -> pb::Hello {
        let pb::Heartbeat {
            capabilities,
            capacity,
            usage: _,
            surroundings,
            denials: _,
            rooms,
        } = self.heartbeat(&mut Pulse::default()).await;
        pb::Hello {
            protocol: PROTOCOL,
            version: self.config.version.clone(),
            instance_id: self.config.instance_id.clone(),
            home_id: self.config.home_id.clone(),
            capabilities,
            capacity,
            surroundings,
            rooms,
            sandbox_ids: self
                .registry
                .ids()
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }

    async fn heartbeat(&self, pulse: &mut Pulse) -> pb::Heartbeat {
        let backend = &self.tools.backend;
        let capacity = match backend.capacity().await {
            Ok(capacity) => Some(capacity_message(&capacity)),
            Err(error) => {
                warn!(%error, "could not measure the capacity");
                None
            }
        };
        let now = self.tools.clock.now();
        let ids = self.registry.ids();
        let refused = pulse.told.news(&**backend, &ids).await;
        self.journal.enter(&ids, &refused);
        self.refusals.enter(&ids, &refused);
        pb::Heartbeat {
            capabilities: Some(capabilities_message(&backend.capabilities())),
            capacity,
            usage: pulse.meter.read(&**backend, &ids, now).await,
            surroundings: Some(surroundings_message(&backend.surroundings())),
            rooms: Some(rooms_message(&backend.rooms())),
            denials: (refused.iter())
                .map(|(id, denials)| denials_message(*id, denials))
                .collect(),
        }
    }

    /// Sends and receives until the connection is lost.
    async fn work(&self, line: Line) -> Loss {
        let Line {
            _life,
            work,
            outgoing,
            mut incoming,
        } = line;
        let period = match greet(&mut incoming).await {
            Ok(Greeted::Welcome(period)) => period,
            Ok(Greeted::Waiting(waiting)) => return self.wait(waiting),
            Err(loss) => return loss,
        };
        self.tools.outbox.resend_all();
        let mut beats = time::interval(period);
        beats.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        beats.tick().await;
        let mut pulse = Pulse::default();
        loop {
            // A message that is taken from the outbox is in hand until it is
            // sent: `reserve` waits for room first, so that none is lost.
            tokio::select! {
                received = incoming.message() => match received {
                    Ok(Some(message)) => self.receive(message, &work),
                    Ok(None) => return Loss::Closed,
                    Err(status) => return Loss::Refused(status),
                },
                sent = self.send_news(&outgoing) => if sent.is_err() { return Loss::Closed },
                _ = beats.tick() => {
                    let beat = message(ToGateway::Heartbeat(self.heartbeat(&mut pulse).await));
                    match time::timeout(period, outgoing.send(beat)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Loss::Closed,
                        Err(_) => return Loss::Silent,
                    }
                }
            }
        }
    }

    /// Removes what is held of a runner object that was deleted, and nothing else:
    /// without an object, the gateway may be one that knows none of it.
    fn wait(&self, waiting: pb::Waiting) -> Loss {
        let pb::Waiting {
            reason,
            abandoned_ids,
        } = waiting;
        let abandoned: BTreeSet<SandboxId> = (abandoned_ids.iter())
            .filter_map(|id| known_id(id))
            .collect();
        for id in self.registry.ids() {
            if abandoned.contains(&id) {
                info!(sandbox.id = %id, "the runner object of a sandbox was deleted; it is removed");
                self.registry.remove(id);
            }
        }
        Loss::Waiting(reason)
    }

    async fn send_news(&self, outgoing: &mpsc::Sender<pb::RunnerMessage>) -> Result<(), ()> {
        let room = outgoing.reserve().await.map_err(|_| ())?;
        let (id, observation) = self.tools.outbox.next().await;
        let news = observation_message(id, &observation);
        room.send(message(ToGateway::Observation(news)));
        Ok(())
    }

    fn receive(&self, message: pb::GatewayMessage, work: &Client) {
        match message.message {
            Some(FromGateway::Desired(desired)) => {
                let keep: BTreeSet<SandboxId> = desired
                    .sandbox_ids
                    .iter()
                    .filter_map(|id| id.parse().ok())
                    .collect();
                self.registry.retain(&keep);
            }
            Some(FromGateway::Launch(launch)) => self.launch(launch),
            Some(FromGateway::Stop(stop)) => {
                if let Some(id) = known_id(&stop.sandbox_id) {
                    self.registry.stop(id, Duration::from_millis(stop.grace_ms));
                }
            }
            Some(FromGateway::SetPaused(pb::SetPaused {
                sandbox_id,
                is_paused,
            })) => {
                if let Some(id) = known_id(&sandbox_id) {
                    self.registry.set_paused(id, is_paused);
                }
            }
            Some(FromGateway::Remove(remove)) => {
                if let Some(id) = known_id(&remove.sandbox_id) {
                    self.registry.remove(id);
                }
            }
            Some(FromGateway::Open(open)) => self.worker.open(open, work.clone()),
            Some(FromGateway::Abandon(pb::Abandon { attach_id })) => {
                self.worker.abandon(&attach_id);
            }
            Some(FromGateway::Drain(pb::Drain {})) => info!("the gateway drains this runner"),
            // Terminal news are kept by the backend until the gateway removes
            // the sandbox, so that nothing hangs on this confirmation.
            Some(FromGateway::Recorded(pb::Recorded { .. })) => {}
            Some(FromGateway::Welcome(_) | FromGateway::Waiting(_)) | None => {
                warn!("the gateway sent a message that means nothing here");
            }
        }
    }

    fn launch(&self, message: pb::Launch) {
        let id = message.sandbox_id.clone();
        match palisade_wire::runner::launch(message) {
            Ok((launch, secrets)) => self.registry.launch(launch, secrets),
            Err(error) => self.refuse(&id, &error),
        }
    }

    /// A launch that cannot be read whole is not carried out in part: what is
    /// not understood may be a guardrail.
    fn refuse(&self, id: &str, error: &BadMessage) {
        warn!(sandbox.id = id, %error, "refused a launch that this runner cannot read");
        if let Some(id) = known_id(id) {
            self.registry.refuse(id, UNREADABLE_LAUNCH);
        }
    }
}

async fn greet(incoming: &mut Streaming<pb::GatewayMessage>) -> Result<Greeted, Loss> {
    let first = time::timeout(GREETING_LIMIT, incoming.message())
        .await
        .map_err(|_| Loss::Silent)?
        .map_err(Loss::Refused)?;
    match first.and_then(|message| message.message) {
        Some(FromGateway::Welcome(welcome)) => {
            let (shortest, longest) = HEARTBEAT_RANGE;
            let period = match welcome.heartbeat_interval_ms {
                0 => HEARTBEAT,
                millis => Duration::from_millis(millis.into()),
            };
            Ok(Greeted::Welcome(period.clamp(shortest, longest)))
        }
        Some(FromGateway::Waiting(waiting)) => Ok(Greeted::Waiting(waiting)),
        _ => Err(Loss::Closed),
    }
}

/// The texts of an error and of all that lies behind it: that a gateway cannot be
/// reached helps nobody who is not told why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn message(message: ToGateway) -> pb::RunnerMessage {
    pb::RunnerMessage {
        message: Some(message),
    }
}

fn known_id(text: &str) -> Option<SandboxId> {
    let id = text.parse().ok();
    if id.is_none() {
        warn!("the gateway named a sandbox with a malformed id");
    }
    id
}
