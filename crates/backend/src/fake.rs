//! A backend without processes, for tests of what stands above it.
//!
//! Sandboxes are entries of a [`World`] that outlives the [`Fake`] that made
//! them, as containers outlive a runner. A command line starting with `fake`
//! says what to simulate; see [`command`]. The fake keeps the contracts and
//! passes the conformance suite, so that nothing above can lean on its mercy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_model::denial::{Denials, DeniedFlow};
use palisade_model::id::SandboxId;
use palisade_model::policy::Surroundings;
use palisade_model::profile::EgressType;
use palisade_model::runner::{Capabilities, Capacity, Resources, SecretSupport};
use palisade_model::sandbox::{Exit, Launch};
use palisade_model::secret::SecretValues;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{
    Backend, CapacityError, CpuUse, EnsureError, ListError, LogChunk, PauseError, RemoveError,
    Sighting, StopError, Usage, View,
};

mod attach;
mod job;
mod uploads;

use job::Act;
pub use job::command;

/// The image that exists here.
pub const IMAGE: &str = "fake.example/image:1";

/// Everything that exists, whoever looks at it.
#[derive(Debug)]
pub struct World {
    sandboxes: Mutex<BTreeMap<SandboxId, Entry>>,
    hints: Mutex<BTreeMap<SandboxId, watch::Sender<u64>>>,
    uploads: uploads::Uploads,
    are_starts_held: watch::Sender<bool>,
    tasks: TaskTracker,
    started: tokio::time::Instant,
}

/// One sandbox of the world.
#[derive(Debug)]
struct Entry {
    launch: Launch,
    view: View,
    stop: Option<tokio::time::Instant>,
    kill: CancellationToken,
    log: Vec<LogChunk>,
    log_len: u64,
    files: BTreeMap<String, Bytes>,
    execs: u64,
    /// `None` while it waits for them.
    secrets: Option<SecretValues>,
    denied: Vec<DeniedFlow>,
    denied_total: u64,
}

/// A backend over a world.
#[derive(Clone, Debug)]
pub struct Fake {
    world: Arc<World>,
    /// Values that were handed over for what does not exist yet.
    handed: Arc<Mutex<BTreeMap<SandboxId, SecretValues>>>,
    capabilities: Capabilities,
    capacity: Capacity,
}

impl Default for World {
    fn default() -> Self {
        Self {
            sandboxes: Mutex::default(),
            hints: Mutex::default(),
            uploads: uploads::Uploads::default(),
            are_starts_held: watch::Sender::default(),
            tasks: TaskTracker::new(),
            started: tokio::time::Instant::now(),
        }
    }
}

impl Fake {
    /// Opens a backend over a world that may already hold sandboxes.
    pub fn open(world: Arc<World>) -> Self {
        let largest = Resources {
            cpu_millis: 64_000,
            memory_bytes: 256 << 30,
            gpus: 0,
        };
        Self {
            world,
            handed: Arc::default(),
            capabilities: Capabilities {
                egress: BTreeSet::from([
                    EgressType::None,
                    EgressType::Internet,
                    EgressType::Allowlist,
                ]),
                architectures: BTreeSet::from(["amd64".to_owned()]),
                pause: true,
                secrets: SecretSupport::Stores,
                largest,
                memory_bytes_min: Capabilities::MEMORY_BYTES_MIN,
                ..Capabilities::default()
            },
            capacity: Capacity {
                total: largest,
                sandboxes_max: 10_000,
            },
        }
    }

    /// The same backend with other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same backend with another capacity.
    #[must_use]
    pub fn with_capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    fn check(&self, launch: &Launch) -> Result<(), EnsureError> {
        let unsupported = |what: String| Err(EnsureError::Unsupported { what });
        if let Some(class) = &launch.runtime_class
            && !self.capabilities.runtime_classes.contains(class)
        {
            return unsupported(format!("there is no runtime class {class} here"));
        }
        let kind = launch.egress.mode.kind();
        if !self.capabilities.egress.contains(&kind) {
            return unsupported(format!("egress of type {} is not enforced", kind.as_str()));
        }
        Ok(())
    }
}

