//! Putting a gateway together, running it and ending it.
//!
//! The services are one router for a server to serve beside REST; the tasks run
//! under [`Gateway::run`], which ends with the first of them that does by itself.
//! Ending it ends the connections of runners and leaves sandboxes as they are.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use palisade_model::clock::{Clock, Ids};
use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_secrets::Secrets;
use palisade_store::Store;
use palisade_wire::proto::DESCRIPTORS;
use palisade_wire::proto::runner_v1::runner_service_server::RunnerServiceServer;
use palisade_wire::proto::v1beta2::discovery_service_server::DiscoveryServiceServer;
use palisade_wire::proto::v1beta2::gateway_service_server::GatewayServiceServer;
use palisade_wire::proto::v1beta2::secret_store_service_server::SecretStoreServiceServer;
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};
use tokio::task::{JoinError, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower::{Service, ServiceExt as _};
use tracing::{info, warn};

use crate::access::Access;
use crate::auth::Gate;
use crate::config::GatewayConfig;
use crate::data::DataPlane;
use crate::follow::{Follower, Progress};
use crate::guard::{self, Guard};
use crate::hub::{Hub, RunnerGate};
use crate::picture::Picture;
use crate::queue::Queue;
use crate::rest;
use crate::service::{Admission, Discovery, Repeats, SandboxService, SecretStores};
use crate::snapshots::{SnapshotUpkeep, Snapshots};
use crate::tools::Tools;
use crate::upkeep::Upkeep;
use crate::visits::{Doorkeeper, Visits};

/// The largest message in either direction.
pub(crate) const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// How long tasks may take to end when the gateway ends.
const DRAIN: Duration = Duration::from_secs(5);

/// A task of the gateway ended by itself, which none should: what it keeps would not be
/// kept any more.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It came to its end.
    #[error("a task of the gateway ended by itself")]
    Ended,
    /// It broke down.
    #[error("a task of the gateway broke down")]
    BrokeDown(#[from] JoinError),
}

/// A gateway over one store.
#[derive(Debug)]
pub struct Gateway {
    tools: Tools,
    picture: Picture,
    hub: Hub,
    follower: Follower,
    progress: Progress,
    queue: Queue,
    health: HealthReporter,
    snapshots: Snapshots,
    doorkeeper: Doorkeeper,
    router: Router,
    rest: Router,
}

/// What a control plane may ask a gateway about. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveView {
    hub: Hub,
    picture: Picture,
    progress: Progress,
    queue: Queue,
}

impl LiveView {
    /// What is known of the process behind a runner; at once, out of memory.
    pub fn observe(&self, runner: RunnerUid) -> RunnerObservation {
        self.hub.observe(runner)
    }

    /// The fleet that sandboxes are placed from, with what is set aside in it; a
    /// snapshot, at once, out of memory.
    pub fn fleet(&self) -> Fleet {
        self.picture.fleet()
    }

    /// What lies around the sandboxes of a connected runner; at once, out of
    /// memory.
    pub fn surroundings(&self, runner: RunnerUid) -> Option<Surroundings> {
        self.hub.surroundings(runner)
    }

    /// What was refused to a sandbox on the network; at once, out of memory.
    pub fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        self.hub.denials(organization, id)
    }

    /// What was refused to the sandboxes of a profile; at once, out of memory.
    pub fn profile_denials(&self, organization: &OrganizationId, id: ProfileId) -> DenialTotals {
        self.hub.profile_denials(organization, id)
    }

    /// What was refused to the sandboxes of every profile of which anything was
    /// heard, in the order in which that was first so; at once, out of memory.
    pub fn denials_by_profile(&self) -> Vec<(OrganizationId, ProfileId, DenialTotals)> {
        self.hub.denials_by_profile()
    }

    /// The starts of an organization that wait for room here; at once, out of
    /// memory.
    pub fn waiting(&self, organization: &OrganizationId) -> StartQueue {
        self.queue.seen(organization)
    }

    /// Whether the gateway has read everything and admits sandboxes.
    pub fn is_ready(&self) -> bool {
        self.progress.is_ready()
    }

    /// Waits until the gateway admits sandboxes; whoever waits sets the limit.
    pub async fn ready(&self) {
        self.progress.ready().await;
    }
}

