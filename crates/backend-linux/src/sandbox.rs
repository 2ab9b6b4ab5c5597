//! One sandbox in memory: what is wished of it, and what is seen.
//!
//! The driver is the only one that acts; everybody else sets wishes and looks.
//! Nothing in here is the truth about a sandbox: that is in its directory and
//! in the kernel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_backend::{Sighting, View};
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::state::SandboxState;

/// A sandbox that exists.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) launch: Launch,
    pub(crate) state: SandboxState,
    view: Mutex<View>,
    wish: watch::Sender<Wish>,
    recorded: watch::Sender<Recorded>,
    removal: watch::Sender<Removal>,
    frozen: watch::Sender<Frozen>,
    /// Whoever holds this decides whether the sandbox is frozen: the driver, or an
    /// archiving for as long as it reads.
    pub(crate) stillness: Arc<tokio::sync::Mutex<()>>,
}

/// What is wished of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// When it must have ended, once somebody asked for that.
    pub(crate) stop_by: Option<Instant>,
    /// Whether it should be frozen, as somebody asked last.
    pub(crate) freeze: Freeze,
    /// How often somebody asked for it to be removed.
    pub(crate) removals: u64,
}

/// Whether a sandbox should be frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freeze {
    pub(crate) is_wanted: bool,
    /// How often that was asked.
    pub(crate) attempt: u64,
}

/// How the freezing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frozen {
    /// All up to this attempt were followed; the outcome is that of the last.
    Followed {
        attempt: u64,
        outcome: Result<(), FreezeFailure>,
    },
    /// It is about to end, or has: none is followed any more.
    Never,
}

/// Why a sandbox was not frozen, or does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FreezeFailure {
    NotRunning,
    Failed(String),
}

/// Whether the wish that it exists is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    NotYet,
    Yes,
    Failed(String),
}

/// How the removal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    NotYet,
    /// This attempt failed.
    Failed {
        attempt: u64,
        message: String,
    },
    Done,
}

impl Sandbox {
    pub(crate) fn new(launch: Launch, state: SandboxState, view: View) -> Self {
        Self {
            launch,
            state,
            view: Mutex::new(view),
            wish: watch::Sender::default(),
            recorded: watch::Sender::new(Recorded::NotYet),
            removal: watch::Sender::new(Removal::NotYet),
            frozen: watch::Sender::new(Frozen::Followed {
                attempt: 0,
                outcome: Ok(()),
            }),
            stillness: Arc::default(),
        }
    }

    pub(crate) fn id(&self) -> SandboxId {
        self.launch.id
    }

    pub(crate) fn view(&self) -> View {
        self.lock().clone()
    }

    pub(crate) fn sighting(&self) -> Sighting {
        Sighting {
            launch: self.launch.clone(),
            view: self.view(),
        }
    }

    /// Shows another view. The driver's own; it tells those who watch as well.
    pub(crate) fn show(&self, view: View) {
        *self.lock() = view;
    }

    /// Wishes it to end within so long; of several wishes the soonest counts.
    pub(crate) fn wish_stop(&self, grace: Duration) {
        let by = Instant::now().checked_add(grace);
        // So long that there is no such instant: asked to end, but never made to.
        let by = by.unwrap_or_else(|| Instant::now() + Duration::from_hours(24 * 365));
        self.wish.send_if_modified(|wish| {
            let is_sooner = wish.stop_by.is_none_or(|known| by < known);
            if is_sooner {
                wish.stop_by = Some(by);
            }
            is_sooner
        });
    }

    /// Whether somebody asked for it to end. On a full disk that may not be written down.
    pub(crate) fn is_stop_asked(&self) -> bool {
        self.wish.borrow().stop_by.is_some() || self.state.is_stop_recorded()
    }

    /// Wishes it frozen, or to go on; gives the number of this wish.
    pub(crate) fn wish_freeze(&self, is_wanted: bool) -> u64 {
        let mut attempt = 0;
        self.wish.send_modify(|wish| {
            attempt = wish.freeze.attempt + 1;
            wish.freeze = Freeze { is_wanted, attempt };
        });
        attempt
    }

    /// Tells how the freezing goes. The driver's own.
    pub(crate) fn set_frozen(&self, frozen: Frozen) {
        self.frozen.send_replace(frozen);
    }

    /// Waits until this attempt, or a later one, was followed or failed.
    pub(crate) async fn wait_until_followed(&self, attempt: u64) -> Result<(), FreezeFailure> {
        let mut frozen = self.frozen.subscribe();
        let is_known = |frozen: &Frozen| match frozen {
            Frozen::Followed { attempt: done, .. } => *done >= attempt,
            Frozen::Never => true,
        };
        let known = frozen.wait_for(is_known).await;
        match known.as_deref() {
            Ok(Frozen::Followed { outcome, .. }) => outcome.clone(),
            Ok(Frozen::Never) | Err(_) => Err(FreezeFailure::NotRunning),
        }
    }

    /// Wishes it gone; gives the number of this wish.
    pub(crate) fn wish_removal(&self) -> u64 {
        let mut attempt = 0;
        self.wish.send_modify(|wish| {
            wish.removals += 1;
            attempt = wish.removals;
        });
        attempt
    }

    pub(crate) fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    /// Whether somebody asked for it to be removed.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.wish.borrow().removals > 0
    }

    pub(crate) fn set_recorded(&self, recorded: Recorded) {
        self.recorded.send_replace(recorded);
    }

    pub(crate) fn set_removal(&self, removal: Removal) {
        self.removal.send_replace(removal);
    }

    /// Waits until it is known whether the wish is written down.
    pub(crate) async fn wait_until_recorded(&self) -> Result<(), String> {
        let mut recorded = self.recorded.subscribe();
        let known = recorded
            .wait_for(|recorded| *recorded != Recorded::NotYet)
            .await;
        match known.as_deref() {
            Ok(Recorded::Yes) => Ok(()),
            Ok(Recorded::Failed(message)) => Err(message.clone()),
            Ok(Recorded::NotYet) | Err(_) => Err("the backend is closing".to_owned()),
        }
    }

    /// Waits until this attempt, or a later one, has removed it or failed.
    pub(crate) async fn wait_until_removed(&self, attempt: u64) -> Result<(), String> {
        let mut removal = self.removal.subscribe();
        let is_known = |removal: &Removal| match removal {
            Removal::NotYet => false,
            Removal::Failed {
                attempt: failed, ..
            } => *failed >= attempt,
            Removal::Done => true,
        };
        let known = removal.wait_for(is_known).await;
        match known.as_deref() {
            Ok(Removal::Done) => Ok(()),
            Ok(Removal::Failed { message, .. }) => Err(message.clone()),
            Ok(Removal::NotYet) | Err(_) => Err("the backend is closing".to_owned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
