//! The backend as others see it: wishes go in, views come out.
//!
//! Nothing is done here; every sandbox has a driver that does it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use palisade_backend::{
    Backend, CapacityError, EnsureError, ListError, PauseError, RemoveError, Sighting, StopError,
    Usage, View,
};
use palisade_model::clock::Timestamp;
use palisade_model::denial::{Denials, DeniedFlow};
use palisade_model::id::SandboxId;
use palisade_model::policy::Surroundings;
use palisade_model::pool::Rooms;
use palisade_model::runner::{Capabilities, Capacity};
use palisade_model::sandbox::{Launch, MountedFile};
use palisade_model::secret::SecretValues;
use tokio::sync::watch;
use tokio::time;
use tracing::{info, warn};

use crate::driver::{self, Driver};
use crate::network::{KernelError, Refused};
use crate::refusal;
use crate::room;
use crate::sandbox::{FreezeFailure, Sandbox};
use crate::shared::Shared;

/// How long to wait for those who read from a command or a log.
const ATTACHED_WAIT_MAX: Duration = Duration::from_secs(5);

/// Sandboxes as containers on this host.
///
/// Dropping it leaves everything on the host as it is; see
/// [`LinuxBackend::close`].
#[derive(Debug)]
pub struct LinuxBackend {
    pub(crate) shared: Arc<Shared>,
}

impl LinuxBackend {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Stops acting on sandboxes, and waits until nothing is under way. They go
    /// on by themselves, and the next run takes them over. When none runs, the
    /// network and the control groups go, too: nothing is left on the host but
    /// what is on its disk.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.attached.close();
        let ended = time::timeout(ATTACHED_WAIT_MAX, self.shared.attached.wait());
        if ended.await.is_err() {
            let count = self.shared.attached.len();
            warn!(
                count,
                "commands or logs are still being read while the backend closes"
            );
        }
        let is_idle = self
            .shared
            .sandboxes()
            .values()
            .all(|sandbox| sandbox.view().is_over());
        if is_idle {
            self.leave_host().await;
        }
    }

    /// What cannot be taken away now is taken over by the next run as it is.
    async fn leave_host(&self) {
        let shared = Arc::clone(&self.shared);
        let leaving = tokio::task::spawn_blocking(move || {
            if let Err(error) = shared.network.close() {
                warn!(%error, "the network could not be taken down");
            }
            if let Err(error) = shared.cgroups.retire().and_then(|()| shared.state.retire()) {
                warn!(%error, "control groups or sockets could not be removed");
            }
        });
        match leaving.await {
            Ok(()) => info!("no sandbox runs; the host is left as it was"),
            Err(error) => warn!(%error, "leaving the host broke off"),
        }
    }

    /// Serves the HTTP entry point, if there is one, until the backend closes.
    pub async fn serve_http(&self) -> std::io::Result<()> {
        match &self.shared.ingress {
            Some(ingress) => ingress.serve().await,
            None => Ok(()),
        }
    }

    /// The network of the sandboxes, for the resolver and for repairs.
    pub fn network(&self) -> &crate::network::Network {
        &self.shared.network
    }

    /// Refuses a sandbox that is not there yet if the disk has no room for it.
    fn check_room(&self, launch: &Launch) -> Result<(), EnsureError> {
        let id = launch.id;
        if self.shared.sandbox(id).is_some() {
            return Ok(());
        }
        let place = self.shared.state.sandboxes();
        // Its files are in what is recorded as well, and written by root.
        let files = MountedFile::total_bytes(&launch.mounted_files).saturating_mul(2);
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        let room =
            room::check(&place, files).map_err(|error| EnsureError::Internal(error.into()))?;
        room.map_err(|scarce| {
            warn!(sandbox.id = %id, path = %place.display(), "refused: {scarce}");
            EnsureError::Unsupported {
                what: scarce.to_string(),
            }
        })
    }

    /// Finds the sandbox, or makes it and its driver.
    fn find_or_make(&self, launch: &Launch) -> Arc<Sandbox> {
        let mut sandboxes = self.shared.sandboxes();
        if let Some(known) = sandboxes.get(&launch.id) {
            return Arc::clone(known);
        }
        let state = self.shared.state.sandbox(launch.id);
        let view = View::Starting("recording it".to_owned());
        let sandbox = Arc::new(Sandbox::new(launch.clone(), state, view));
        sandboxes.insert(launch.id, Arc::clone(&sandbox));
        drop(sandboxes);
        Driver::spawn(&self.shared, &sandbox, driver::From::Wish);
        sandbox
    }

    async fn set_paused(&self, id: SandboxId, is_wanted: bool) -> Result<(), PauseError> {
        if !self.shared.cgroups.can_freeze() {
            return Err(PauseError::Unsupported);
        }
        let sandbox = self.shared.sandbox(id).ok_or(PauseError::NotRunning)?;
        match sandbox.view() {
            View::Running { .. } | View::Paused { .. } => {}
            View::Starting(_)
            | View::Stopping { .. }
            | View::Ended { .. }
            | View::Failed { .. } => return Err(PauseError::NotRunning),
        }
        let attempt = sandbox.wish_freeze(is_wanted);
        let followed = tokio::select! {
            biased;
            followed = sandbox.wait_until_followed(attempt) => followed,
            () = self.shared.closing.cancelled() => {
                Err(FreezeFailure::Failed("the backend is closing".to_owned()))
            }
        };
        followed.map_err(|failure| match failure {
            FreezeFailure::NotRunning => PauseError::NotRunning,
            FreezeFailure::Failed(message) => PauseError::Internal(message.into()),
        })
    }

    /// Waits, but not for what a closing backend will not do any more.
    async fn unless_closing(
        &self,
        done: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        tokio::select! {
            biased;
            done = done => done,
            () = self.shared.closing.cancelled() => Err("the backend is closing".to_owned()),
        }
    }
}

