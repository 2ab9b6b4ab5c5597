//! A whole installation in one process: a store, gateways and runners.
//!
//! A gateway has a runtime of its own, so that it can be killed at any instant
//! with all its connections, as a process is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::uri::PathAndQuery;
use palisade_backend::Backend as _;
use palisade_backend::fake::{self, Fake, World};
use palisade_gateway::{Gateway, GatewayConfig, LiveView, SessionLimits};
use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::id::{ClusterId, ProfileId, RunnerUid, SandboxId, TokenId};
use palisade_model::name::OrganizationId;
use palisade_model::profile::{EgressType, Profile, Revision, ServiceType, form};
use palisade_model::quota::Quota;
use palisade_model::runner::{
    Binding, Bindings, Capabilities, Capacity, PortSupport, Resources, Runner as RunnerRecord,
    RunnerSettings, SecretSupport,
};
use palisade_model::tenant::{Organization, Role};
use palisade_model::token::{Grant, PresentedToken, TokenRecord};
use palisade_runner::{Dial, Runner, RunnerConfig};
use palisade_store::profile::NewProfile;
use palisade_store::runner::{ClusterChoice, NewRunner};
use palisade_store::{
    Organizations as _, Profiles as _, Runners as _, SqliteStore, Stamp, Tokens as _,
};
use palisade_wire::http2::{
    CONNECTION_WINDOW, FRAME_BYTES_MAX, STREAM_WINDOW, STREAMS_MAX, as_much_both_ways,
};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::discovery_service_client::DiscoveryServiceClient;
use palisade_wire::proto::v1beta2::gateway_service_client::GatewayServiceClient;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, Routes};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// The longest that any state is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the text parses to; the tests use valid names.
pub(crate) fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Time since the test began.
#[derive(Debug)]
struct TestClock(time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        // As that of a `World`, so that ages can be told.
        Timestamp::EPOCH.saturating_add(self.0.elapsed())
    }
}

/// Ids in the order of their making.
#[derive(Debug, Default)]
pub(crate) struct TestIds(AtomicU64);

impl Ids for TestIds {
    fn uuid(&self) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(count))
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        secret[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        secret
    }
}

/// The store and all that gateways and runners share.
pub(crate) struct Stage {
    directory: TempDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<TestIds>,
    pub(crate) store: SqliteStore,
    /// Where runners dial.
    address: Arc<Mutex<SocketAddr>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    instances: AtomicI64,
}

/// The usual stage with all that it was made of.
pub(crate) struct Begun {
    pub(crate) stage: Stage,
    /// Of the one runner, and the token by which it joins.
    pub(crate) uid: RunnerUid,
    pub(crate) join: PresentedToken,
    pub(crate) gateway: GatewayProcess,
    pub(crate) runner: RunnerProcess,
    pub(crate) client: Client,
}

/// A gateway that can be killed.
pub(crate) struct GatewayProcess {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
    pub(crate) live: LiveView,
    stop: CancellationToken,
}

/// A runner that can be ended; what it ran goes on without it.
pub(crate) struct RunnerProcess {
    pub(crate) world: Arc<World>,
    stop: CancellationToken,
}