impl Fake {
    fn handed(&self) -> MutexGuard<'_, BTreeMap<SandboxId, SecretValues>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_paused(&self, id: SandboxId, is_paused: bool) -> Result<(), PauseError> {
        if !self.capabilities.pause {
            return Err(PauseError::Unsupported);
        }
        let mut done = Err(PauseError::NotRunning);
        self.world.update(id, |entry| {
            let (View::Running { since, address } | View::Paused { since, address }) = &entry.view
            else {
                return;
            };
            let (since, address) = (*since, address.clone());
            entry.view = if is_paused {
                View::Paused { since, address }
            } else {
                View::Running { since, address }
            };
            done = Ok(());
        });
        done
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SandboxId, Entry>> {
        self.sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is here, for a test to look at.
    pub fn ids(&self) -> Vec<SandboxId> {
        self.lock().keys().copied().collect()
    }

    /// Lets no main process begin, as an image that takes long; or lets them.
    pub fn hold_starts(&self, are_held: bool) {
        self.are_starts_held.send_replace(are_held);
    }

    /// Holds up files that are written, as a slow disk would; or lets go of them.
    pub fn hold_uploads(&self, are_held: bool) {
        self.uploads.hold(are_held);
    }

    /// The paths of the files that are held up now.
    pub fn uploads_held(&self) -> Vec<String> {
        self.uploads.held()
    }

    /// Refuses a flow of a sandbox, which has no network here.
    pub fn deny(&self, id: SandboxId, flow: DeniedFlow) {
        self.update(id, |entry| {
            entry.denied.push(flow);
            let surplus = entry.denied.len().saturating_sub(Denials::RECENT_MAX);
            entry.denied.drain(..surplus);
            entry.denied_total += 1;
        });
    }

    fn hint(&self, id: SandboxId) -> watch::Sender<u64> {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        hints
            .entry(id)
            .or_insert_with(|| watch::channel(0).0)
            .clone()
    }

    fn changed(&self, id: SandboxId) {
        self.hint(id).send_modify(|number| *number += 1);
    }

    /// Real clocks are banned outside their seam; time since the world began
    /// is enough, and paused tests control it.
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.saturating_add(self.started.elapsed())
    }

    fn update(&self, id: SandboxId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().get_mut(&id) {
            change(entry);
        }
        self.changed(id);
    }

    fn print(&self, id: SandboxId, text: String) {
        let at = self.now();
        self.update(id, |entry| {
            let data = Bytes::from(text);
            let offset = entry.log_len;
            entry.log_len += data.len() as u64;
            entry.log.push(LogChunk { offset, at, data });
        });
    }

    fn end(&self, id: SandboxId, exit: Exit) {
        let at = self.now();
        self.update(id, |entry| {
            let since = match &entry.view {
                View::Running { since, .. } | View::Paused { since, .. } => Some(*since),
                View::Stopping { since } => *since,
                View::Starting(_) | View::Ended { .. } | View::Failed { .. } => None,
            };
            if !entry.view.is_over() {
                entry.view = View::Ended {
                    since,
                    at,
                    exit: Some(exit),
                    reason: String::new(),
                    stopped: entry.stop.is_some(),
                };
            }
            entry.kill.cancel();
        });
    }

