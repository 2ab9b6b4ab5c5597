//! One sandbox: what is wished of it, and what the cluster shows of it.
//!
//! Wishes come from the backend, sights from the watches; the driver of the
//! sandbox reads both and is the only one that acts.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::sync::watch;

use crate::direct::Seat;
use crate::manifest::Owner;
use crate::view::{self, Around, Verdict};
use crate::{address, end, slim};

/// The record of a sandbox, as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) owner: Owner,
    /// The end that is written in it.
    pub(crate) end: Option<View>,
}

/// What the cluster shows.
///
/// Of objects there is only what [`crate::slim`] keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) launch: Option<Arc<Launch>>,
    pub(crate) record: Option<Record>,
    pub(crate) pod: Option<Arc<Pod>>,
    pub(crate) service: Option<Arc<Service>>,
    pub(crate) ingress: Option<Arc<Ingress>>,
    /// Set once a pod was made: there is never a second one.
    pub(crate) had_pod: bool,
    /// Whether it is being removed, so that nothing is lost when things go.
    pub(crate) is_leaving: bool,
    /// What ended it although no record says so any more.
    pub(crate) lost: Option<View>,
}

/// What is wished.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// When it has to have ended.
    pub(crate) stop_by: Option<Timestamp>,
    /// Counts the calls that want it gone.
    pub(crate) removals: u64,
}

/// What became of wishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Whether it is recorded, or why it cannot be.
    pub(crate) recorded: Option<Result<(), NotRecorded>>,
    /// The stop that is under way.
    pub(crate) stopping_by: Option<Timestamp>,
    /// Why the stop is not under way.
    pub(crate) stop_failure: Option<(Timestamp, String)>,
    /// Up to which call it was removed.
    pub(crate) removed: u64,
    /// Why this call did not remove it.
    pub(crate) removal_failure: Option<(u64, String)>,
}

/// Why there is no record.
#[derive(Clone, Debug)]
pub(crate) enum NotRecorded {
    /// It cannot be made.
    Refused(String),
    /// It could not be made now.
    Failed(String),
}

/// One sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    id: SandboxId,
    seen: Mutex<Seen>,
    /// What can be talked to past the API server.
    pub(crate) seat: Seat,
    /// Whether it has a driver.
    pub(crate) is_driven: AtomicBool,
    pub(crate) wish: watch::Sender<Wish>,
    pub(crate) progress: watch::Sender<Progress>,
}

impl Sandbox {
    pub(crate) fn new(id: SandboxId, launch: Option<Arc<Launch>>) -> Self {
        let seen = Seen {
            launch,
            ..Seen::default()
        };
        Self {
            id,
            seen: Mutex::new(seen),
            seat: Seat::default(),
            is_driven: AtomicBool::new(false),
            wish: watch::Sender::new(Wish::default()),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    pub(crate) fn id(&self) -> SandboxId {
        self.id
    }

    /// What the cluster shows now.
    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Takes in what the cluster shows.
    pub(crate) fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What the pod says, unless the sandbox has ended without one.
    pub(crate) fn verdict(&self, is_overdue: bool, now: Timestamp) -> Verdict {
        let ended = self.record.as_ref().and_then(|record| record.end.clone());
        if let Some(end) = ended.or_else(|| self.lost.clone()) {
            return Verdict::At(end);
        }
        let (Some(pod), Some(launch)) = (&self.pod, &self.launch) else {
            return Verdict::At(View::Starting("its objects are being made".to_owned()));
        };
        let address = address::of(
            launch,
            pod,
            self.service.as_deref(),
            self.ingress.as_deref(),
        );
        let around = Around {
            address: address.as_deref().unwrap_or_default(),
            awaits_address: address.is_none() && address::is_awaited(launch),
            is_overdue,
        };
        view::verdict(pod, around, now)
    }

    /// Where the sandbox is.
    pub(crate) fn view(&self, now: Timestamp) -> View {
        match self.verdict(false, now) {
            Verdict::At(view) => view,
            Verdict::Hopeless(reason) => View::Starting(reason),
        }
    }

    /// Takes note of an end that the record now holds.
    pub(crate) fn write_end(&mut self, view: View) {
        if let Some(record) = &mut self.record {
            record.end = Some(view);
        }
    }

    /// Takes note of a pod that was made; what a watch showed of it is newer.
    pub(crate) fn put_made(&mut self, pod: Option<Pod>) {
        self.had_pod = true;
        self.pod = self.pod.take().or(pod.map(slim::pod));
    }

    /// Whether what the pod says of the end goes with it, or may yet change: it is
    /// being deleted by somebody, or is still shown to run.
    pub(crate) fn is_fleeting(&self) -> bool {
        let pod = self.pod.as_deref();
        pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some() || view::is_running(pod))
    }

    /// Whether an end is written down already.
    pub(crate) fn has_end(&self) -> bool {
        let record = self.record.as_ref();
        self.lost.is_some() || record.is_some_and(|record| record.end.is_some())
    }
}

/// The record that a Secret is.
pub(crate) fn record_of(secret: &k8s_openapi::api::core::v1::Secret) -> Option<Record> {
    let metadata = &secret.metadata;
    Some(Record {
        owner: Owner {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
        },
        end: end::decode(metadata.annotations.as_ref()),
    })
}
