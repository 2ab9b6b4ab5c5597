//! Something between a backend and the API server: it counts calls, refuses
//! them, breaks watches, and cuts a backend off in the middle of its work.
//!
//! Commands go through it as well; on demand, only those that an agent is started by,
//! or that the backend stops a sandbox by.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use palisade_backend_kube::Cluster;
use tokio::net::TcpListener;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, Failure>>;

/// What is done to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// They go through.
    Pass,
    /// So many writes go through, and then nothing does any more: for the
    /// server, the backend died there.
    DieAfter(usize),
    /// Every second write gets these answers in turn, so many times.
    Refuse(usize),
    /// The write with this number, counted from zero, gets this answer once.
    RefuseOne(usize, u16),
}

/// The answers of a server that has enough to do, or was overtaken.
const REFUSALS: [u16; 4] = [409, 429, 500, 503];

#[derive(Debug)]
struct State {
    plan: Mutex<Plan>,
    /// What was written, and went through.
    writes: Mutex<Vec<String>>,
    /// Writes that were tried under the present plan.
    tries: AtomicUsize,
    watches: Mutex<CancellationToken>,
    /// What was asked in all.
    calls: AtomicUsize,
    /// Whether commands of others are refused.
    only_agents: AtomicBool,
}

/// The proxy; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    state: Arc<State>,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
    pub(crate) cluster: Cluster,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Proxy {
    /// A proxy with the rights of a runner.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("kubeconfig");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{ name: c, cluster: {{ server: \
             \"http://{address}\" }} }}]\nusers: [{{ name: u, user: {{}} }}]\ncontexts: [{{ name: x, \
             context: {{ cluster: c, user: u, namespace: palisade }} }}]\ncurrent-context: x\n"
        );
        std::fs::write(&path, kubeconfig).expect("there is room");
        let state = Arc::new(State {
            plan: Mutex::new(Plan::Pass),
            writes: Mutex::default(),
            tries: AtomicUsize::new(0),
            watches: Mutex::default(),
            calls: AtomicUsize::new(0),
            only_agents: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let work = serve(
            listener,
            Arc::clone(&state),
            runner_client().await,
            stop.clone(),
        );
        TaskTracker::new().spawn(work);
        let cluster = Cluster::find(Some(&path), None).await;
        Self {
            state,
            stop,
            _directory: directory,
            cluster: cluster.expect("the kubeconfig names the proxy"),
        }
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.state.tries.store(0, Ordering::Relaxed);
        *lock(&self.state.plan) = plan;
    }

    /// How many writes were tried under the present plan.
    pub(crate) fn tries(&self) -> usize {
        self.state.tries.load(Ordering::Relaxed)
    }

    /// What was written since the last time.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.state.writes))
    }

    /// Waits until so many writes went through, or not any longer than that.
    pub(crate) async fn wait_for_writes(&self, count: usize, limit: Duration) {
        let _ = time::timeout(limit, async {
            while lock(&self.state.writes).len() < count {
                time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// How many calls there were at all.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Refuses commands, files and ports, but for what starts an agent.
    pub(crate) fn let_only_agents_through(&self) {
        self.state.only_agents.store(true, Ordering::Relaxed);
    }

    /// Breaks every watch that is open.
    pub(crate) fn break_watches(&self) {
        std::mem::take(&mut *lock(&self.state.watches)).cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn runner_client() -> Client {
    let path = crate::support::named("PALISADE_TEST_RUNNER_KUBECONFIG");
    let file = Kubeconfig::read_from(path).expect("the kubeconfig can be read");
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("it names a cluster")).expect("it can be called")
}

async fn serve(listener: TcpListener, state: Arc<State>, client: Client, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (state, client, stop) = (Arc::clone(&state), client.clone(), stop.clone());
        tasks.spawn(async move {
            let answer =
                service_fn(move |request| forward(request, Arc::clone(&state), client.clone()));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            let served = served.with_upgrades();
            stop.run_until_cancelled(served).await;
        });
    }
}

async fn forward(
    request: Request<Incoming>,
    state: Arc<State>,
    client: Client,
) -> Result<Answer, Failure> {
    state.calls.fetch_add(1, Ordering::Relaxed);
    if request.headers().contains_key(http::header::UPGRADE) {
        return upgrade(request, &state, client).await;
    }
    let is_write = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if let Some(code) = refusal(&state, is_write) {
        return Ok(refused(code));
    }
    if is_write {
        let what = format!("{} {}", request.method(), request.uri().path());
        lock(&state.writes).push(what);
    }
    let watches = lock(&state.watches).clone();
    let (mut head, body) = request.into_parts();
    for name in ["host", "connection", "content-length", "transfer-encoding"] {
        head.headers.remove(name);
    }
    let body = body.collect().await?.to_bytes();
    let answer = client
        .send(Request::from_parts(head, Body::from(body)))
        .await?;
    let (mut head, body) = answer.into_parts();
    for name in ["connection", "content-length", "transfer-encoding"] {
        head.headers.remove(name);
    }
    let frames = BodyStream::new(body).take_until(watches.cancelled_owned());
    let frames = frames.map(|frame| frame.map_err(|error| Box::new(error) as Failure));
    Ok(Response::from_parts(
        head,
        BodyExt::boxed_unsync(StreamBody::new(frames)),
    ))
}

/// Passes a command or a port on, once both sides speak the same protocol.
async fn upgrade(
    mut request: Request<Incoming>,
    state: &State,
    client: Client,
) -> Result<Answer, Failure> {
    let asked = request.uri().query().unwrap_or_default();
    // The script that sends signals is the only one that looks for these.
    let may_pass = asked.contains("palisade%2Finit") || asked.contains("cgroup");
    if state.only_agents.load(Ordering::Relaxed) && !may_pass {
        return Ok(refused(403));
    }
    let here = hyper::upgrade::on(&mut request);
    let (mut head, _) = request.into_parts();
    head.headers.remove("host");
    let mut answer = client
        .send(Request::from_parts(head, Body::empty()))
        .await?;
    let there = hyper::upgrade::on(&mut answer);
    TaskTracker::new().spawn(async move {
        let (Ok(here), Ok(there)) = tokio::join!(here, there) else {
            return;
        };
        let (mut here, mut there) = (TokioIo::new(here), TokioIo::new(there));
        // Either end may just be gone.
        let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
    });
    let (head, _) = answer.into_parts();
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    Ok(Response::from_parts(head, BodyExt::boxed_unsync(body)))
}

/// What a call is answered instead of being passed on.
fn refusal(state: &State, is_write: bool) -> Option<u16> {
    let number = if is_write {
        Some(state.tries.fetch_add(1, Ordering::Relaxed))
    } else {
        None
    };
    let plan = *lock(&state.plan);
    match plan {
        Plan::Pass => None,
        Plan::DieAfter(count) => (lock(&state.writes).len() >= count).then_some(503),
        Plan::Refuse(count) => {
            let turn = number.filter(|number| number % 2 == 0 && number / 2 < count)? / 2;
            Some(REFUSALS[turn % REFUSALS.len()])
        }
        Plan::RefuseOne(refused, code) => (number == Some(refused)).then_some(code),
    }
}

fn refused(code: u16) -> Answer {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "injected by the test", "reason": "Injected", "code": code,
    });
    let body = Full::new(Bytes::from(status.to_string()));
    let mut answer = Response::new(BodyExt::boxed_unsync(body.map_err(|never| match never {})));
    *answer.status_mut() = StatusCode::from_u16(code).expect("it is one");
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}