#[async_trait]
impl Backend for LinuxBackend {
    fn capabilities(&self) -> Capabilities {
        let can_freeze = self.shared.cgroups.can_freeze();
        let has_file_systems = self.shared.file_systems.is_some();
        refusal::capabilities(
            &self.shared.config,
            self.shared.total,
            can_freeze,
            has_file_systems,
        )
    }

    fn surroundings(&self) -> Surroundings {
        self.shared.network.directory().surroundings()
    }

    fn rooms(&self) -> Rooms {
        self.shared.network.rooms()
    }

    async fn capacity(&self) -> Result<Capacity, CapacityError> {
        Ok(Capacity {
            total: self.shared.total,
            sandboxes_max: self.shared.config.sandboxes_max,
        })
    }

    async fn ensure(&self, launch: &Launch) -> Result<(), EnsureError> {
        let refused = refusal::check(launch, &self.capabilities());
        let refused = refused.and_then(|()| self.check_room(launch));
        refused.inspect_err(|_| self.shared.handed.forget(launch.id))?;
        let sandbox = self.find_or_make(launch);
        if sandbox.is_unwanted() {
            return Err(EnsureError::Internal(
                "it is being removed; try again".into(),
            ));
        }
        let recorded = self.unless_closing(sandbox.wait_until_recorded()).await;
        recorded.map_err(|message| EnsureError::Internal(message.into()))
    }

    fn provide_secrets(&self, id: SandboxId, secrets: SecretValues) {
        let view = self.shared.sandbox(id).map(|sandbox| sandbox.view());
        match view {
            None | Some(View::Starting(_)) => self.shared.handed.put(id, secrets),
            // It has started, and needs none any more.
            Some(
                View::Running { .. }
                | View::Paused { .. }
                | View::Stopping { .. }
                | View::Ended { .. }
                | View::Failed { .. },
            ) => {}
        }
    }

