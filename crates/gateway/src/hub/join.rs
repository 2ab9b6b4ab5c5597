//! The life line of a runner, from its first message to its loss.
//!
//! Inputs: what the runner says. Three loops share the connection and end
//! together: one listens, one records what was heard, one tells the runner what
//! it must know. Nothing is lost with them: the runner begins every connection
//! with everything that it knows, and so does the gateway.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use palisade_model::id::SandboxId;
use palisade_model::placement::{Presence, Report};
use palisade_model::policy::Surroundings;
use palisade_model::reason::Reason;
use palisade_model::runner::Runner;
use palisade_model::token::RunnerIdentity;
use palisade_store::{Fault, GetError};
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message as ToRunner;
use palisade_wire::proto::runner_v1::runner_message::Message as FromRunner;
use palisade_wire::proto::runner_v1::runner_service_server::RunnerService;
use palisade_wire::runner::{capabilities, capacity, rooms, surroundings};
use palisade_wire::v1beta2::UsageNow;
use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::Hub;
use super::abandoned;
use super::drive::Driver;
use super::record::{OBSERVATIONS_MAX, Recorder};
use super::session::{Deaf, OUTGOING_MAX, Opening, Outgoing, Session};
use crate::auth::Gate;
use crate::error::ApiError;
use crate::snapshots::{Chunks, Snapshots};

/// A runner that does not say who it is for so long is given up.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// The longest text about itself that is kept of a runner.
const TEXT_LEN_MAX: usize = 128;

/// Lets runners in.
#[derive(Clone, Debug)]
pub(crate) struct RunnerGate {
    pub(super) hub: Hub,
    gate: Gate,
    snapshots: Snapshots,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    #[error("the runner closed the connection")]
    Closed,
    #[error("the connection broke: {}", .0.message())]
    Broken(Status),
    #[error("the runner was silent for too long")]
    Silent,
    #[error(transparent)]
    Deaf(#[from] Deaf),
    #[error("the runner said something that means nothing here")]
    Nonsense,
    #[error("the gateway gave the connection up")]
    GivenUp,
    #[error("{0}")]
    Barred(String),
}

impl From<Loss> for Status {
    /// What the runner is told, if it can still be told.
    fn from(loss: Loss) -> Self {
        let text = loss.to_string();
        match loss {
            Loss::Barred(_) => Self::unauthenticated(text),
            Loss::Closed
            | Loss::Broken(_)
            | Loss::Silent
            | Loss::Deaf(_)
            | Loss::Nonsense
            | Loss::GivenUp => Self::unavailable(text),
        }
    }
}

impl RunnerGate {
    pub(crate) fn new(hub: Hub, gate: Gate, snapshots: Snapshots) -> Self {
        Self {
            hub,
            gate,
            snapshots,
        }
    }
}

#[async_trait]
impl RunnerService for RunnerGate {
    type JoinStream = ReceiverStream<Result<pb::GatewayMessage, Status>>;
    type AttachStream = ReceiverStream<Result<pb::AttachDown, Status>>;
    type FetchStream = Chunks;

    async fn join(
        &self,
        request: Request<Streaming<pb::RunnerMessage>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let identity = identity(&request)?;
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let arrival = Arrival {
            hub: self.hub.clone(),
            gate: self.gate.clone(),
            identity,
            outgoing,
        };
        let serve = arrival.serve(request.into_inner());
        self.hub.inner.tools.tasks.spawn(serve);
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn attach(
        &self,
        request: Request<Streaming<pb::AttachUp>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let identity = identity(&request)?;
        let messages = self.deliver(&identity, request.into_inner()).await?;
        Ok(Response::new(messages))
    }

    async fn fetch(
        &self,
        request: Request<pb::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let identity = identity(&request)?;
        let chunks = self.snapshots.give(&identity, request.into_inner());
        Ok(Response::new(chunks.await?))
    }
}

/// The runner whose join token the guard checked.
fn identity<T>(request: &Request<T>) -> Result<RunnerIdentity, Status> {
    let found = request.extensions().get::<RunnerIdentity>().cloned();
    // The guard stands before every service that asks for this.
    found.ok_or_else(|| Status::internal("the call passed no guard"))
}

/// A connection whose runner has not said anything yet.
#[derive(Debug)]
struct Arrival {
    hub: Hub,
    gate: Gate,
    identity: RunnerIdentity,
    outgoing: Outgoing,
}

/// What a runner said first.
#[derive(Debug)]
struct Greeting {
    opening: Opening,
    report: Report,
    surroundings: Option<Surroundings>,
    held: BTreeSet<SandboxId>,
    is_deleting: bool,
}

/// Why a runner was not let in.
enum Turned {
    /// It should try again later.
    Waiting(pb::Waiting),
    /// It should not have come like this.
    Away(Status),
}

impl Arrival {
    async fn serve(self, mut incoming: Streaming<pb::RunnerMessage>) {
        let stop = self.hub.inner.tools.stop.clone();
        let greeted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            greeted = self.greet(&mut incoming) => greeted,
        };
        let entered = match greeted {
            Ok(greeting) => self.enter(greeting).await,
            Err(turned) => Err(turned),
        };
        let (session, greeting) = match entered {
            Ok(entered) => entered,
            Err(turned) => return self.turn_away(turned).await,
        };
        info!(runner.id = %session.runner_id, version = session.version, "runner connected");
        let loss = self.work(&session, greeting, incoming).await;
        session.end();
        self.hub.leave(&session);
        warn!(runner.id = %session.runner_id, reason = %loss, "runner disconnected");
        // The runner may be gone; then there is nobody to tell.
        let _ = self.outgoing.try_send(Err(loss.into()));
    }