impl Stage {
    /// A store with one organization, acme, and nothing else.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("palisade.db"))
            .await
            .unwrap();
        let stage = Self {
            directory,
            clock: Arc::new(TestClock(time::Instant::now())),
            ids: Arc::default(),
            store,
            address: Arc::new(Mutex::new((Ipv4Addr::LOCALHOST, 1).into())),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            instances: AtomicI64::new(1),
        };
        stage.organization("acme").await;
        stage
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("palisade.db")
    }

    /// Whether a text is anywhere in the files of the database.
    pub(crate) fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let contents = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let mut contents = contents.filter(|bytes| bytes.len() >= text.len());
        contents.any(|bytes| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            by: parsed("ada"),
            at: self.clock.now(),
        }
    }

    pub(crate) async fn organization(&self, id: &str) {
        let organization = Organization {
            id: parsed(id),
            quota: Quota::default(),
            revision: Revision::FIRST,
            created_at: self.clock.now(),
        };
        self.store.create_organization(organization).await.unwrap();
    }

    /// A token for a user of an organization.
    pub(crate) async fn token(&self, organization: &str) -> PresentedToken {
        self.token_of(organization, "ada").await
    }

    /// A token for this user of an organization.
    pub(crate) async fn token_of(&self, organization: &str, user: &str) -> PresentedToken {
        let grant = Grant::Caller {
            organization: parsed(organization),
            user: parsed(user),
            role: Role::SandboxUser,
        };
        self.grant(grant).await
    }

    /// A token for an administrator of an organization.
    pub(crate) async fn admin_token(&self, organization: &str) -> PresentedToken {
        let grant = Grant::Caller {
            organization: parsed(organization),
            user: parsed("root"),
            role: Role::SandboxAdmin,
        };
        self.grant(grant).await
    }

    /// A token by which the runner of a cluster of acme joins.
    pub(crate) async fn join_token(&self, cluster: &str) -> PresentedToken {
        let grant = Grant::Runner {
            organization: parsed("acme"),
            cluster: parsed(cluster),
        };
        self.grant(grant).await
    }

    /// A token for the usual user of acme that expires after a while.
    pub(crate) async fn token_for(&self, time: Duration) -> PresentedToken {
        let grant = Grant::Caller {
            organization: parsed("acme"),
            user: parsed("ada"),
            role: Role::SandboxUser,
        };
        let expires_at = self.clock.now().saturating_add(time);
        self.grant_until(grant, Some(expires_at)).await
    }

    /// Takes a token of acme away, as somebody does who has the store and no gateway.
    pub(crate) async fn revoke(&self, token: &PresentedToken) {
        let organization = parsed("acme");
        let revoked = self.store.revoke_token(&organization, token.id());
        revoked.await.unwrap();
    }

    async fn grant(&self, grant: Grant) -> PresentedToken {
        self.grant_until(grant, None).await
    }

    async fn grant_until(&self, grant: Grant, expires_at: Option<Timestamp>) -> PresentedToken {
        let token = PresentedToken::new(TokenId::new(self.ids.uuid()), self.ids.secret());
        let record = TokenRecord {
            id: token.id(),
            hash: token.hash(),
            grant,
            description: String::new(),
            created_at: self.clock.now(),
            expires_at,
        };
        self.store.create_token(record).await.unwrap();
        token
    }

    /// A profile of acme with an egress mode for nothing and one for the
    /// internet, and a level inside the organization.
    pub(crate) async fn profile(&self, name: &str) -> Profile {
        let spec = form::decode(&serde_json::json!({
            "container_image": fake::IMAGE,
            "tags": ["fake", name],
            "resource_defaults": {
                "cpuRequest": "1", "cpuLimit": "1", "memoryRequest": "1Gi", "memoryLimit": "1Gi",
            },
            "resource_ceiling": { "cpu": "8", "memory": "16Gi" },
            "network": {
                "egress": {
                    "default": "closed",
                    "modes": { "closed": { "type": "none" }, "internet": { "type": "internet" } },
                },
                "ingress": {
                    "internal": { "scope": "org", "service": { "serviceType": "ClusterIP" } },
                },
            },
        }))
        .unwrap();
        let profile = NewProfile {
            id: ProfileId::new(self.ids.uuid()),
            display_name: parsed(name),
            description: String::new(),
            labels: BTreeMap::default(),
            spec,
        };
        self.store
            .create_profile(&parsed("acme"), profile, self.stamp())
            .await
            .unwrap()
    }

    /// A runner of acme that offers one profile, for the cluster of its name.
    pub(crate) async fn runner_record(&self, id: &str, profile: ProfileId) -> RunnerRecord {
        let bindings = Bindings::new(vec![Binding {
            profile,
            alias: None,
            is_default: true,
            overrides: None,
        }]);
        let runner = NewRunner {
            uid: RunnerUid::new(self.ids.uuid()),
            id: parsed(id),
            display_name: String::new(),
            zone: parsed("zone-1"),
            cluster: ClusterChoice::Named {
                name: parsed(id),
                id_if_new: ClusterId::new(self.ids.uuid()),
            },
            group: parsed("default"),
            settings: RunnerSettings::default(),
            bindings: bindings.unwrap(),
            judged: None,
        };
        let organization: OrganizationId = parsed("acme");
        self.store
            .create_runner(&organization, runner, self.stamp())
            .await
            .unwrap()
    }

    /// The runner `local` as it is recorded.
    pub(crate) async fn local(&self) -> RunnerRecord {
        let (organization, runner) = (parsed("acme"), parsed("local"));
        let found = self.store.get_runner(&organization, &runner);
        found.await.unwrap()
    }

    /// A gateway that runners dial from now on.
    pub(crate) async fn gateway(&self, config: GatewayConfig) -> GatewayProcess {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (told, address) = oneshot::channel();
        let stop = CancellationToken::new();
        let (path, clock, ids) = (self.path(), self.clock.clone(), self.ids.clone());
        let until = stop.clone();
        runtime.spawn(async move {
            let store = Arc::new(SqliteStore::open(path).await.unwrap());
            let gateway = Gateway::new(config, store, clock, ids);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let _ = told.send((listener.local_addr().unwrap(), gateway.live()));
            let routes = Routes::from(gateway.router().merge(gateway.rest()));
            // As much on one connection as a server of ours takes.
            let serve = Server::builder()
                .accept_http1(true)
                .max_concurrent_streams(STREAMS_MAX)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME_BYTES_MAX)
                .add_routes(routes)
                .serve_with_incoming(TcpIncoming::from(listener));
            tokio::select! {
                ended = gateway.run(until) => ended.unwrap(),
                served = serve => served.unwrap(),
            }
        });
        let (address, live) = address.await.unwrap();
        *self.address.lock().unwrap() = address;
        time::timeout(PATIENCE, live.ready()).await.unwrap();
        GatewayProcess {
            runtime: Some(runtime),
            address,
            live,
            stop,
        }
    }

    /// A runner over a world, with room for everything.
    pub(crate) fn runner(&self, token: &PresentedToken, world: &Arc<World>) -> RunnerProcess {
        self.runner_with(token, world, 10_000)
    }

    /// A runner over a world, with room for so many sandboxes.
    pub(crate) fn runner_with(
        &self,
        token: &PresentedToken,
        world: &Arc<World>,
        sandboxes_max: u32,
    ) -> RunnerProcess {
        self.runner_over(token, world, backend(world, sandboxes_max))
    }

    /// A runner over a backend of its own.
    pub(crate) fn runner_over(
        &self,
        token: &PresentedToken,
        world: &Arc<World>,
        backend: Fake,
    ) -> RunnerProcess {
        let backend = Arc::new(backend);
        let instance = self.instances.fetch_add(1, Ordering::Relaxed);
        let config = RunnerConfig {
            join_token: token.reveal(),
            version: "0.0.1-test".to_owned(),
            instance_id: format!("instance-{instance}"),
            // A world is where its sandboxes are.
            home_id: format!("{:p}", Arc::as_ptr(world)),
        };
        let runner = Runner::new(config, backend.clone(), backend, self.clock.clone());
        let stop = self.stop.child_token();
        let until = stop.clone();
        let dial = self.dial();
        self.tasks.spawn(async move {
            runner.run(dial, until).await.unwrap();
        });
        RunnerProcess {
            world: world.clone(),
            stop,
        }
    }

    fn dial(&self) -> Dial {
        let address = self.address.clone();
        Arc::new(move || {
            let address = *address.lock().unwrap();
            Box::pin(async move {
                let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
                Ok(as_much_both_ways(endpoint).connect().await?.into())
            })
        })
    }

    /// A stage before anything runs: the record of runner `local`, which binds profile `ci`,
    /// and the token by which it may join.
    pub(crate) async fn awaiting_runner() -> (Self, RunnerRecord, PresentedToken) {
        let stage = Self::new().await;
        let profile = stage.profile("ci").await;
        let record = stage.runner_record("local", profile.id).await;
        let join = stage.join_token("local").await;
        (stage, record, join)
    }

    /// The usual stage: profile `ci` on runner `local`, a gateway and a client.
    pub(crate) async fn usual() -> (Self, GatewayProcess, RunnerProcess, Client) {
        Self::configured(config()).await
    }

    /// The usual one, with a gateway that is configured like this.
    pub(crate) async fn configured(
        config: GatewayConfig,
    ) -> (Self, GatewayProcess, RunnerProcess, Client) {
        let Begun {
            stage,
            gateway,
            runner,
            client,
            ..
        } = Begun::configured(config).await;
        (stage, gateway, runner, client)
    }
}

