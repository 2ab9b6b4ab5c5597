//! A control plane that listens on loopback, and callers of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use palisade_control_plane::{ControlPlane, Deletions, Limits, RunnerLive, router};
use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId, TokenId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::{Fleet, Live};
use palisade_model::policy::Surroundings;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::runner::Runner;
use palisade_model::tenant::{Organization, Role};
use palisade_model::token::{Grant, PresentedToken, TokenRecord};
use palisade_secrets::{KeyFile, SecretSettings};
use palisade_store::{Organizations as _, SqliteStore, Tokens as _};
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) const PROFILES: &str = "/v1beta2/sandbox/profile-templates";
pub(crate) const RUNNERS: &str = "/v1beta2/sandbox/managed-runners";

/// The longest that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A clock that goes on by one microsecond with every look.
#[derive(Debug)]
pub(crate) struct StepClock(AtomicI64);

impl StepClock {
    pub(crate) fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct FreshIds;

impl Ids for FreshIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }
}

/// A fleet of which a test says what is there.
#[derive(Debug, Default)]
pub(crate) struct SaidLive(
    Mutex<Fleet>,
    Mutex<HashMap<RunnerUid, Surroundings>>,
    Mutex<HashMap<OrganizationId, StartQueue>>,
);

impl SaidLive {
    /// From now on, this lies around the sandboxes of a runner.
    pub(crate) fn surround(&self, runner: RunnerUid, surroundings: Surroundings) {
        self.1.lock().unwrap().insert(runner, surroundings);
    }

    /// From now on, these starts wait in an organization.
    pub(crate) fn line_up(&self, organization: OrganizationId, line: StartQueue) {
        self.2.lock().unwrap().insert(organization, line);
    }

    /// From now on, this is known of the process behind a runner.
    pub(crate) fn say(&self, runner: &Runner, said: &Live) {
        let mut fleet = self.0.lock().unwrap();
        fleet.put(Arc::new(runner.clone()), |_| None);
        fleet.update(&runner.organization, runner.uid, |live| {
            *live = said.clone();
        });
    }
}

impl RunnerLive for SaidLive {
    fn observe(&self, _uid: RunnerUid) -> RunnerObservation {
        RunnerObservation::default()
    }

    fn fleet(&self) -> Fleet {
        self.0.lock().unwrap().clone()
    }

    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings> {
        self.1.lock().unwrap().get(&uid).cloned()
    }

    fn denials(&self, _organization: &OrganizationId, _id: SandboxId) -> Option<Denials> {
        None
    }

    fn profile_denials(&self, _organization: &OrganizationId, _id: ProfileId) -> DenialTotals {
        DenialTotals::default()
    }

    fn waiting(&self, organization: &OrganizationId) -> StartQueue {
        let lines = self.2.lock().unwrap();
        lines.get(organization).cloned().unwrap_or_default()
    }
}

