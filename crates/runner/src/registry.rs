//! Which sandboxes this runner drives.
//!
//! The registry owns the wishes and the driver tasks; a wish for a sandbox
//! without a driver starts one. Entries of drivers that ended are dropped at
//! the next touch, so that the map is never larger than what is driven.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_backend::ListError;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use palisade_model::secret::SecretValues;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::driver::{Driver, Tools, Wish};

/// The drivers of a runner.
#[derive(Debug)]
pub(crate) struct Registry {
    tools: Tools,
    tasks: TaskTracker,
    stop: CancellationToken,
    drivers: Mutex<BTreeMap<SandboxId, watch::Sender<Wish>>>,
}

impl Registry {
    pub(crate) fn new(tools: Tools, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            tools,
            tasks,
            stop,
            drivers: Mutex::default(),
        }
    }

    /// Starts a driver for everything that the backend already holds.
    pub(crate) async fn adopt(&self) -> Result<usize, ListError> {
        let held = self.tools.backend.list().await?;
        let count = held.len();
        for sighting in held {
            self.wish(sighting.launch.id, |_| {});
        }
        Ok(count)
    }

    /// The sandboxes that are driven now.
    pub(crate) fn ids(&self) -> Vec<SandboxId> {
        let mut drivers = self.lock();
        drivers.retain(|_, wish| !wish.is_closed());
        drivers.keys().copied().collect()
    }

    /// Wishes for a sandbox to exist, with the values of its secrets. Those go to
    /// the backend at once and stay nowhere else.
    pub(crate) fn launch(&self, launch: Launch, secrets: SecretValues) {
        if !secrets.is_empty() {
            self.tools.backend.provide_secrets(launch.id, secrets);
        }
        self.wish(launch.id, |wish| wish.launch = Some(Arc::new(launch)));
    }

    /// Wishes for a sandbox to end within `grace`.
    pub(crate) fn stop(&self, id: SandboxId, grace: Duration) {
        let by = self.tools.clock.now().saturating_add(grace);
        self.wish(id, |wish| {
            wish.stop_by = Some(wish.stop_by.map_or(by, |earlier| earlier.min(by)));
        });
    }

    /// Wishes for a sandbox to be frozen, or to go on.
    pub(crate) fn set_paused(&self, id: SandboxId, is_paused: bool) {
        self.wish(id, |wish| wish.paused = Some(is_paused));
    }

    /// Wishes for a sandbox to be gone.
    pub(crate) fn remove(&self, id: SandboxId) {
        self.wish(id, |wish| wish.is_unwanted = true);
    }

    /// Reports a sandbox as failed that cannot be made, and why.
    pub(crate) fn refuse(&self, id: SandboxId, reason: &'static str) {
        self.wish(id, |wish| wish.refusal = Some(reason));
    }

    /// Removes everything that is not in `keep`.
    pub(crate) fn retain(&self, keep: &BTreeSet<SandboxId>) {
        for id in self.ids() {
            if !keep.contains(&id) {
                self.remove(id);
            }
        }
    }

    fn wish(&self, id: SandboxId, change: impl FnOnce(&mut Wish)) {
        let mut drivers = self.lock();
        let sender = drivers
            .entry(id)
            .and_modify(|sender| {
                if sender.is_closed() {
                    *sender = self.start(id);
                }
            })
            .or_insert_with(|| self.start(id));
        sender.send_modify(change);
    }

    fn start(&self, id: SandboxId) -> watch::Sender<Wish> {
        let (sender, wishes) = watch::channel(Wish::default());
        let driver = Driver::new(id, self.tools.clone(), wishes);
        self.tasks.spawn(driver.run(self.stop.clone()));
        sender
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SandboxId, watch::Sender<Wish>>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
