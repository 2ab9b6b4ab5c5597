//! Deleting runners.
//!
//! A runner without sandboxes is gone at once. One with sandboxes goes only by
//! force: it is marked, takes no new sandbox, and [`crate::Deletions`] ends
//! those that it has and then takes the runner away.

use palisade_model::reason::Reason;
use palisade_model::runner::Runner;
use palisade_model::tenant::Principal;
use palisade_store::runner::{DeleteError, MarkError};
use palisade_store::{PageRequest, PageSize};

use super::etag_of;
use super::write::{audit, gone, naming};
use crate::error::{ApiError, ApiResult};
use crate::etag::changed_meanwhile;
use crate::plane::ControlPlane;
use crate::profiles::Change;

impl ControlPlane {
    /// Deletes a runner; returns it if it is still being deleted.
    pub(crate) async fn delete_runner(
        &self,
        caller: &Principal,
        text: &str,
        change: Change,
        is_forced: bool,
    ) -> ApiResult<Option<Runner>> {
        let runner = self.get_runner(caller, text).await?;
        let expectation = change.expectation;
        expectation.check(&etag_of(&runner), &naming(&runner))?;
        if change.is_dry_run {
            let live = self.live_sandboxes(&runner).await?;
            return if live > 0 && !is_forced {
                Err(occupied(&runner, live))
            } else {
                Ok(None)
            };
        }
        let expected = expectation.is_given().then_some(runner.revision);
        let runner = if is_forced {
            self.mark(&runner, expected).await?
        } else {
            runner
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
            Err(DeleteError::Occupied { .. }) if is_forced => {
                audit(caller, "runner.delete_begin", &runner);
                Ok(Some(runner))
            }
            Err(DeleteError::Occupied { sandboxes }) => Err(occupied(&runner, sandboxes)),
            Err(DeleteError::NotFound) => Err(gone(&runner)),
            Err(DeleteError::RevisionMismatch { .. }) => Err(changed_meanwhile(&naming(&runner))),
            Err(DeleteError::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn mark(
        &self,
        runner: &Runner,
        expected: Option<palisade_model::profile::Revision>,
    ) -> ApiResult<Runner> {
        let now = self.now();
        let marked = self
            .store
            .mark_runner_deleting(&runner.organization, runner.uid, expected, now)
            .await;
        marked.map_err(|error| match error {
            MarkError::NotFound => gone(runner),
            MarkError::RevisionMismatch { .. } => changed_meanwhile(&naming(runner)),
            MarkError::Fault(fault) => fault.into(),
        })
    }

    /// How many sandboxes live on a runner, counted up to the size of a page.
    async fn live_sandboxes(&self, runner: &Runner) -> ApiResult<u64> {
        let page = PageRequest::first(PageSize::MAX);
        let found = self
            .store
            .list_sandboxes_of_runner(&runner.organization, runner.uid, page)
            .await?;
        Ok(found.items.len() as u64)
    }
}

fn occupied(runner: &Runner, sandboxes: u64) -> ApiError {
    let (count, them) = match sandboxes {
        1 => ("one sandbox lives".to_owned(), "it"),
        more => (format!("{more} sandboxes live"), "them"),
    };
    let message = format!(
        "{count} on {}; end {them} first, or repeat with force to end {them} now",
        naming(runner)
    );
    ApiError::new(Reason::RunnerInUse, message).with("sandboxes", sandboxes.to_string())
}
