//! Making sandboxes exist, and seeing which ones do.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::denial::Denials;
use palisade_model::id::SandboxId;
use palisade_model::policy::Surroundings;
use palisade_model::pool::Rooms;
use palisade_model::runner::{Capabilities, Capacity};
use palisade_model::sandbox::{Exit, Launch};
use palisade_model::secret::SecretValues;
use tokio::sync::watch;

/// Runs sandboxes: as containers on this host, or as pods in a cluster.
///
/// # Contract
///
/// * Every call is idempotent, and may be repeated after a crash.
/// * A backend remembers nothing that `list` does not show: after a restart,
///   `list` returns every sandbox that was ever made and is not yet removed,
///   with the launch that it was made from.
/// * A second `ensure` of the same id does not start a second sandbox, and does
///   not start one again that has ended.
/// * The network policy of the launch is in force before the first process of
///   the sandbox runs, and as long as any of them runs.
/// * A feature that is not in [`Capabilities`] is refused, never ignored.
/// * Values of secrets are handed over in memory, before `ensure` and again after
///   a crash. They are in the environment of the main process and of commands,
///   and in nothing that `list` shows.
/// * A sandbox whose launch names secrets does not start before their values are
///   there; it is shown as starting until then.
/// * What `surroundings` tells is what network policies are made from; whoever
///   decides from it decides alike.
/// * A sandbox that `list` shows as ended keeps its logs until it is removed,
///   and nothing else: all other things that it held are free again.
/// * After `remove` nothing of the sandbox is left: no process, mount, network
///   interface, rule, address or file.
/// * Nothing in a paused sandbox runs, and all its memory is kept; commands and
///   files in it are refused, its logs can be read, and it is shown as paused,
///   after a crash as well, until it is resumed.
/// * Pausing what is paused and resuming what runs succeeds. What is starting,
///   ending or over, or never was, can be neither.
/// * A paused sandbox can be asked to end as one that runs, and removed.
/// * A call that is dropped half-way leaves nothing that `remove` would miss.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// What this backend can do. May change while it runs.
    fn capabilities(&self) -> Capabilities;

    /// What lies around the sandboxes. May change while it runs.
    fn surroundings(&self) -> Surroundings;

    /// What there is of ports and addresses in front of sandboxes, if this backend gives them
    /// out itself. A launch that finds none left fails with the reason.
    fn rooms(&self) -> Rooms {
        Rooms::default()
    }

    /// How much there is in all for sandboxes to use.
    async fn capacity(&self) -> Result<Capacity, CapacityError>;

    /// Makes the sandbox exist as described; does not wait until it runs.
    ///
    /// Succeeds once the wish is recorded; what becomes of it is seen in `list`.
    async fn ensure(&self, launch: &Launch) -> Result<(), EnsureError>;

    /// Hands over the values of secrets that the launch of a sandbox names. Call it
    /// before `ensure`; they are forgotten once the sandbox has started or is gone.
    ///
    /// This one is for backends without the capability.
    fn provide_secrets(&self, id: SandboxId, secrets: SecretValues) {
        let _ = (id, secrets);
    }

    /// Asks the main process to end, and kills everything after `grace`.
    ///
    /// Returns once that is under way. Succeeds if the sandbox has ended or
    /// never existed. A later call can shorten the grace.
    async fn stop(&self, id: SandboxId, grace: Duration) -> Result<(), StopError>;

    /// Freezes everything in the sandbox. Returns when that is done.
    ///
    /// This one is for backends without the capability.
    async fn pause(&self, id: SandboxId) -> Result<(), PauseError> {
        let _ = id;
        Err(PauseError::Unsupported)
    }

    /// Lets everything in the sandbox go on. Returns when that is done.
    ///
    /// This one is for backends without the capability.
    async fn resume(&self, id: SandboxId) -> Result<(), PauseError> {
        let _ = id;
        Err(PauseError::Unsupported)
    }

    /// Ends the sandbox at once and frees everything that it holds.
    ///
    /// Returns when that is done. Succeeds if it never existed.
    async fn remove(&self, id: SandboxId) -> Result<(), RemoveError>;

    /// Returns what exists now.
    async fn list(&self) -> Result<Vec<Sighting>, ListError>;

    /// Returns one sandbox as it is now, or `None` if it does not exist.
    async fn get(&self, id: SandboxId) -> Result<Option<Sighting>, ListError>;

    /// A number that changes whenever `get` of this sandbox may answer anew.
    ///
    /// A hint to look, and nothing more: looking without a hint is as good.
    fn changes(&self, id: SandboxId) -> watch::Receiver<u64>;

    /// What the sandbox uses now; `None` if it does not run, or if that is not
    /// known: the capabilities say why where it never is.
    async fn usage(&self, id: SandboxId) -> Option<Usage>;

    /// What was refused to the sandbox on the network so far; `None` if it does
    /// not run, or if that is not known, as above.
    async fn denials(&self, id: SandboxId) -> Option<Denials>;
}