impl Begun {
    pub(crate) async fn usual() -> Self {
        Self::configured(config()).await
    }

    async fn configured(config: GatewayConfig) -> Self {
        let (stage, record, join) = Stage::awaiting_runner().await;
        let gateway = stage.gateway(config).await;
        let runner = stage.runner(&join, &Arc::default());
        gateway.connected(record.uid).await;
        let client = gateway.client(&stage.token("acme").await).await;
        Self {
            stage,
            uid: record.uid,
            join,
            gateway,
            runner,
            client,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Quick heartbeats, so that nobody waits for one, and commands without a client
/// that are not kept for long.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig {
        heartbeat: Duration::from_millis(200),
        exec_sessions: SessionLimits {
            kept: Duration::from_secs(5),
            ..SessionLimits::default()
        },
        ..GatewayConfig::default()
    }
}

fn backend(world: &Arc<World>, sandboxes_max: u32) -> Fake {
    let largest = Resources {
        cpu_millis: 64_000,
        memory_bytes: 256 << 30,
        gpus: 0,
    };
    let total = Resources {
        cpu_millis: 1_000_000,
        memory_bytes: 1 << 42,
        gpus: 0,
    };
    Fake::open(world.clone())
        .with_capabilities(Capabilities {
            egress: BTreeSet::from([EgressType::None, EgressType::Internet]),
            services: BTreeSet::from([ServiceType::ClusterIp]),
            architectures: BTreeSet::from(["amd64".to_owned()]),
            pause: true,
            secrets: SecretSupport::Stores,
            largest,
            ports: PortSupport {
                sctp: false,
                max: Some(128),
            },
            memory_bytes_min: Capabilities::MEMORY_BYTES_MIN,
            ..Capabilities::default()
        })
        .with_capacity(Capacity {
            total,
            sandboxes_max,
        })
}

pub(crate) async fn channel(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    endpoint.connect().await
}

impl GatewayProcess {
    /// Kills it with all its connections.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// A client with a token.
    pub(crate) async fn client(&self, token: &PresentedToken) -> Client {
        self.client_saying(&format!("Bearer {}", token.reveal()))
            .await
    }

