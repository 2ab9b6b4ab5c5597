//! Deleting runners.
//!
//! A runner without sandboxes is gone at once. One with sandboxes goes only by
//! force or after a drain: it is marked, takes no new sandbox, and
//! [`crate::Deletions`] ends those that it has, after a drain those that did not
//! end by themselves, and then takes the runner away.

use std::time::Duration;

use palisade_model::profile::Revision;
use palisade_model::reason::Reason;
use palisade_model::runner::Runner;
use palisade_model::tenant::Principal;
use palisade_store::PageSize;
use palisade_store::runner::{DeleteError, DeletionMark, MarkError, UnmarkError};
use palisade_store::sandbox::OccupancyOf;

use super::etag_of;
use super::write::{audit, gone, naming};
use crate::error::{ApiError, ApiResult};
use crate::etag::changed_meanwhile;
use crate::plane::ControlPlane;
use crate::profiles::Change;

/// What becomes of the sandboxes that live on a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// While there are any, the runner stays.
    Refuse,
    /// They may end by themselves for so long.
    Drain(Duration),
    /// They are ended now.
    Force,
}

impl ControlPlane {
    /// Deletes a runner; returns it if it is still being deleted.
    pub(crate) async fn delete_runner(
        &self,
        caller: &Principal,
        text: &str,
        change: Change,
        ending: Ending,
    ) -> ApiResult<Option<Runner>> {
        let runner = self.get_runner(caller, text).await?;
        let expectation = change.expectation;
        expectation.check(&etag_of(&runner), &naming(&runner))?;
        if change.is_dry_run {
            let live = self.live_sandboxes(&runner).await?;
            return if live > 0 && ending == Ending::Refuse {
                Err(occupied(&runner, live))
            } else {
                Ok(None)
            };
        }
        let expected = expectation.is_given().then_some(runner.revision);
        let runner = match ending {
            Ending::Refuse => runner,
            Ending::Drain(_) | Ending::Force => self.mark(&runner, expected, ending).await?,
        };
        match self
            .store
            .delete_runner(&caller.organization, runner.uid, expected)
            .await
        {
            Ok(()) => {
                audit(caller, "runner.delete", &runner);
                Ok(None)
            }
            Err(DeleteError::Occupied { .. }) if ending != Ending::Refuse => {
                audit(caller, "runner.delete_begin", &runner);
                Ok(Some(runner))
            }
            Err(DeleteError::Occupied { sandboxes }) => Err(occupied(&runner, sandboxes)),
            Err(DeleteError::NotFound) => Err(gone(&runner)),
            Err(DeleteError::RevisionMismatch { .. }) => Err(changed_meanwhile(&naming(&runner))),
            Err(DeleteError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Takes a drain back, as long as its end has not come. A runner that is not
    /// being deleted stays as it is.
    pub(crate) async fn undrain_runner(&self, caller: &Principal, text: &str) -> ApiResult<Runner> {
        let runner = self.get_runner(caller, text).await?;
        let unmarked = self
            .store
            .unmark_runner_deleting(&runner.organization, runner.uid, self.now())
            .await;
        let unmarked = unmarked.map_err(|error| match error {
            UnmarkError::NotFound => gone(&runner),
            UnmarkError::Ending => ending(&runner),
            UnmarkError::Fault(fault) => fault.into(),
        })?;
        if runner.deleting_since.is_some() {
            audit(caller, "runner.undrain", &runner);
        }
        Ok(unmarked)
    }

    async fn mark(
        &self,
        runner: &Runner,
        expected: Option<Revision>,
        ending: Ending,
    ) -> ApiResult<Runner> {
        let at = self.now();
        let mark = DeletionMark {
            expected,
            at,
            drain_until: match ending {
                Ending::Refuse | Ending::Force => None,
                Ending::Drain(most) => Some(at.saturating_add(most)),
            },
        };
        let marked = self
            .store
            .mark_runner_deleting(&runner.organization, runner.uid, mark)
            .await;
        marked.map_err(|error| match error {
            MarkError::NotFound => gone(runner),
            MarkError::RevisionMismatch { .. } => changed_meanwhile(&naming(runner)),
            MarkError::Fault(fault) => fault.into(),
        })
    }

    /// How many sandboxes live on a runner.
    async fn live_sandboxes(&self, runner: &Runner) -> ApiResult<u64> {
        let of = OccupancyOf::Runner(runner.uid);
        let named = PageSize::clamped(1);
        let parts = self
            .store
            .occupancy(&runner.organization, of, named)
            .await?;
        Ok(parts.iter().map(|part| part.count).sum())
    }
}

fn ending(runner: &Runner) -> ApiError {
    let message = format!(
        "{} is being deleted and its sandboxes end now, which cannot be taken back; create it \
         again once it is gone",
        naming(runner)
    );
    ApiError::new(Reason::RunnerInUse, message)
}

fn occupied(runner: &Runner, sandboxes: u64) -> ApiError {
    let (count, them) = match sandboxes {
        1 => ("one sandbox lives".to_owned(), "it"),
        more => (format!("{more} sandboxes live"), "them"),
    };
    let message = format!(
        "{count} on {}; repeat with drain to let {them} end and then delete, or with force to end \
         {them} now",
        naming(runner)
    );
    ApiError::new(Reason::RunnerInUse, message).with("sandboxes", sandboxes.to_string())
}