    async fn turn_away(self, turned: Turned) {
        let message = match turned {
            Turned::Waiting(waiting) => Ok(pb::GatewayMessage {
                message: Some(ToRunner::Waiting(waiting)),
            }),
            Turned::Away(status) => {
                warn!(cluster = %self.identity.cluster, reason = status.message(), "turned a runner away");
                Err(status)
            }
        };
        let _ = self.outgoing.send(message).await;
    }

    async fn greet(&self, incoming: &mut Streaming<pb::RunnerMessage>) -> Result<Greeting, Turned> {
        let first = time::timeout(GREETING_LIMIT, incoming.message())
            .await
            .map_err(|_| away(Status::deadline_exceeded("no greeting came")))?
            .map_err(Turned::Away)?;
        let Some(FromRunner::Hello(hello)) = first.and_then(|first| first.message) else {
            let status = Status::invalid_argument("the first message must be a greeting");
            return Err(away(status));
        };
        let store = &self.hub.inner.tools.store;
        let RunnerIdentity {
            organization,
            cluster,
            token: _,
        } = &self.identity;
        match store.get_runner_of_cluster(organization, cluster).await {
            Ok(runner) => self.read(hello, &runner),
            Err(GetError::NotFound) => Err(self.wait(&hello).await),
            Err(GetError::Fault(fault)) => Err(store_is_away(&fault)),
        }
    }

    /// What a runner is told whose cluster has no object.
    async fn wait(&self, hello: &pb::Hello) -> Turned {
        let RunnerIdentity {
            organization,
            cluster,
            token: _,
        } = &self.identity;
        let store = &self.hub.inner.tools.store;
        match abandoned::of(&**store, organization, &hello.sandbox_ids).await {
            Ok(abandoned_ids) => {
                let kept = hello.sandbox_ids.len().saturating_sub(abandoned_ids.len());
                let kept = match kept {
                    0 => String::new(),
                    kept => format!("; sandboxes that are not known to be over stay: {kept}"),
                };
                Turned::Waiting(pb::Waiting {
                    reason: format!(
                        "organization {organization} has no managed runner for cluster {cluster}{kept}"
                    ),
                    abandoned_ids,
                })
            }
            Err(fault) => store_is_away(&fault),
        }
    }

    fn read(&self, hello: pb::Hello, runner: &Runner) -> Result<Greeting, Turned> {
        let pb::Hello {
            protocol,
            version,
            instance_id,
            capabilities: can,
            capacity: has,
            sandbox_ids,
            surroundings: lies_around,
            home_id,
            rooms: has_left,
        } = hello;
        if protocol == 0 {
            let status = Status::failed_precondition("the runner speaks no known protocol");
            return Err(away(status));
        }
        Ok(Greeting {
            opening: Opening {
                identity: self.identity.clone(),
                uid: runner.uid,
                runner_id: runner.id.clone(),
                instance: cut(instance_id),
                home: cut(home_id),
                version: cut(version),
                connected_at: self.hub.inner.tools.now(),
            },
            report: Report {
                capabilities: capabilities(can.unwrap_or_default()),
                capacity: capacity(has.unwrap_or_default()),
                rooms: rooms(has_left.unwrap_or_default()),
            },
            surroundings: lies_around.and_then(surroundings),
            held: sandbox_ids
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect(),
            is_deleting: runner.deleting_since.is_some(),
        })
    }

    async fn enter(&self, greeting: Greeting) -> Result<(Arc<Session>, Entered), Turned> {
        let Greeting {
            opening,
            report,
            surroundings,
            held,
            is_deleting,
        } = greeting;
        let ended = self.hub.inner.tools.stop.child_token();
        let session = Arc::new(Session::new(opening, self.outgoing.clone(), ended));
        session.put_surroundings(surroundings);
        let lacking = self.hub.lacking(&session, &held).await;
        let lacking = lacking.map_err(|error| {
            warn!(%error, "could not look for what a runner should hold");
            away(Status::unavailable("the store is not available"))
        })?;
        let report = Arc::new(report);
        let said = report.clone();
        self.hub
            .enter(&session, lacking, |live| {
                live.report = Some(said);
                live.presence = Presence::Connected;
                live.is_draining = is_deleting;
            })
            .map_err(|barred| away(Status::already_exists(barred.to_string())))?;
        let entered = Entered {
            report,
            held,
            is_deleting,
        };
        Ok((session, entered))
    }

