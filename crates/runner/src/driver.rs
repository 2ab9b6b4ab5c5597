//! The task that owns one sandbox.
//!
//! Inputs: the wish (a watch), the backend's hints and its own timer. Outputs:
//! calls of the backend and observations in the outbox. It ends when the
//! sandbox is unwanted and gone, or when the runner stops; stopping the runner
//! leaves the sandbox as it is, to be adopted by the next one.

use std::sync::Arc;
use std::time::Duration;

use palisade_backend::{Backend, EnsureError, PauseError, Sighting, View};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use palisade_model::sandbox::state::Observation;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::outbox::Outbox;
use crate::plan::{self, Action, Report, Wanted};

/// A wish that the backend fails to carry out is tried this often.
const ENSURE_TRIES_MAX: u32 = 3;
/// The pause after the first failure; it doubles up to the limit.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A look without any hint, in case a hint was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is wished of a sandbox, by the gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// What to make; `None` for one that was found and not yet wished for.
    pub(crate) launch: Option<Arc<Launch>>,
    /// When it must have ended.
    pub(crate) stop_by: Option<Timestamp>,
    /// Whether it should be frozen; `None` until the gateway said so.
    pub(crate) paused: Option<bool>,
    /// Whether it should be gone.
    pub(crate) is_unwanted: bool,
    /// Why it cannot be made, if the runner knows that it cannot.
    pub(crate) refusal: Option<&'static str>,
}

/// What a driver works with.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outbox: Arc<Outbox>,
}

/// Owns one sandbox until it is gone.
#[derive(Debug)]
pub(crate) struct Driver {
    id: SandboxId,
    tools: Tools,
    wishes: watch::Receiver<Wish>,
    /// The deadline that the backend was told, so that it is told once.
    told: Option<Timestamp>,
    /// Refused by the backend: there is nothing to look at.
    refused: Option<View>,
    reported: Option<Report>,
    number: u64,
    failures: u32,
}

/// Whether a driver goes on.
enum Next {
    /// Look again at once.
    Again,
    /// Look again when something changes, or at this instant.
    Wait(Option<Timestamp>),
    /// Look again after a pause.
    Pause,
    /// The sandbox is gone.
    Done,
}

impl Driver {
    pub(crate) fn new(id: SandboxId, tools: Tools, wishes: watch::Receiver<Wish>) -> Self {
        Self {
            id,
            tools,
            wishes,
            told: None,
            refused: None,
            reported: None,
            number: 0,
            failures: 0,
        }
    }

