//! What all sandboxes of one backend share.
//!
//! Owned by the backend and its drivers. Dropping it leaves everything on the
//! host as it is: sandboxes go on, and the next run finds them.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use palisade_backend::View;
use palisade_image::{Holder, HolderError};
use palisade_model::id::SandboxId;
use palisade_model::runner::Resources;
use palisade_model::sandbox::Launch;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgroup::Cgroups;
use crate::config::LinuxConfig;
use crate::container::Identities;
use crate::file_system::Maker;
use crate::ingress::{self, EntryError, Ingress};
use crate::network::{DetachError, Network};
use crate::records::{Record, Records};
use crate::sandbox::Sandbox;
use crate::secrets::Handed;
use crate::services;
use crate::state::{Held, SandboxState, State};

/// What all sandboxes of one backend share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: LinuxConfig,
    pub(crate) state: State,
    pub(crate) network: Network,
    /// The HTTP entry point, if there is one.
    pub(crate) ingress: Option<Ingress>,
    /// Tells others under which names sandboxes are to be found; there from before
    /// the first of them has a driver.
    pub(crate) records: OnceLock<Records>,
    pub(crate) cgroups: Cgroups,
    pub(crate) identities: Identities,
    /// What makes file systems for sandboxes, if this host can.
    pub(crate) file_systems: Option<Maker>,
    /// The program that becomes process 1.
    pub(crate) init: PathBuf,
    /// Everything that sandboxes may use together.
    pub(crate) total: Resources,
    /// Bounds how many are started at a time.
    pub(crate) starts: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// What moves commands and logs; each ends with whoever asked for it.
    pub(crate) attached: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) sandboxes: Mutex<HashMap<SandboxId, Arc<Sandbox>>>,
    pub(crate) hints: Hints,
    /// Values of secrets of sandboxes that are still to start.
    pub(crate) handed: Handed,
    /// Nobody else has opened this state as long as this is held.
    pub(crate) _lock: Held,
}

/// Tells those who watch a sandbox when to look again.
#[derive(Debug, Default)]
pub(crate) struct Hints(Mutex<HashMap<SandboxId, watch::Sender<u64>>>);

impl Hints {
    /// Watches a sandbox, whether it exists or not.
    pub(crate) fn subscribe(&self, id: SandboxId) -> watch::Receiver<u64> {
        let mut hints = self.lock();
        if hints.len() > Self::TIDY_ABOVE && !hints.contains_key(&id) {
            hints.retain(|_, hint| hint.receiver_count() > 0);
        }
        hints.entry(id).or_default().subscribe()
    }

    /// How many may be kept before those that nobody watches go.
    const TIDY_ABOVE: usize = 4_096;

    /// Tells that there may be something new to see.
    pub(crate) fn hint(&self, id: SandboxId) {
        if let Some(hint) = self.lock().get(&id) {
            hint.send_modify(|count| *count += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(crate) fn sandboxes(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<Sandbox>>> {
        self.sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sandbox(&self, id: SandboxId) -> Option<Arc<Sandbox>> {
        self.sandboxes().get(&id).cloned()
    }

    /// Shows a view of a sandbox and tells those who watch.
    pub(crate) fn show(&self, sandbox: &Sandbox, view: View) {
        sandbox.show(view);
        self.hints.hint(sandbox.id());
    }

    /// Waits until a sandbox is not frozen, or is gone.
    pub(crate) async fn resumed(&self, id: SandboxId) {
        let mut hints = self.hints.subscribe(id);
        loop {
            hints.mark_unchanged();
            let view = self.sandbox(id).map(|sandbox| sandbox.view());
            let is_paused = matches!(view, Some(View::Paused { .. }));
            if !is_paused || hints.changed().await.is_err() {
                return;
            }
        }
    }

    /// Who holds the image of a sandbox.
    pub(crate) fn holder(&self, id: SandboxId) -> Result<Holder, HolderError> {
        format!("{}{id}", self.holder_prefix()).parse()
    }

    /// What the names of this backend's holders begin with.
    pub(crate) fn holder_prefix(&self) -> String {
        format!("{}.", self.config.network.instance)
    }

    /// Ends whatever runs of a sandbox and frees all that it holds but its
    /// logs and records. Blocks.
    pub(crate) fn free(&self, state: &SandboxState) -> io::Result<()> {
        let id = state.id();
        // What is starting it has to be done first, or it would appear later.
        let starting = state.wait_for_starts()?;
        if let Some(ingress) = &self.ingress {
            ingress.close_to(id);
        }
        if let Some(records) = self.records.get() {
            records.remove(id);
        }
        self.cgroups.remove(id)?;
        self.detach(id)?;
        for class in self.config.handlers.keys() {
            state.forget_runtime(&self.state.runtime(class.as_str()))?;
        }
        let owner = state.disk_owner();
        state.free()?;
        if let Some(owner) = owner {
            self.identities.give_back(owner);
        }
        drop(starting);
        Ok(())
    }

    /// Has a sandbox found under its host name, if it has one.
    pub(crate) fn open_entry(&self, launch: &Launch) -> Result<(), EntryError> {
        let Some(host) = ingress::host_name(launch) else {
            return Ok(());
        };
        let entry = self.ingress.as_ref().ok_or(EntryError::NoEntry)?;
        let addresses = self.network.addresses(launch.id);
        let target = addresses.and_then(|addresses| ingress::target(launch, addresses.v4.into()));
        entry.open_to(launch.id, &host, target.ok_or(EntryError::NoPort)?)
    }

    /// Where clients from outside find a sandbox; empty if they do not.
    pub(crate) fn service_address(&self, launch: &Launch) -> String {
        let host = ingress::host_name(launch);
        if let Some((host, ingress)) = host.zip(self.ingress.as_ref()) {
            return ingress.address(&host);
        }
        let address = self.network.service_address(launch.id);
        address.map_or_else(String::new, |address| address.to_string())
    }

    /// What others are told of a sandbox, if its ingress level wants that.
    pub(crate) fn record(&self, launch: &Launch) -> Option<Record> {
        let annotation = services::name(launch)?;
        let found = self.network.found_at(launch.id);
        let (addresses, doors) = found.map_or_else(
            || (vec![self.network.node()], services::doors(launch)),
            |found| (found.addresses, found.doors),
        );
        let service_address = self.service_address(launch);
        (!service_address.is_empty()).then(|| Record {
            key: annotation.key().to_owned(),
            value: annotation.value().to_owned(),
            addresses,
            ports: doors.iter().map(|door| door.port).collect(),
            service_address,
        })
    }

    /// Tells others under which name a sandbox is found, if anybody asks. Blocks.
    pub(crate) fn tell_name(&self, launch: &Launch) {
        let record = self.record(launch);
        if let Some((records, record)) = self.records.get().zip(record) {
            records.insert(launch.id, record);
        }
    }

    fn detach(&self, id: SandboxId) -> io::Result<()> {
        match self.network.detach(id) {
            Ok(()) => Ok(()),
            Err(
                error @ (DetachError::Busy(_)
                | DetachError::Rules(_)
                | DetachError::Host(_)
                | DetachError::Kernel(_)),
            ) => Err(io::Error::other(error)),
        }
    }
}
