//! The backend as others see it: wishes go in, views come out.
//!
//! Nothing is done here; every sandbox has a driver that does it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use palisade_backend::{
    Backend, CapacityError, EnsureError, ListError, RemoveError, Sighting, StopError, Usage,
};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::denial::Denials;
use palisade_model::id::SandboxId;
use palisade_model::policy::Surroundings;
use palisade_model::runner::{Capabilities, Capacity, Feature, SecretSupport};
use palisade_model::sandbox::Launch;
use palisade_model::secret::SecretValues;
use tokio::sync::watch;
use tokio::time;
use tracing::warn;

use crate::api;
use crate::cache;
use crate::connect::Cluster;
use crate::driver;
use crate::enforcement;
use crate::manifest;
use crate::namespaces;
use crate::naming;
use crate::probe;
use crate::refusal;
use crate::sandbox::{NotRecorded, Progress, Sandbox};
use crate::settings::{Enforcement, Settings};
use crate::shared::Shared;
use crate::usage;
use crate::view;

/// How long the first lists may take.
const LIST_LIMIT: Duration = Duration::from_mins(1);
/// How long to wait for those who read from a command or a log.
const ATTACHED_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long it may take until the watches show what the server has.
const SIGHT_LIMIT: Duration = Duration::from_secs(20);

/// Sandboxes as pods of a cluster.
///
/// Dropping it leaves everything in the cluster as it is; see
/// [`KubeBackend::close`].
#[derive(Debug)]
pub struct KubeBackend {
    pub(crate) shared: Arc<Shared>,
}

/// The cluster could not be seen.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not answer, or does not let the runner see what it has to.
    #[error("the cluster did not list its objects within {} s: is the API server there, and may \
             this account list and watch secrets, pods, services, ingresses, nodes and classes?",
            LIST_LIMIT.as_secs())]
    NoLists,
    /// It does not answer at all.
    #[error("the cluster does not tell its version: is the API server there?")]
    NoVersion,
}

impl KubeBackend {
    /// Watches the cluster, and takes over the sandboxes that it holds.
    pub async fn open(
        cluster: &Cluster,
        mut settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let version = time::timeout(LIST_LIMIT, cluster.client.apiserver_version()).await;
        let Ok(Ok(version)) = version else {
            return Err(OpenError::NoVersion);
        };
        settings.has_port_ranges = enforcement::has_port_ranges(&version.major, &version.minor);
        let is_probed = settings.enforcement == Enforcement::Required;
        let shared = Shared::new(cluster.client.clone(), settings, clock);
        cache::start(&shared);
        let listed = time::timeout(LIST_LIMIT, shared.wait_until_complete()).await;
        let backend = Self { shared };
        if listed != Ok(true) {
            backend.close().await;
            return Err(OpenError::NoLists);
        }
        namespaces::start(&backend.shared);
        usage::start(&backend.shared);
        if is_probed {
            probe::start(&backend.shared, cluster.namespace());
        }
        Ok(Arc::new(backend))
    }

    /// Stops acting on sandboxes, and waits until nothing is under way. They go
    /// on by themselves, and the next run takes them over.
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.closing.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        shared.attached.close();
        let ended = time::timeout(ATTACHED_WAIT_MAX, shared.attached.wait());
        if ended.await.is_err() {
            let count = shared.attached.len();
            warn!(
                count,
                "commands or logs are still being read while the backend closes"
            );
        }
    }

    /// Waits for what a driver tells, but not for one that has stopped.
    async fn told(
        &self,
        sandbox: &Sandbox,
        is_told: impl FnMut(&Progress) -> bool,
    ) -> Result<Progress, String> {
        let mut progress = sandbox.progress.subscribe();
        tokio::select! {
            biased;
            told = progress.wait_for(is_told) => {
                told.map(|told| told.clone()).map_err(|error| error.to_string())
            }
            () = self.shared.closing.cancelled() => Err("the backend is closing".to_owned()),
        }
    }

    /// The sandbox, if there is a record of it. What is not known may be on its
    /// way: a call that was dropped half-way left it.
    async fn find(&self, id: SandboxId) -> Result<Option<Arc<Sandbox>>, api::ApiError> {
        if let Some(sandbox) = self.known(id) {
            return Ok(Some(sandbox));
        }
        let records: Api<Secret> = Api::all(self.shared.client.clone());
        let selector = format!("{}={id}", naming::SANDBOX_ID);
        let labelled = ListParams::default().labels(&selector);
        let found = api::patient(|| records.list(&labelled)).await?;
        if found.items.is_empty() {
            return Ok(None);
        }
        let hints = &self.shared.hints;
        let shown = hints.wait_for(id, SIGHT_LIMIT, || self.known(id)).await;
        let late = || api::ApiError::Unavailable("the watches do not show its record".to_owned());
        shown.map(Some).ok_or_else(late)
    }

    /// The sandbox, if it was wished for or has a record that can be read.
    fn known(&self, id: SandboxId) -> Option<Arc<Sandbox>> {
        let sandbox = self.shared.sandbox(id)?;
        sandbox.seen().launch.is_some().then_some(sandbox)
    }

    fn sighting(&self, sandbox: &Sandbox) -> Option<Sighting> {
        let seen = sandbox.seen();
        let launch = seen.launch.as_deref()?.clone();
        let view = seen.view(self.shared.clock.now());
        Some(Sighting { launch, view })
    }
}