    async fn stop(&self, id: SandboxId, grace: Duration) -> Result<(), StopError> {
        let Some(sandbox) = self.shared.sandbox(id) else {
            return Ok(());
        };
        let recorded = self.unless_closing(sandbox.wait_until_recorded()).await;
        recorded.map_err(|message| StopError(message.into()))?;
        if sandbox.view().is_over() {
            return Ok(());
        }
        let by = self.shared.config.clock.now().saturating_add(grace);
        let state = sandbox.state.clone();
        let tasks = &self.shared.tasks;
        match tasks.spawn_blocking(move || state.record_stop(by)).await {
            Ok(Ok(())) => sandbox.wish_stop(grace),
            // Whoever asked asks again if the runner ends before the sandbox does.
            Ok(Err(error)) if room::is_missing(&error) => {
                warn!(sandbox.id = %id, %error, "a stop could not be written down");
                sandbox.wish_stop(grace);
            }
            Ok(Err(error)) => return Err(StopError(error.into())),
            Err(error) => return Err(StopError(error.into())),
        }
        Ok(())
    }

    async fn pause(&self, id: SandboxId) -> Result<(), PauseError> {
        self.set_paused(id, true).await
    }

    async fn resume(&self, id: SandboxId) -> Result<(), PauseError> {
        self.set_paused(id, false).await
    }

    async fn remove(&self, id: SandboxId) -> Result<(), RemoveError> {
        let Some(sandbox) = self.shared.sandbox(id) else {
            self.shared.handed.forget(id);
            return Ok(());
        };
        let attempt = sandbox.wish_removal();
        let removed = self
            .unless_closing(sandbox.wait_until_removed(attempt))
            .await;
        removed.map_err(|message| RemoveError(message.into()))
    }

    async fn list(&self) -> Result<Vec<Sighting>, ListError> {
        let sandboxes: Vec<_> = self.shared.sandboxes().values().cloned().collect();
        Ok(sandboxes.iter().map(|sandbox| sandbox.sighting()).collect())
    }

    async fn get(&self, id: SandboxId) -> Result<Option<Sighting>, ListError> {
        Ok(self.shared.sandbox(id).map(|sandbox| sandbox.sighting()))
    }

    fn changes(&self, id: SandboxId) -> watch::Receiver<u64> {
        self.shared.hints.subscribe(id)
    }

    async fn usage(&self, id: SandboxId) -> Option<Usage> {
        let sandbox = self.shared.sandbox(id)?;
        if sandbox.view().is_over() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let tasks = &self.shared.tasks;
        tasks
            .spawn_blocking(move || shared.cgroups.usage(id))
            .await
            .ok()?
    }

    async fn denials(&self, id: SandboxId) -> Option<Denials> {
        let sandbox = self.shared.sandbox(id)?;
        if sandbox.view().is_over() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let counted = self.shared.tasks.spawn_blocking(move || {
            let packets = shared.network.denials(id)?;
            let incoming = shared.network.turned_away(id)?;
            Ok::<_, KernelError>((packets, incoming, shared.network.refused(id)))
        });
        let (packets, incoming, refused) = counted.await.ok()?.ok()?;
        let now = self.shared.config.clock.now();
        Some(Denials {
            profile: sandbox.launch.profile,
            mode: sandbox.launch.egress.name.clone(),
            packets,
            incoming,
            questions: self.shared.network.questions_refused(id),
            recent: refused.iter().map(|refused| denied(refused, now)).collect(),
        })
    }
}

fn denied(refused: &Refused, now: Timestamp) -> DeniedFlow {
    let Refused {
        direction,
        packet,
        at,
        times,
    } = *refused;
    let ago = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
    DeniedFlow {
        at: Timestamp::from_micros(now.as_micros().saturating_sub(ago)),
        direction,
        protocol: packet.protocol,
        source: packet.source,
        source_port: packet.source_port,
        destination: packet.destination,
        destination_port: packet.destination_port,
        times,
    }
}