/// One sandbox as the backend sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// What it was made from.
    pub launch: Launch,
    /// Where it is.
    pub view: View,
}

/// Where a sandbox is, as the backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Being made; the text says what is happening, for a person.
    Starting(String),
    /// Its main process runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// Where it can be reached from outside; may be empty.
        address: String,
    },
    /// Its main process has started, and everything in it is frozen.
    Paused {
        /// Since when its main process runs.
        since: Timestamp,
        /// Where it can be reached from outside; may be empty.
        address: String,
    },
    /// Its main process runs and was asked to end.
    Stopping {
        /// Since when it runs; `None` if it never did.
        since: Option<Timestamp>,
    },
    /// Its main process has ended, and so has everything else in it.
    Ended {
        /// Since when it ran.
        since: Option<Timestamp>,
        /// When it ended.
        at: Timestamp,
        /// How the main process ended, if that is known.
        exit: Option<Exit>,
        /// Why, where the exit does not say it: out of memory, say.
        reason: String,
        /// Whether it ended because it was asked to.
        stopped: bool,
    },
    /// It could not be made. Nothing of it runs.
    Failed {
        /// When that was known.
        at: Timestamp,
        /// Why, in words for a person.
        reason: String,
    },
}

impl View {
    /// Whether nothing of the sandbox runs any more.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Ended { .. } | Self::Failed { .. } => true,
            Self::Starting(_)
            | Self::Running { .. }
            | Self::Paused { .. }
            | Self::Stopping { .. } => false,
        }
    }
}

/// What a sandbox uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU in use.
    pub cpu: CpuUse,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads; `None` if nobody counts them.
    pub pids: Option<u64>,
}

/// CPU in use, as the backend can measure it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuUse {
    /// The time used so far, in microseconds.
    TotalMicros(u64),
    /// Thousandths of a CPU in use of late.
    Millis(u64),
}

/// Why a sandbox was not taken on.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// The launch needs something that this backend cannot do.
    #[error("{what}")]
    Unsupported {
        /// What, in words for a person.
        what: String,
    },
    /// The wish could not be recorded.
    #[error("could not record the sandbox")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The capacity could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("could not measure the capacity")]
pub struct CapacityError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A sandbox could not be asked to end.
#[derive(Debug, thiserror::Error)]
#[error("could not stop the sandbox")]
pub struct StopError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A sandbox could not be paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// This backend can pause no sandbox; its capabilities say so.
    #[error("this backend cannot pause sandboxes")]
    Unsupported,
    /// It is starting, ending or over, or there is no such sandbox.
    #[error("the sandbox is not running")]
    NotRunning,
    /// It is as it was.
    #[error("could not pause or resume the sandbox")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Something of the sandbox could not be freed; calling again tries again.
#[derive(Debug, thiserror::Error)]
#[error("could not remove the sandbox")]
pub struct RemoveError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What exists could not be seen.
#[derive(Debug, thiserror::Error)]
#[error("could not list the sandboxes")]
pub struct ListError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