    /// Runs until the sandbox is gone or the runner stops.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.tools.backend.changes(self.id);
        loop {
            changes.mark_unchanged();
            self.wishes.mark_unchanged();
            // On the heap it takes no room while there is nothing to do.
            let pause = match Box::pin(self.pass()).await {
                Next::Again => continue,
                Next::Done => break,
                Next::Wait(at) => self.until(at),
                Next::Pause => self.pause(),
            };
            // Every branch only says that it is time to look; none holds data.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                wished = self.wishes.changed() => if wished.is_err() { return },
                _ = changes.changed() => {}
                () = time::sleep(pause) => {}
            }
        }
        self.tools.outbox.forget(self.id);
        info!(sandbox.id = %self.id, "sandbox removed");
    }

    fn until(&self, at: Option<Timestamp>) -> Duration {
        let now = self.tools.clock.now();
        at.map_or(LOOK_AGAIN, |at| at.saturating_since(now).min(LOOK_AGAIN))
    }

    fn pause(&self) -> Duration {
        let factor = 1 << self.failures.min(10);
        RETRY_PAUSE.saturating_mul(factor).min(RETRY_PAUSE_MAX)
    }

    /// Looks, decides and acts, once.
    async fn pass(&mut self) -> Next {
        let Ok(seen) = self.look().await else {
            return Next::Pause;
        };
        let wish = self.wishes.borrow().clone();
        let launch = wish.launch.clone().or_else(|| {
            seen.as_ref()
                .map(|sighting| Arc::new(sighting.launch.clone()))
        });
        let wanted = Wanted {
            max_lifetime: launch.as_ref().and_then(|launch| launch.max_lifetime),
            stop_by: wish.stop_by,
            paused: wish.paused,
            is_unwanted: wish.is_unwanted,
        };
        if let (None, Some(reason), None) = (&seen, wish.refusal, &self.refused) {
            self.fail(reason.to_owned());
        }
        let view = seen.map(|sighting| sighting.view).or(self.refused.clone());
        if let Some(view) = &view {
            self.tell(plan::report(view, wanted));
        }
        let now = self.tools.clock.now();
        match plan::plan(wanted, view.as_ref(), self.told, now) {
            Action::Ensure => self.ensure(launch.as_deref()).await,
            Action::Stop(grace) => self.stop(grace, now).await,
            Action::Pause => {
                let paused = self.tools.backend.pause(self.id).await;
                self.after_pausing(paused)
            }
            Action::Resume => {
                let resumed = self.tools.backend.resume(self.id).await;
                self.after_pausing(resumed)
            }
            Action::Remove => self.remove().await,
            Action::WaitUntil(_) if view.is_none() && wanted.is_unwanted => self.remove().await,
            Action::WaitUntil(_) if view.is_none() => self.never_started(now),
            Action::WaitUntil(at) => Next::Wait(at),
        }
    }

    async fn look(&mut self) -> Result<Option<Sighting>, ()> {
        match self.tools.backend.get(self.id).await {
            Ok(seen) => Ok(seen),
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                warn!(sandbox.id = %self.id, %error, "could not look at the sandbox");
                Err(())
            }
        }
    }

    async fn ensure(&mut self, launch: Option<&Launch>) -> Next {
        let Some(launch) = launch else {
            return Next::Wait(None);
        };
        let reason = match self.tools.backend.ensure(launch).await {
            Ok(()) => {
                self.failures = 0;
                return Next::Again;
            }
            Err(EnsureError::Unsupported { what }) => what,
            Err(EnsureError::Internal(source)) => {
                self.failures = self.failures.saturating_add(1);
                error!(sandbox.id = %self.id, error = %source, "could not make the sandbox");
                if self.failures < ENSURE_TRIES_MAX {
                    return Next::Pause;
                }
                "the runner could not make the sandbox; its log says why".to_owned()
            }
        };
        self.fail(reason);
        Next::Again
    }

    fn fail(&mut self, reason: String) {
        let at = self.tools.clock.now();
        self.refused = Some(View::Failed { at, reason });
    }

    /// It was asked to end before anything of it existed.
    fn never_started(&mut self, now: Timestamp) -> Next {
        self.refused = Some(View::Ended {
            since: None,
            at: now,
            exit: None,
            reason: "stopped before it was started".to_owned(),
            stopped: true,
        });
        Next::Again
    }

    async fn stop(&mut self, grace: Duration, now: Timestamp) -> Next {
        match self.tools.backend.stop(self.id, grace).await {
            Ok(()) => {
                self.failures = 0;
                self.told = Some(now.saturating_add(grace));
                Next::Again
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                warn!(sandbox.id = %self.id, %error, "could not stop the sandbox");
                Next::Pause
            }
        }
    }

    fn after_pausing(&mut self, done: Result<(), PauseError>) -> Next {
        let error = match done {
            Ok(()) => {
                self.failures = 0;
                return Next::Again;
            }
            // It ended meanwhile, which is to be seen.
            Err(PauseError::NotRunning) => return Next::Pause,
            Err(error @ (PauseError::Unsupported | PauseError::Internal(_))) => error,
        };
        self.failures = self.failures.saturating_add(1);
        warn!(sandbox.id = %self.id, %error, "could not pause or resume the sandbox");
        Next::Pause
    }

    async fn remove(&mut self) -> Next {
        match self.tools.backend.remove(self.id).await {
            Ok(()) => Next::Done,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                error!(sandbox.id = %self.id, %error, "could not remove the sandbox; trying again");
                Next::Pause
            }
        }
    }

    /// Tells the gateway what it does not know yet.
    fn tell(&mut self, report: Report) {
        if self.reported.as_ref() == Some(&report) {
            return;
        }
        // Larger than any number of an earlier runner on this machine, which
        // counted from an earlier instant.
        let instant = self.tools.clock.now().as_micros().max(0).unsigned_abs();
        self.number = instant.max(self.number + 1);
        let Report {
            state,
            reason,
            started_at,
            service_address,
        } = report.clone();
        let observation = Observation {
            number: self.number,
            state,
            reason,
            started_at,
            service_address,
        };
        self.reported = Some(report);
        info!(sandbox.id = %self.id, state = state.phase().as_str(), "sandbox changed");
        self.tools.outbox.put(self.id, observation);
    }
}

#[cfg(test)]
mod tests;
