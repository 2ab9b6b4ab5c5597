//! Freezing sandboxes on request, and letting them go on.
//!
//! The wish is recorded like any other, and the runner is told to look. A call is
//! answered once the record says that the wish was followed; a caller that leaves
//! earlier has wished all the same.

use std::time::Duration;

use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Phase, Sandbox, State, Status};
use palisade_model::tenant::Principal;
use palisade_store::sandbox::StatusChange;
use palisade_wire::v1beta2::call_limit;
use tokio::time::{self, Instant};
use tracing::info;

use super::sandbox::SandboxService;
use crate::access::not_running;
use crate::error::{ApiError, ApiResult, runner_unavailable};

/// How long a caller that does not say itself waits.
const WAIT: Duration = Duration::from_secs(30);
/// A store in which much happens is not asked more often than this.
const BREATH: Duration = Duration::from_millis(10);
/// How long to wait before asking again for what was not followed in time.
const RETRY: Duration = Duration::from_secs(1);

/// What is wished of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pausing {
    /// That it is frozen.
    Pause,
    /// That it goes on.
    Resume,
}

impl Pausing {
    fn is_pause(self) -> bool {
        match self {
            Self::Pause => true,
            Self::Resume => false,
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

impl SandboxService {
    /// Records the wish and waits until it is followed.
    pub(super) async fn wish_pausing(
        &self,
        caller: &Principal,
        sandbox_id: &str,
        max_timeout_seconds: i32,
        wish: Pausing,
    ) -> ApiResult<()> {
        let limit = call_limit(max_timeout_seconds)?.unwrap_or(WAIT);
        let sandbox = self.access.sandbox(caller, sandbox_id).await?;
        self.can_pause(&sandbox)?;
        let change = StatusChange::PauseWished(wish.is_pause());
        let changed = self.change(caller, sandbox.id, change).await?;
        can_follow(&sandbox, &changed.status)?;
        self.hub.look(sandbox.placement.runner_uid, sandbox.id);
        self.until_followed(caller, &sandbox, wish, limit).await?;
        info!(sandbox.id = %sandbox.id, "sandbox is {}", wish.done());
        Ok(())
    }

    /// Refuses what the runner of the sandbox cannot do, before it is recorded.
    fn can_pause(&self, sandbox: &Sandbox) -> ApiResult<()> {
        let placed = &sandbox.placement;
        let runner = placed.runner_id.as_str();
        if !self.hub.is_connected(placed.runner_uid) {
            return Err(runner_unavailable(runner));
        }
        if self.picture.can_pause(placed.runner_uid) {
            return Ok(());
        }
        let message = format!("runner {runner} cannot pause sandboxes");
        let refusal = Refusal::new(Reason::NotImplemented, message);
        Err(refusal
            .with("feature", "pause")
            .with("runner_id", runner)
            .into())
    }

    async fn until_followed(
        &self,
        caller: &Principal,
        sandbox: &Sandbox,
        wish: Pausing,
        limit: Duration,
    ) -> ApiResult<()> {
        let until = Instant::now() + limit;
        let store = &self.tools.store;
        loop {
            // Read first, so that no change falls between the two.
            let head = store.head().await?;
            let id = sandbox.id.to_string();
            let now = self.access.sandbox(caller, &id).await?;
            can_follow(sandbox, &now.status)?;
            if now.status.is_pause_wished != wish.is_pause() {
                return Err(overruled(sandbox, wish));
            }
            if now.status.is_as_paused_as_wished() {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.unfollowed(sandbox, wish, limit));
            }
            store.wait_for_change(head, left).await?;
            time::sleep(BREATH.min(left)).await;
        }
    }

    fn unfollowed(&self, sandbox: &Sandbox, wish: Pausing, limit: Duration) -> ApiError {
        let placed = &sandbox.placement;
        let runner = placed.runner_id.as_str();
        if !self.hub.is_connected(placed.runner_uid) {
            return runner_unavailable(runner);
        }
        let message = format!(
            "runner {runner} has not {} the sandbox within {} s; it goes on trying",
            wish.done(),
            limit.as_secs()
        );
        Refusal::new(Reason::RunnerUnavailable, message)
            .with_code(Code::DeadlineExceeded)
            .with("runner_id", runner)
            .retry_after(RETRY)
            .into()
    }
}

/// Refuses what is not running, and says where in its life it is.
fn can_follow(sandbox: &Sandbox, now: &Status) -> ApiResult<()> {
    match now.state {
        State::Running | State::Paused => Ok(()),
        State::Creating
        | State::Pending
        | State::Terminating
        | State::Completed(_)
        | State::Failed(_)
        | State::Terminated(_) => {
            let needed = [Phase::Running, Phase::Paused];
            Err(not_running(sandbox, now.state.phase(), &needed).into())
        }
    }
}

fn overruled(sandbox: &Sandbox, wish: Pausing) -> ApiError {
    let message = format!(
        "another call overruled this one before the sandbox was {}",
        wish.done()
    );
    Refusal::new(Reason::SandboxNotRunning, message)
        .with_code(Code::Aborted)
        .with("sandbox_id", sandbox.id.to_string())
        .into()
}