#[async_trait]
impl Backend for KubeBackend {
    fn capabilities(&self) -> Capabilities {
        let shared = &self.shared;
        let found = shared.enforced.borrow().clone();
        let egress = enforcement::taken_on(&shared.settings, &found);
        let mut offered = shared.facts().capabilities(egress);
        if shared.settings.secrets_namespace.is_some() {
            offered.secrets = SecretSupport::StoresAndOwn;
        }
        let missing = [
            (
                Feature::Egress,
                enforcement::why_fewer(&shared.settings, &found),
            ),
            (Feature::Usage, shared.usage.why_unknown()),
        ];
        for (feature, why) in missing {
            offered.lacks.extend(why.map(|why| (feature, why)));
        }
        offered
    }

    fn surroundings(&self) -> Surroundings {
        manifest::surroundings(&self.shared.settings, &self.shared.nodes.borrow())
    }

    async fn capacity(&self) -> Result<Capacity, CapacityError> {
        Ok(self.shared.facts().capacity())
    }

    async fn ensure(&self, launch: &Launch) -> Result<(), EnsureError> {
        if self.known(launch.id).is_none() {
            let kind = launch.egress.mode.kind();
            let found = self.shared.enforced.borrow().clone();
            let why_closed = enforcement::why_not(&self.shared.settings, &found, kind);
            let ground = refusal::Ground {
                settings: &self.shared.settings,
                offered: self.capabilities(),
                ingress_classes: self.shared.facts().ingress_classes().clone(),
                why_closed,
            };
            let refused = refusal::check(launch, &ground);
            refused.inspect_err(|_| self.shared.handed.forget(launch.id))?;
        }
        let sandbox = self.shared.find_or_wish(launch);
        if sandbox.wish.borrow().removals > 0 {
            let why = "it is being removed; try again";
            return Err(EnsureError::Internal(why.into()));
        }
        driver::drive(&self.shared, &sandbox);
        if sandbox.seen().record.is_some() || sandbox.seen().lost.is_some() {
            return Ok(());
        }
        let told = self
            .told(&sandbox, |progress| progress.recorded.is_some())
            .await;
        let told = told.map_err(|message| EnsureError::Internal(message.into()))?;
        match told.recorded {
            Some(Ok(())) | None => Ok(()),
            Some(Err(NotRecorded::Refused(what))) => Err(EnsureError::Unsupported { what }),
            Some(Err(NotRecorded::Failed(why))) => Err(EnsureError::Internal(why.into())),
        }
    }

    fn provide_secrets(&self, id: SandboxId, secrets: SecretValues) {
        self.shared.handed.put(id, secrets);
    }

    async fn stop(&self, id: SandboxId, grace: Duration) -> Result<(), StopError> {
        let Some(sandbox) = self
            .find(id)
            .await
            .map_err(|error| StopError(error.into()))?
        else {
            return Ok(());
        };
        let now = self.shared.clock.now();
        if sandbox.seen().view(now).is_over() {
            return Ok(());
        }
        let by = now.saturating_add(grace);
        let mut told_by = by;
        sandbox.wish.send_modify(|wish| {
            // A later call can shorten the grace, and not lengthen it.
            told_by = wish.stop_by.map_or(by, |before: Timestamp| before.min(by));
            wish.stop_by = Some(told_by);
        });
        let is_told = |progress: &Progress| {
            let failed = progress.stop_failure.as_ref().map(|(by, _)| *by);
            [progress.stopping_by, failed]
                .into_iter()
                .flatten()
                .any(|by| by <= told_by)
                || progress.removed > 0
        };
        let told = self.told(&sandbox, is_told).await;
        let told = told.map_err(|message| StopError(message.into()))?;
        match told.stop_failure {
            Some((_, why)) => Err(StopError(why.into())),
            None => Ok(()),
        }
    }

    async fn remove(&self, id: SandboxId) -> Result<(), RemoveError> {
        self.shared.handed.forget(id);
        let found = self.find(id).await;
        let Some(sandbox) = found.map_err(|error| RemoveError(error.into()))? else {
            return Ok(());
        };
        let mut call = 0;
        sandbox.wish.send_modify(|wish| {
            wish.removals += 1;
            call = wish.removals;
        });
        driver::drive(&self.shared, &sandbox);
        let is_told = |progress: &Progress| {
            let failed = progress.removal_failure.as_ref();
            progress.removed > 0
                || failed.is_some_and(|(failed, _)| *failed >= call)
                || matches!(progress.recorded, Some(Err(_)))
        };
        let told = self.told(&sandbox, is_told).await;
        let told = told.map_err(|message| RemoveError(message.into()))?;
        match told.removal_failure {
            Some((_, why)) if told.removed == 0 => Err(RemoveError(why.into())),
            Some(_) | None => Ok(()),
        }
    }

    async fn list(&self) -> Result<Vec<Sighting>, ListError> {
        let sandboxes: Vec<_> = self.shared.sandboxes().values().cloned().collect();
        let seen = sandboxes.iter();
        Ok(seen.filter_map(|sandbox| self.sighting(sandbox)).collect())
    }

    async fn get(&self, id: SandboxId) -> Result<Option<Sighting>, ListError> {
        let sandbox = self.shared.sandbox(id);
        Ok(sandbox.and_then(|sandbox| self.sighting(&sandbox)))
    }

    fn changes(&self, id: SandboxId) -> watch::Receiver<u64> {
        self.shared.hints.subscribe(id)
    }

    async fn usage(&self, id: SandboxId) -> Option<Usage> {
        let sandbox = self.shared.sandbox(id)?;
        let seen = sandbox.seen();
        let runs = seen.pod.as_deref().is_some_and(view::is_running);
        runs.then(|| self.shared.usage.of(id)).flatten()
    }

    /// Network plugins do not tell in any common form what they refused, and the
    /// capabilities say so.
    async fn denials(&self, _id: SandboxId) -> Option<Denials> {
        None
    }
}
