//! The whole platform in this process: control plane, gateway, and a runner whose
//! sandboxes are simulated.
//!
//! The program reaches it through a wire that a test can cut.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use palisade_backend::fake::{self, Fake, World};
use palisade_control_plane::{ControlPlane, RunnerLive, router};
use palisade_gateway::{Gateway, GatewayConfig, LiveView};
use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_model::profile::{EgressType, ServiceType};
use palisade_model::runner::{Capabilities, Resources, SecretSupport};
use palisade_model::token::Grant;
use palisade_runner::{Dial, Runner, RunnerConfig};
use palisade_secrets::{KeyFile, SecretSettings};
use palisade_wire::headers::is_grpc;
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};
use tokio::time;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;

use crate::rig::{Parts, Plane, Ran};
use crate::wire::Wire;

/// The longest that any state is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A profile with two egress modes and a level, whose image exists.
const AGENTS: &str = "\
display_name: agents
description: For tests
labels: { team: ml }
spec:
  container_image: IMAGE
  resource_defaults: { cpuRequest: '1', cpuLimit: '1', memoryRequest: 1Gi, memoryLimit: 1Gi }
  resource_ceiling: { cpu: '8', memory: 16Gi }
  network:
    egress:
      default: deny-all
      modes:
        deny-all: { type: none }
        internet: { type: internet }
    ingress:
      internal: { scope: org, service: { serviceType: ClusterIP } }
";

/// The platform, used like the control plane that is a part of it.
pub(crate) struct Platform {
    plane: Plane,
    /// The sandboxes, as they are simulated.
    pub(crate) world: Arc<World>,
    /// Between the gateway and the runner.
    pub(crate) link: Wire,
}

impl Deref for Platform {
    type Target = Plane;

    fn deref(&self) -> &Plane {
        &self.plane
    }
}

#[derive(Debug)]
struct Live(LiveView);

impl RunnerLive for Live {
    fn observe(&self, uid: RunnerUid) -> RunnerObservation {
        self.0.observe(uid)
    }

    fn fleet(&self) -> Fleet {
        self.0.fleet()
    }

    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings> {
        self.0.surroundings(uid)
    }

    fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        self.0.denials(organization, id)
    }

    fn profile_denials(&self, organization: &OrganizationId, id: ProfileId) -> DenialTotals {
        self.0.profile_denials(organization, id)
    }

    fn waiting(&self, organization: &OrganizationId) -> StartQueue {
        self.0.waiting(organization)
    }
}

impl Platform {
    /// A platform with the profile `agents` on the runner `local`, which is
    /// connected.
    pub(crate) async fn start() -> Self {
        let parts = Parts::new().await;
        let (clock, ids) = (parts.clock.clone(), parts.ids.clone());
        let key = KeyFile::create(&parts.home.path().join("secrets.key"), [7; 32]);
        let secrets = SecretSettings {
            keys: Some(key.unwrap()),
            ..SecretSettings::default()
        };
        let config = GatewayConfig {
            heartbeat: Duration::from_millis(200),
            secrets: secrets.clone(),
            ..GatewayConfig::default()
        };
        let gateway = Gateway::new(config, parts.store.clone(), clock.clone(), ids.clone());
        let live = gateway.live();
        let plane = ControlPlane::new(
            parts.store.clone(),
            Arc::new(Live(live.clone())),
            clock.clone(),
            ids,
        )
        .with_secrets(secrets);
        let rest = router(plane).merge(gateway.rest());
        let router = one_port(rest, gateway.router());
        let plane = Plane::serve(parts, router).await;
        let stop = plane.stop.token().clone();
        plane.tasks.spawn(gateway.run(stop.clone()));
        time::timeout(PATIENCE, live.ready()).await.unwrap();

        let document = AGENTS.replace("IMAGE", fake::IMAGE);
        let create = plane.cwic("sandbox profile create -f -");
        let id = create.input(document).run().await.ok().trim().to_owned();
        let runner = plane.runner("local", &id).await;
        let world: Arc<World> = Arc::default();
        let backend = Arc::new(backend(&world));
        let config = RunnerConfig {
            join_token: join_token(&plane).await,
            version: "0.0.1-test".to_owned(),
            instance_id: "instance-1".to_owned(),
            home_id: String::new(),
        };
        let runs = Runner::new(config, backend.clone(), backend, clock);
        let link = Wire::to(plane.address);
        let dial = dial(link.url());
        plane.tasks.spawn(async move {
            runs.run(dial, stop).await.unwrap();
        });
        let uid = RunnerUid::new(runner.parse().unwrap());
        until("the runner connects", async || {
            live.observe(uid).is_connected
        })
        .await;
        Self { plane, world, link }
    }

    /// The id of a sandbox that runs; its main process does what the words say,
    /// see `palisade_backend::fake`.
    pub(crate) async fn sandbox(&self, words: &str) -> String {
        let run = self.cwic(&format!("sandbox run -d -- {words}"));
        run.run().await.ok().trim().to_owned()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        self.cwic(arguments).run().await
    }
}

/// gRPC and REST on one port, as the server serves them.
fn one_port(rest: Router, grpc: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let kind = request.headers().get("content-type");
        let is_grpc = is_grpc(kind.map(HeaderValue::as_bytes));
        let router = if is_grpc { grpc.clone() } else { rest.clone() };
        router.oneshot(request)
    })
}

fn backend(world: &Arc<World>) -> Fake {
    Fake::open(world.clone()).with_capabilities(Capabilities {
        pause: true,
        secrets: SecretSupport::Stores,
        egress: BTreeSet::from([EgressType::None, EgressType::Internet]),
        services: BTreeSet::from([ServiceType::ClusterIp]),
        architectures: BTreeSet::from(["amd64".to_owned()]),
        largest: Resources {
            cpu_millis: 64_000,
            memory_bytes: 256 << 30,
            gpus: 0,
        },
        ..Capabilities::default()
    })
}

async fn join_token(plane: &Plane) -> String {
    let grant = Grant::Runner {
        organization: "acme".parse().unwrap(),
        cluster: "local".parse().unwrap(),
    };
    plane.token_for(grant).await
}

fn dial(url: String) -> Dial {
    Arc::new(move || {
        let url = url.clone();
        Box::pin(async move {
            let endpoint = Endpoint::from_shared(url)?;
            Ok(endpoint.connect().await?.into())
        })
    })
}

/// Waits for a state.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let look = async {
        while !holds().await {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(time::timeout(PATIENCE, look).await.is_ok(), "never: {what}");
}