    /// A client that says this about itself.
    pub(crate) async fn client_saying(&self, authorization: &str) -> Client {
        Client::of(self.address, authorization).await
    }

    /// Calls a method with a message that need not be its own.
    pub(crate) async fn call<M>(
        &self,
        token: &PresentedToken,
        path: &'static str,
        message: M,
    ) -> Result<(), Status>
    where
        M: prost::Message + Default + 'static,
    {
        self.call_saying(token, path, &[], message).await
    }

    /// The same, with more headers.
    pub(crate) async fn call_saying<M>(
        &self,
        token: &PresentedToken,
        path: &'static str,
        headers: &[(&'static str, &str)],
        message: M,
    ) -> Result<(), Status>
    where
        M: prost::Message + Default + 'static,
    {
        let mut grpc = tonic::client::Grpc::new(channel(self.address).await.unwrap());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<M, ()>::default();
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", token.reveal());
        let bearer = bearer.parse::<MetadataValue<Ascii>>().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        for (name, value) in headers {
            let value = value.parse::<MetadataValue<Ascii>>().unwrap();
            request.metadata_mut().append(*name, value);
        }
        let answer = grpc.unary(request, PathAndQuery::from_static(path), codec);
        answer.await.map(drop)
    }

    /// Waits until a runner is connected.
    pub(crate) async fn connected(&self, runner: RunnerUid) {
        until("the runner connects", async || {
            self.live.observe(runner).is_connected
        })
        .await;
    }

    /// Waits until a runner is not connected.
    pub(crate) async fn disconnected(&self, runner: RunnerUid) {
        until("the runner disconnects", async || {
            !self.live.observe(runner).is_connected
        })
        .await;
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RunnerProcess {
    /// How many commands run in a sandbox beside its main process.
    pub(crate) async fn commands(&self, id: SandboxId) -> u64 {
        let usage = Fake::open(self.world.clone()).usage(id).await;
        let pids = usage.and_then(|usage| usage.pids);
        pids.map_or(0, |pids| pids.saturating_sub(1))
    }

    pub(crate) fn end(self) {
        self.stop.cancel();
    }
}

/// Adds what a client says about itself to every call.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Intercepted = InterceptedService<Channel, Bearer>;

/// What a client calls.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) sandboxes: GatewayServiceClient<Intercepted>,
    pub(crate) discovery: DiscoveryServiceClient<Intercepted>,
}

/// A request for a sandbox that does this; see `palisade_backend::fake`.
pub(crate) fn running(words: &str) -> pb::StartSandboxRequest {
    let mut words = words.split(' ').map(str::to_owned);
    pb::StartSandboxRequest {
        command: words.next().unwrap(),
        args: words.collect(),
        ..Default::default()
    }
}

impl Client {
    /// A client, over a connection of its own, that says this about itself.
    pub(crate) async fn of(gateway: SocketAddr, authorization: &str) -> Self {
        let channel = channel(gateway).await.unwrap();
        let bearer = Bearer(authorization.parse().unwrap());
        Self {
            sandboxes: GatewayServiceClient::with_interceptor(channel.clone(), bearer.clone())
                .max_decoding_message_size(100 << 20)
                .max_encoding_message_size(100 << 20),
            discovery: DiscoveryServiceClient::with_interceptor(channel, bearer),
        }
    }

    pub(crate) async fn start(
        &self,
        request: pb::StartSandboxRequest,
    ) -> Result<pb::StartSandboxResponse, Status> {
        let mut client = self.sandboxes.clone();
        Ok(client.start(request).await?.into_inner())
    }

    pub(crate) async fn get(&self, id: &str) -> Result<pb::GetSandboxResponse, Status> {
        let request = pb::GetSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        Ok(self.sandboxes.clone().get(request).await?.into_inner())
    }

    pub(crate) async fn stop(
        &self,
        id: &str,
        grace: i32,
    ) -> Result<pb::StopSandboxResponse, Status> {
        let request = pb::StopSandboxRequest {
            sandbox_id: id.to_owned(),
            graceful_shutdown_seconds: grace,
            ..Default::default()
        };
        Ok(self.sandboxes.clone().stop(request).await?.into_inner())
    }

    pub(crate) async fn pause(&self, id: &str) -> Result<pb::PauseSandboxResponse, Status> {
        let request = pb::PauseSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        Ok(self.sandboxes.clone().pause(request).await?.into_inner())
    }

    pub(crate) async fn resume(&self, id: &str) -> Result<pb::ResumeSandboxResponse, Status> {
        let request = pb::ResumeSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        Ok(self.sandboxes.clone().resume(request).await?.into_inner())
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<pb::DeleteSandboxResponse, Status> {
        let request = pb::DeleteSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        Ok(self.sandboxes.clone().delete(request).await?.into_inner())
    }

    pub(crate) async fn list(
        &self,
        request: pb::ListSandboxesRequest,
    ) -> Result<pb::ListSandboxesResponse, Status> {
        Ok(self.sandboxes.clone().list(request).await?.into_inner())
    }

    /// Waits until the sandbox is in one of the states.
    pub(crate) async fn reaches(
        &self,
        id: &str,
        wanted: &[pb::SandboxStatus],
    ) -> pb::GetSandboxResponse {
        let look = async {
            let mut seen = self.get(id).await.unwrap();
            while !wanted.contains(&seen.sandbox_status()) {
                tick().await;
                seen = self.get(id).await.unwrap();
            }
            seen
        };
        let seen = time::timeout(PATIENCE, look).await;
        seen.unwrap_or_else(|_| panic!("sandbox {id} never was {wanted:?}"))
    }

    pub(crate) async fn runs(&self, id: &str) -> pb::GetSandboxResponse {
        self.reaches(id, &[pb::SandboxStatus::Running]).await
    }

    pub(crate) async fn is_over(&self, id: &str) -> pb::GetSandboxResponse {
        let over = [
            pb::SandboxStatus::Completed,
            pb::SandboxStatus::Failed,
            pb::SandboxStatus::Terminated,
        ];
        self.reaches(id, &over).await
    }
}

/// The reason and the facts of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("every refusal has a reason");
    assert_eq!(info.domain, "cwsandbox.com");
    info.reason.clone()
}

/// One fact of a refusal.
pub(crate) fn fact(status: &Status, key: &str) -> Option<String> {
    let details = status.get_error_details();
    details.error_info()?.metadata.get(key).cloned()
}

/// Waits for a state.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let look = async {
        while !holds().await {
            tick().await;
        }
    };
    assert!(time::timeout(PATIENCE, look).await.is_ok(), "never: {what}");
}

/// The pause between two looks at a state.
pub(crate) async fn tick() {
    time::sleep(Duration::from_millis(10)).await;
}