/// A server of its own for one test.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<StepClock>,
    pub(crate) live: Arc<SaidLive>,
    pub(crate) deletions: Deletions,
    address: SocketAddr,
    tasks: TaskTracker,
    _directory: TempDir,
    _stop: DropGuard,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub(crate) async fn start_with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db")).await;
        let store = Arc::new(store.unwrap());
        let clock = Arc::new(StepClock(AtomicI64::new(1_700_000_000_000_000)));
        let (live, ids) = (Arc::new(SaidLive::default()), Arc::new(FreshIds));
        let plane = ControlPlane::new(store.clone(), live.clone(), clock.clone(), ids);
        let key = KeyFile::create(&directory.path().join("secrets.key"), [7; 32]);
        let secrets = SecretSettings {
            keys: Some(key.unwrap()),
            ..SecretSettings::default()
        };
        let plane = plane.with_limits(limits).with_secrets(secrets);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let server = axum::serve(listener, router(plane.clone()))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { server.await.unwrap() });
        Self {
            store,
            clock,
            live,
            deletions: Deletions::new(plane),
            address,
            tasks,
            _directory: directory,
            _stop: stop.drop_guard(),
        }
    }

    /// Adds an organization; those of a test are `acme` and others.
    async fn organization(&self, id: &str) -> OrganizationId {
        let organization = Organization {
            id: id.parse().unwrap(),
            quota: Quota::default(),
            revision: Revision::FIRST,
            created_at: self.clock.now(),
        };
        let id = organization.id.clone();
        // It may be there for another caller of it already.
        let _ = self.store.create_organization(organization).await;
        id
    }

    /// A caller with a token of its own.
    pub(crate) async fn caller(&self, organization: &str, role: Role) -> Caller<'_> {
        let organization = self.organization(organization).await;
        let user = "ada".parse().unwrap();
        let grant = Grant::Caller {
            organization,
            user,
            role,
        };
        self.caller_with(grant, None).await
    }

    pub(crate) async fn caller_with(
        &self,
        grant: Grant,
        expires_at: Option<Timestamp>,
    ) -> Caller<'_> {
        let token = PresentedToken::new(TokenId::new(Uuid::now_v7()), [9; 32]);
        let record = TokenRecord {
            id: token.id(),
            hash: token.hash(),
            grant,
            description: String::new(),
            created_at: self.clock.now(),
            expires_at,
        };
        self.store.create_token(record).await.unwrap();
        Caller {
            plane: self,
            id: Some(token.id()),
            authorization: Some(format!("Bearer {}", token.reveal())),
        }
    }

    /// An administrator of `acme`.
    pub(crate) async fn admin(&self) -> Caller<'_> {
        self.caller("acme", Role::SandboxAdmin).await
    }

    /// A user of `acme`.
    pub(crate) async fn user(&self) -> Caller<'_> {
        self.caller("acme", Role::SandboxUser).await
    }

    /// Somebody who presents this in the header, or nothing.
    pub(crate) fn stranger(&self, authorization: Option<&str>) -> Caller<'_> {
        Caller {
            plane: self,
            id: None,
            authorization: authorization.map(str::to_owned),
        }
    }

    pub(crate) async fn connect(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // It ends with the sender; the server may close it earlier.
        self.tasks.spawn(async move { drop(connection.await) });
        sender
    }

    /// A connection on which anything can be written.
    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Somebody who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller<'a> {
    plane: &'a Plane,
    pub(crate) id: Option<TokenId>,
    authorization: Option<String>,
}

impl Caller<'_> {
    /// What it presents.
    pub(crate) fn authorization(&self) -> &str {
        self.authorization.as_deref().unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "palisade.test");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let mut sender = self.plane.connect().await;
        let answer = async {
            let response = sender.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into())),
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:#}", self.body);
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks that this is a refusal of the documented shape, and returns its
    /// message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, reason: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        let info = self.detail("ErrorInfo");
        assert_eq!(info["domain"], "cwsandbox.com", "{:#}", self.body);
        assert_eq!(
            info["reason"],
            format!("CWSANDBOX_{reason}"),
            "{:#}",
            self.body
        );
        assert!(self.body["code"].is_u64(), "{:#}", self.body);
        let told = self.detail("RequestInfo");
        let id = told["requestId"].as_str().unwrap();
        assert_eq!(self.header("x-request-id"), Some(id));
        self.body["message"].as_str().unwrap().to_owned()
    }

    /// The detail of that type; null if there is none.
    pub(crate) fn detail(&self, name: &str) -> Value {
        let wanted = format!("type.googleapis.com/google.rpc.{name}");
        let details = self.body["details"].as_array().cloned().unwrap_or_default();
        let found = details.into_iter().find(|detail| detail["@type"] == wanted);
        found.unwrap_or_default()
    }

    /// The wrong fields, as `FIELD REASON`.
    pub(crate) fn fields(&self) -> Vec<String> {
        let violations = self.detail("BadRequest")["fieldViolations"].clone();
        let violations = violations.as_array().cloned().unwrap_or_default();
        let line = |each: &Value| {
            let text = |key: &str| each[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("field"), text("reason"))
        };
        violations.iter().map(line).collect()
    }
}