impl Gateway {
    /// Puts a gateway together; nothing happens yet.
    pub fn new(
        config: GatewayConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        let secrets = Secrets::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&ids),
            config.secrets.clone(),
        );
        let tools = Tools {
            config: Arc::new(config),
            store,
            clock,
            ids,
            secrets,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let picture = Picture::default();
        let hub = Hub::new(tools.clone(), picture.clone());
        let gate = Gate::new(tools.clone());
        let (follower, progress) =
            Follower::new(tools.clone(), picture.clone(), gate.clone(), hub.clone());
        let queue = Queue::default();
        let snapshots = Snapshots::new(tools.clone(), hub.clone());
        let admission = Admission {
            tools: tools.clone(),
            picture: picture.clone(),
            progress: progress.clone(),
            hub: hub.clone(),
            queue: queue.clone(),
            snapshots: snapshots.clone(),
            repeats: Repeats::default(),
        };
        let (health, health_service) = health_reporter();
        let doorkeeper = Doorkeeper {
            tools: tools.clone(),
            gate: gate.clone(),
            visits: Visits::default(),
        };
        let (router, rest) = routers(admission, gate, doorkeeper.visits.clone());
        let router = router.merge(open_routes(health_service));
        Self {
            tools,
            picture,
            hub,
            follower,
            progress,
            queue,
            health,
            snapshots,
            doorkeeper,
            router,
            rest,
        }
    }

    /// The calls that are answered once, as REST.
    pub fn rest(&self) -> Router {
        self.rest.clone()
    }

    /// The services, for a server to serve; whatever is gRPC belongs here.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// What a control plane may ask.
    pub fn live(&self) -> LiveView {
        LiveView {
            hub: self.hub.clone(),
            picture: self.picture.clone(),
            progress: self.progress.clone(),
            queue: self.queue.clone(),
        }
    }

    /// Runs the tasks of the gateway until `stop`, or until one ends by itself, and ends
    /// them.
    pub async fn run(self, stop: CancellationToken) -> Result<(), TaskError> {
        let Self {
            tools,
            picture,
            hub,
            follower,
            progress,
            queue: _,
            health,
            snapshots,
            doorkeeper,
            router: _,
            rest: _,
        } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.run());
        let upkeep = Upkeep {
            tools: tools.clone(),
            picture,
            hub,
        };
        tasks.spawn(upkeep.run());
        tasks.spawn(doorkeeper.run());
        if snapshots.settings().is_ok() {
            tasks.spawn(SnapshotUpkeep(snapshots).run());
        }
        tasks.spawn(tell_health(health, progress, tools.stop.clone()));
        info!("gateway started");
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            Some(ended) = tasks.join_next() => match ended {
                Ok(()) => Err(TaskError::Ended),
                Err(error) => Err(error.into()),
            },
        };
        tools.stop.cancel();
        tools.tasks.close();
        let drain = async {
            while tasks.join_next().await.is_some() {}
            tools.tasks.wait().await;
        };
        if time::timeout(DRAIN, drain).await.is_err() {
            let left = tasks.len() + tools.tasks.len();
            warn!(left, "tasks of the gateway did not end in time");
        }
        info!("gateway stopped");
        ended
    }
}

/// Says that the gateway serves, once it does and for as long as it does.
async fn tell_health(health: HealthReporter, progress: Progress, stop: CancellationToken) {
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
    if stop.run_until_cancelled(progress.ready()).await.is_some() {
        health.set_service_status("", ServingStatus::Serving).await;
        stop.cancelled().await;
    }
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
}

/// The services that ask who is calling, and those of them that REST has too.
fn routers(admission: Admission, gate: Gate, visits: Visits) -> (Router, Router) {
    let tools = admission.tools.clone();
    let hub = admission.hub.clone();
    let snapshots = admission.snapshots.clone();
    let discovery = Discovery {
        picture: admission.picture.clone(),
        hub: hub.clone(),
    };
    let access = Access::new(tools.clone(), hub.clone());
    let data = DataPlane::new(&tools, access.clone(), visits);
    let stores = SecretStores::new(tools.secrets.clone());
    let sandboxes = SandboxService::new(admission, access, data.clone());
    let guard = Guard::new(&tools, gate.clone());
    let calls = serving(
        GatewayServiceServer::new(sandboxes)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    )
    .merge(serving(
        DiscoveryServiceServer::new(discovery).max_decoding_message_size(MESSAGE_BYTES_MAX),
    ))
    .merge(serving(
        SecretStoreServiceServer::new(stores).max_decoding_message_size(MESSAGE_BYTES_MAX),
    ));
    let rest = rest::router(calls.clone(), guard.clone());
    let calls = calls.layer(from_fn_with_state(guard.clone(), guard::call));
    let streams = serving(data.streaming()).merge(serving(data.tunnels()));
    let streams = streams.layer(from_fn_with_state(guard.clone(), guard::stream));
    let runners = serving(
        RunnerServiceServer::new(RunnerGate::new(hub, gate, snapshots))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    )
    .layer(from_fn_with_state(guard, guard::runner));
    let grpc = calls.merge(streams).merge(runners);
    (grpc.fallback(guard::nowhere), rest)
}

/// The services that anybody may ask.
fn open_routes<H>(health: H) -> Router
where
    H: GrpcService,
    H::Future: Send + 'static,
{
    let mut router = serving(health);
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
    };
    match (descriptors().build_v1(), descriptors().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => router = router.merge(serving(v1)).merge(serving(v1alpha)),
        (Err(error), _) | (_, Err(error)) => {
            warn!(%error, "the descriptors cannot be read; there is no reflection");
        }
    }
    router
}

/// A service under its own path.
fn serving<S>(service: S) -> Router
where
    S: GrpcService,
    S::Future: Send + 'static,
{
    let path = format!("/{}/{{*rest}}", S::NAME);
    let service = service.map_request(|request: axum::extract::Request| request.map(Body::new));
    Router::new().route_service(&path, service)
}

/// What a generated server is.
trait GrpcService:
    Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = std::convert::Infallible,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}
