//! A backend of its own for each test, in the cluster that is there.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use palisade_backend::conformance::{self, Job};
use palisade_backend::{Attach, Backend};
use palisade_backend_kube::settings::{DirectExec, Enforcement, Settings};
use palisade_backend_kube::{Cluster, KubeBackend, naming};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::id::SandboxId;

use crate::proxy::Proxy;
use crate::stand_in::StandIn;

/// An image with a shell and the usual tools, in the registry of the node.
pub(crate) const IMAGE: &str = "127.0.0.1:5000/busybox:1";

/// The image out of which sandboxes get the program.
pub(crate) const PROGRAM_IMAGE: &str = "127.0.0.1:5000/palisade:1";

/// A backend under test.
#[derive(Debug)]
pub(crate) struct Harness {
    backend: Option<Arc<KubeBackend>>,
    pub(crate) settings: Settings,
    /// What it goes through to the API server, if anything.
    pub(crate) proxy: Option<Proxy>,
    /// Runs the pods where there is no node.
    _node: Option<StandIn>,
}

impl Harness {
    /// A backend with an instance of its own.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut harness = Self::unopened(change).await;
        harness.reopen().await;
        harness
    }

    /// A backend that reaches its sandboxes directly, and the server through a proxy.
    pub(crate) async fn direct() -> Self {
        let mut harness = Self::unopened(reached_directly).await;
        harness.proxy = Some(Proxy::start().await);
        harness.reopen().await;
        harness
    }

    /// Opens the backend anew, under the settings that there are now.
    pub(crate) async fn reopen(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.close().await;
        }
        let cluster = match &self.proxy {
            Some(proxy) => proxy.cluster.clone(),
            None => cluster().await,
        };
        self.backend = Some(open_at(&cluster, &self.settings).await);
    }

    /// An instance without a backend: what opens one of its own, through a proxy
    /// that it torments it by, must not have another one make up for it.
    pub(crate) async fn bare() -> Self {
        Self::unopened(|_| {}).await
    }

    async fn unopened(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            instance: format!("test-{}", uuid::Uuid::now_v7()),
            // The bridge of the test node lets everything through.
            enforcement: Enforcement::AcceptNone,
            probe_image: IMAGE.to_owned(),
            ..Settings::default()
        };
        change(&mut settings);
        let node = if is_whole() {
            None
        } else {
            Some(StandIn::start(&client().await, &settings.instance).await)
        };
        Self {
            backend: None,
            settings,
            proxy: None,
            _node: node,
        }
    }

    /// The names of the two pods of its probe.
    pub(crate) fn probe_names(&self) -> (String, String) {
        let name = |role: &str| format!("palisade-probe-{}-{role}", self.settings.instance);
        (name("open"), name("closed"))
    }

    pub(crate) fn open(&self) -> Arc<KubeBackend> {
        let backend = self.backend.as_ref();
        Arc::clone(backend.expect("it is open between the steps of a test"))
    }
}

/// Whether there is a whole node, and not an API server alone.
pub(crate) fn is_whole() -> bool {
    std::env::var_os("PALISADE_TEST_KUBE_NODE").is_none_or(|kind| kind != "stand-in")
}

/// Has sandboxes get an agent. That no policy would let the test in is no matter: the
/// bridge of the test node lets everything through.
pub(crate) fn reached_directly(settings: &mut Settings) {
    let range = vec!["100.64.0.0/10".parse().expect("it is a range")];
    let direct = DirectExec::new(DirectExec::PORT, None, range);
    settings.direct_exec = Some(direct.expect("somebody may call"));
    settings.program_image = Some(PROGRAM_IMAGE.to_owned());
}

/// A backend that reaches the cluster in this way.
pub(crate) async fn open_at(cluster: &Cluster, settings: &Settings) -> Arc<KubeBackend> {
    let backend = KubeBackend::open(cluster, settings.clone(), Arc::new(RealClock)).await;
    backend.expect("the cluster can be watched")
}

/// A client of the cluster, with the rights of its administrator.
pub(crate) async fn client() -> Client {
    let file = Kubeconfig::read_from(named("PALISADE_TEST_KUBECONFIG"))
        .expect("the kubeconfig can be read");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("it names a cluster")).expect("it can be called")
}

/// The cluster, with the rights of a runner and no others.
pub(crate) async fn cluster() -> Cluster {
    let path = named("PALISADE_TEST_RUNNER_KUBECONFIG");
    let cluster = Cluster::find(Some(&path), None).await;
    cluster.expect("the kubeconfig names a cluster")
}

/// A way to the cluster that `make test-kube` brought up.
pub(crate) fn named(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.expect("run make test-kube, which brings up a cluster and names it")
        .into()
}

#[derive(Debug)]
pub(crate) struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.expect("the clock is right").as_micros();
        Timestamp::from_micros(i64::try_from(micros).expect("the clock is right"))
    }
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

#[async_trait]
impl conformance::Harness for Harness {
    fn backend(&self) -> Arc<dyn Backend> {
        self.open()
    }

    fn attach(&self) -> Arc<dyn Attach> {
        self.open()
    }

    fn command(&self, job: &Job) -> Vec<String> {
        let lines = |count: &u32| {
            format!("i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); done")
        };
        let wait = "exec sleep 1000";
        match job {
            Job::RunUntilStopped => shell(wait),
            Job::IgnoreStop => shell("trap '' TERM; while true; do sleep 1; done"),
            Job::ExitWith(code) => shell(&format!("exit {code}")),
            Job::PrintLines(count) => shell(&format!("{}; {wait}", lines(count))),
            Job::PrintLinesAndExit(count) => shell(&lines(count)),
            Job::Cat => vec!["/bin/cat".to_owned()],
            Job::PrintBoth(code) => shell(&format!("echo out; echo err >&2; exit {code}")),
            Job::PrintBytes(count) => shell(&format!("head -c {count} /dev/zero | tr '\\0' x")),
            Job::NoSuchProgram => vec!["/no/such/program".to_owned()],
            Job::KillSelf => shell("kill -9 $$"),
            Job::Echo(port) => shell(&format!("exec nc -ll -p {port} -e /bin/cat")),
        }
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn crash_and_reopen(&mut self) {
        self.reopen().await;
    }

    async fn leftovers(&self, id: SandboxId) -> Vec<String> {
        labelled(naming::SANDBOX_ID, &id.to_string()).await
    }
}

/// The objects of sandboxes that have this label, by kind and name.
pub(crate) async fn labelled(key: &str, value: &str) -> Vec<String> {
    let client = client().await;
    let selector = format!("{key}={value}");
    let mut found = of_kind::<Pod>(&client, &selector).await;
    found.extend(of_kind::<Secret>(&client, &selector).await);
    found.extend(of_kind::<NetworkPolicy>(&client, &selector).await);
    found.extend(of_kind::<Service>(&client, &selector).await);
    found.extend(of_kind::<Ingress>(&client, &selector).await);
    found
}

async fn of_kind<K>(client: &Client, selector: &str) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let list = api.list(&ListParams::default().labels(selector)).await;
    let list = list.expect("the cluster can be looked at").items;
    let named = list
        .iter()
        .map(|one| format!("{} {}", K::kind(&()), one.name_any()));
    named.collect()
}