    /// Waits until the sandbox was asked to end, or is gone.
    async fn asked_to_stop(&self, id: SandboxId) {
        let mut hints = self.hint(id).subscribe();
        loop {
            hints.mark_unchanged();
            if self
                .lock()
                .get(&id)
                .is_none_or(|entry| entry.stop.is_some())
            {
                return;
            }
            if hints.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the sandbox is not frozen, or is gone.
    async fn thawed(&self, id: SandboxId) {
        let mut hints = self.hint(id).subscribe();
        loop {
            hints.mark_unchanged();
            let frozen = |entry: &Entry| matches!(entry.view, View::Paused { .. });
            if !self.lock().get(&id).is_some_and(frozen) || hints.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until the grace of a stop has passed, or the sandbox is gone.
    async fn grace_passed(&self, id: SandboxId) {
        let mut hints = self.hint(id).subscribe();
        loop {
            hints.mark_unchanged();
            let deadline = match self.lock().get(&id) {
                None => return,
                Some(entry) => entry.stop,
            };
            let Some(deadline) = deadline else {
                let _ = hints.changed().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                // A later stop may have moved the deadline.
                _ = hints.changed() => {}
            }
        }
    }

    /// The life of one simulated main process.
    async fn live(self: Arc<Self>, id: SandboxId, acts: Vec<Act>, kill: CancellationToken) {
        let mut are_held = self.are_starts_held.subscribe();
        tokio::select! {
            // The sender is here as long as this is.
            _ = are_held.wait_for(|are_held| !are_held) => {}
            () = kill.cancelled() => return,
        }
        let since = self.now();
        self.update(id, |entry| {
            entry.view = View::Running {
                since,
                address: String::new(),
            };
        });
        for act in acts {
            match act {
                Act::Out(text) | Act::Err(text) => self.print(id, text),
                Act::Bytes(count) => self.print(id, "x".repeat(job::bounded(count))),
                Act::Exit(code) => return self.end(id, Exit(code)),
                Act::UntilStopped => {
                    tokio::select! {
                        () = self.asked_to_stop(id) => return self.end(id, Exit(143)),
                        () = kill.cancelled() => return,
                    }
                }
                Act::IgnoreStop => {
                    tokio::select! {
                        () = self.grace_passed(id) => return self.end(id, Exit(137)),
                        () = kill.cancelled() => return,
                    }
                }
                // Whoever connects is answered for as long as it runs.
                Act::Echo(_) | Act::Cat | Act::Environment => {}
            }
        }
        self.end(id, Exit(0));
    }
}

#[async_trait]
impl Backend for Fake {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// Nothing lies around sandboxes without a network.
    fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }

    async fn capacity(&self) -> Result<Capacity, CapacityError> {
        Ok(self.capacity)
    }

    async fn ensure(&self, launch: &Launch) -> Result<(), EnsureError> {
        self.check(launch)?;
        let world = &self.world;
        let kill = CancellationToken::new();
        let view = if launch.workload.image.as_str() == IMAGE {
            View::Starting("starting".to_owned())
        } else {
            View::Failed {
                at: world.now(),
                reason: format!("there is no image {}", launch.workload.image),
            }
        };
        let handed = self.handed().remove(&launch.id).unwrap_or_default();
        let secrets = handed.serve(&launch.secrets).then_some(handed);
        let starts = !view.is_over() && secrets.is_some();
        {
            let mut sandboxes = world.lock();
            if sandboxes.contains_key(&launch.id) {
                return Ok(());
            }
            sandboxes.insert(
                launch.id,
                Entry {
                    launch: launch.clone(),
                    view,
                    stop: None,
                    kill: kill.clone(),
                    log: Vec::new(),
                    log_len: 0,
                    files: BTreeMap::new(),
                    execs: 0,
                    secrets,
                    denied: Vec::new(),
                    denied_total: 0,
                },
            );
        }
        world.changed(launch.id);
        if starts {
            let acts = job::acts(&launch.workload.command);
            world.tasks.spawn(world.clone().live(launch.id, acts, kill));
        }
        Ok(())
    }

    fn provide_secrets(&self, id: SandboxId, secrets: SecretValues) {
        let mut starting = None;
        match self.world.lock().get_mut(&id) {
            None => {
                self.handed().insert(id, secrets);
            }
            Some(entry) if entry.secrets.is_none() && secrets.serve(&entry.launch.secrets) => {
                entry.secrets = Some(secrets);
                let acts = job::acts(&entry.launch.workload.command);
                starting = Some((acts, entry.kill.clone()));
            }
            Some(_) => {}
        }
        if let Some((acts, kill)) = starting {
            let world = self.world.clone();
            self.world.tasks.spawn(world.live(id, acts, kill));
        }
    }

    async fn stop(&self, id: SandboxId, grace: Duration) -> Result<(), StopError> {
        let deadline = tokio::time::Instant::now() + grace;
        self.world.update(id, |entry| {
            entry.stop = Some(entry.stop.map_or(deadline, |earlier| earlier.min(deadline)));
            if let View::Running { since, .. } | View::Paused { since, .. } = entry.view {
                entry.view = View::Stopping { since: Some(since) };
            }
        });
        Ok(())
    }

    async fn pause(&self, id: SandboxId) -> Result<(), PauseError> {
        self.set_paused(id, true)
    }

    async fn resume(&self, id: SandboxId) -> Result<(), PauseError> {
        self.set_paused(id, false)
    }

    async fn remove(&self, id: SandboxId) -> Result<(), RemoveError> {
        self.handed().remove(&id);
        if let Some(entry) = self.world.lock().remove(&id) {
            entry.kill.cancel();
        }
        self.world.changed(id);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Sighting>, ListError> {
        Ok(self.world.lock().values().map(sighting).collect())
    }

    async fn get(&self, id: SandboxId) -> Result<Option<Sighting>, ListError> {
        Ok(self.world.lock().get(&id).map(sighting))
    }

    fn changes(&self, id: SandboxId) -> watch::Receiver<u64> {
        self.world.hint(id).subscribe()
    }

    async fn usage(&self, id: SandboxId) -> Option<Usage> {
        let sandboxes = self.world.lock();
        let entry = sandboxes.get(&id)?;
        (!entry.view.is_over()).then_some(Usage {
            cpu: CpuUse::TotalMicros(0),
            memory_bytes: 1 << 20,
            pids: Some(1 + entry.execs),
        })
    }

    async fn denials(&self, id: SandboxId) -> Option<Denials> {
        let sandboxes = self.world.lock();
        let entry = sandboxes.get(&id)?;
        (!entry.view.is_over()).then(|| entry.denials())
    }
}

impl Entry {
    fn denials(&self) -> Denials {
        Denials {
            profile: self.launch.profile,
            mode: self.launch.egress.name.clone(),
            packets: self.denied_total,
            incoming: 0,
            questions: 0,
            recent: self.denied.clone(),
        }
    }
}

fn sighting(entry: &Entry) -> Sighting {
    Sighting {
        launch: entry.launch.clone(),
        view: entry.view.clone(),
    }
}
