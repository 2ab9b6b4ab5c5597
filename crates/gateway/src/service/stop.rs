//! Ending sandboxes on request.
//!
//! A wish is recorded before anybody is told of it. The runner is told only
//! once the reply to the caller was sent: a caller must never see a sandbox
//! over before it knows that its own stop was taken.

use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Sandbox, State, StopWish};
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::GetError;
use palisade_store::sandbox::{StatusChange, StatusChanged};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::sandbox_not_found;
use tracing::info;

use super::absent::snapshots_not_supported;
use super::sandbox::SandboxService;
use crate::error::{ApiError, ApiResult};
use crate::hub::Held;

/// The longest time that a sandbox may take to end by itself.
const GRACE_MAX: Duration = Duration::from_hours(1);

impl SandboxService {
    /// Asks a sandbox to end. What is returned beside the answer is to be
    /// dropped once the answer was sent.
    pub(super) async fn wish_stop(
        &self,
        caller: &Principal,
        request: pb::StopSandboxRequest,
    ) -> ApiResult<(pb::StopSandboxResponse, Held)> {
        let pb::StopSandboxRequest {
            sandbox_id,
            graceful_shutdown_seconds,
            file_system_snapshot_on_stop,
            // The time-out is the client's own; it travels as the deadline.
            max_timeout_seconds: _,
            // Stopping twice is stopping once, whatever the key.
            idempotency_key: _,
            // About the snapshot, which there is none of.
            wait_for_ready: _,
        } = request;
        if file_system_snapshot_on_stop {
            return Err(snapshots_not_supported("file_system_snapshot_on_stop"));
        }
        let grace = grace(graceful_shutdown_seconds)?;
        let sandbox = self.access.sandbox(caller, &sandbox_id).await?;
        let held = self.hub.hold(sandbox.placement.runner_uid, sandbox.id);
        let wish = StatusChange::StopWished(StopWish {
            grace,
            at: self.tools.now(),
        });
        self.change(caller, sandbox.id, wish).await?;
        info!(sandbox.id = %sandbox.id, grace_ms = grace.as_millis(), "stop was asked for");
        let answer = pb::StopSandboxResponse {
            success: true,
            error_message: String::new(),
            file_system_snapshot_id: String::new(),
        };
        Ok((answer, held))
    }

    /// Ends a sandbox at once and has everything of it freed.
    pub(super) async fn end_at_once(
        &self,
        caller: &Principal,
        request: pb::DeleteSandboxRequest,
    ) -> ApiResult<pb::DeleteSandboxResponse> {
        let pb::DeleteSandboxRequest {
            sandbox_id,
            max_timeout_seconds: _,
        } = request;
        let sandbox = self.access.sandbox(caller, &sandbox_id).await?;
        self.close(caller, &sandbox).await?;
        self.picture.release(sandbox.id);
        self.hub.remove(sandbox.placement.runner_uid, sandbox.id);
        info!(sandbox.id = %sandbox.id, "sandbox deleted");
        Ok(pb::DeleteSandboxResponse {
            success: true,
            error_message: String::new(),
        })
    }

    async fn close(&self, caller: &Principal, sandbox: &Sandbox) -> ApiResult<()> {
        if sandbox.status.state.is_terminal() {
            return Ok(());
        }
        let closed = StatusChange::Closed {
            state: State::Terminated(None),
            reason: format!("deleted by {}", caller.user),
            now: self.tools.now(),
        };
        self.change(caller, sandbox.id, closed).await?;
        Ok(())
    }

    pub(super) async fn change(
        &self,
        caller: &Principal,
        id: SandboxId,
        change: StatusChange,
    ) -> ApiResult<StatusChanged> {
        let changed = self
            .tools
            .store
            .change_status(&caller.organization, id, change);
        match changed.await {
            Ok(changed) => Ok(changed),
            Err(GetError::NotFound) => Err(sandbox_not_found(&id.to_string()).into()),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }
}

fn grace(seconds: i32) -> Result<Duration, ApiError> {
    let wrong = |description: String| {
        let path = FieldPath::root().key("graceful_shutdown_seconds");
        let violation = Violation::new(path, ViolationKind::Invalid, description);
        Refusal::invalid(vec![violation])
    };
    let seconds = u64::try_from(seconds)
        .map_err(|_| wrong(format!("is {seconds}; it must not be negative")))?;
    let grace = Duration::from_secs(seconds);
    if grace > GRACE_MAX {
        let most = GRACE_MAX.as_secs();
        let description = format!("is {seconds}; at most {most} are allowed");
        return Err(wrong(description).into());
    }
    Ok(grace)
}