    /// Runs the three loops until the first of them ends.
    async fn work(
        &self,
        session: &Arc<Session>,
        entered: Entered,
        incoming: Streaming<pb::RunnerMessage>,
    ) -> Loss {
        let Entered {
            report,
            held,
            is_deleting,
        } = entered;
        let (heard, observations) = mpsc::channel(OBSERVATIONS_MAX);
        let mut driver = Driver::new(self.hub.clone(), session.clone());
        let recorder = Recorder::new(self.hub.clone(), session.clone(), observations);
        let listener = Listener {
            hub: self.hub.clone(),
            gate: self.gate.clone(),
            session: session.clone(),
            report,
            heard,
        };
        let drive = async move {
            if let Err(loss) = driver.welcome(&held).await {
                return loss;
            }
            if is_deleting {
                session.drain();
            }
            driver.run().await
        };
        // Whatever is dropped here is said again over the next connection.
        tokio::select! {
            biased;
            () = session.ended() => Loss::GivenUp,
            loss = listener.run(incoming) => loss,
            loss = recorder.run() => loss,
            loss = drive => loss,
        }
    }
}

/// What is left of a greeting once its session has its place.
#[derive(Debug)]
struct Entered {
    report: Arc<Report>,
    held: BTreeSet<SandboxId>,
    is_deleting: bool,
}

/// Takes in what a runner says.
#[derive(Debug)]
struct Listener {
    hub: Hub,
    gate: Gate,
    session: Arc<Session>,
    report: Arc<Report>,
    heard: mpsc::Sender<pb::Observation>,
}

impl Listener {
    async fn run(mut self, mut incoming: Streaming<pb::RunnerMessage>) -> Loss {
        let silence_max = self.hub.inner.tools.config.silence_max;
        loop {
            let message = match time::timeout(silence_max, incoming.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Loss::Closed,
                Ok(Err(status)) => return Loss::Broken(status),
                Err(_) => return Loss::Silent,
            };
            self.session.heard(self.hub.inner.tools.now());
            if let Err(loss) = self.hear(message).await {
                return loss;
            }
        }
    }

    async fn hear(&mut self, message: pb::RunnerMessage) -> Result<(), Loss> {
        match message.message {
            Some(FromRunner::Observation(observation)) => {
                // A recorder that is behind slows the runner down.
                let heard = self.heard.send(observation).await;
                heard.map_err(|_| Loss::GivenUp)
            }
            Some(FromRunner::Heartbeat(heartbeat)) => {
                self.heartbeat(heartbeat);
                self.still_let_in().await
            }
            Some(FromRunner::SyncDone(pb::SyncDone {})) => Ok(()),
            Some(FromRunner::Hello(_)) | None => Err(Loss::Nonsense),
        }
    }

    fn heartbeat(&mut self, heartbeat: pb::Heartbeat) {
        let pb::Heartbeat {
            capabilities: can,
            capacity: has,
            usage,
            surroundings: lies_around,
            denials,
            rooms: has_left,
        } = heartbeat;
        for said in denials {
            self.take_down(said);
        }
        let usage: HashMap<_, _> = usage.into_iter().filter_map(usage_of).collect();
        self.session.put_usage(usage);
        if let Some(lies_around) = lies_around {
            self.session.put_surroundings(surroundings(lies_around));
        }
        // What could not be measured this time is as it was.
        let report = Report {
            capabilities: can.map_or_else(|| self.report.capabilities.clone(), capabilities),
            capacity: has.map_or(self.report.capacity, capacity),
            rooms: has_left.map_or_else(|| self.report.rooms.clone(), rooms),
        };
        if *self.report != report {
            self.report = Arc::new(report);
            let report = self.report.clone();
            self.hub
                .update_if_present(&self.session, |live| live.report = Some(report));
        }
        let session = &self.session;
        let picture = &self.hub.inner.picture;
        picture.settle(&session.organization, session.uid);
    }
}

impl Listener {
    /// A join token that was revoked or has expired meanwhile ends what it opened.
    async fn still_let_in(&self) -> Result<(), Loss> {
        match self.gate.holds(self.session.identity.token).await {
            Err(ApiError { refusal, .. }) if refusal.reason == Reason::Unauthenticated => {
                Err(Loss::Barred(refusal.message))
            }
            // A store that is away takes no runner's place.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn take_down(&self, said: pb::Denials) {
        match palisade_wire::runner::denials(said) {
            Ok((id, denials)) => {
                let organization = &self.session.organization;
                self.hub.inner.denials.put(organization, id, denials);
            }
            Err(error) => {
                warn!(runner.id = %self.session.runner_id, %error, "left out what cannot be read");
            }
        }
    }
}

fn usage_of(usage: pb::Usage) -> Option<(SandboxId, UsageNow)> {
    let pb::Usage {
        sandbox_id,
        cpu_millis,
        memory_bytes,
    } = usage;
    let now = UsageNow {
        cpu_millis,
        memory_bytes,
    };
    Some((sandbox_id.parse().ok()?, now))
}

fn away(status: Status) -> Turned {
    Turned::Away(status)
}

fn store_is_away(fault: &Fault) -> Turned {
    warn!(error = %fault, "could not look a runner up");
    away(Status::unavailable("the store is not available"))
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
    text
}
