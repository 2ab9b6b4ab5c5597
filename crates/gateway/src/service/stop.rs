//! Ending sandboxes on request.
//!
//! A wish is recorded before anybody is told of it. The runner is told only
//! once the reply to the caller was sent: a caller must never see a sandbox
//! over before it knows that its own stop was taken.

use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Sandbox, State, StopWish};
use palisade_model::snapshot::Trigger;
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::GetError;
use palisade_store::sandbox::{StatusChange, StatusChanged};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::sandbox_not_found;
use tracing::info;

use super::budget::within;
use super::sandbox::SandboxService;
use crate::error::{ApiError, ApiResult};
use crate::hub::Held;
use crate::snapshots::{Wanted, limit};

/// The longest time that a sandbox may take to end by itself.
const GRACE_MAX: Duration = Duration::from_hours(1);

/// The same, if a snapshot is taken first; the contract cuts it down.
const SNAPSHOT_GRACE_MAX: Duration = Duration::from_mins(5);
/// How long it may take then if nobody says.
const SNAPSHOT_GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// How much longer than its limit the end of a snapshot is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a sandbox is to end after its snapshot.
struct SnapshotWish {
    grace: Duration,
    limit: Duration,
    idempotency_key: String,
    is_waited_for: bool,
}

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
            max_timeout_seconds,
            // Without a snapshot, stopping twice is stopping once, whatever the key.
            idempotency_key,
            wait_for_ready,
        } = request;
        let grace = grace(graceful_shutdown_seconds)?;
        let limit = limit(max_timeout_seconds)?;
        let sandbox = self.access.sandbox(caller, &sandbox_id).await?;
        if file_system_snapshot_on_stop {
            let wish = SnapshotWish {
                grace,
                limit,
                idempotency_key,
                is_waited_for: wait_for_ready == Some(true),
            };
            return self.stop_after_snapshot(caller, sandbox, wish).await;
        }
        let held = self.hub.hold(sandbox.placement.runner_uid, sandbox.id);
        let wish = StatusChange::StopWished(StopWish {
            grace,
            at: self.tools.now(),
        });
        within(max_timeout_seconds, self.change(caller, sandbox.id, wish)).await?;
        info!(sandbox.id = %sandbox.id, grace_ms = grace.as_millis(), "stop was asked for");
        let answer = pb::StopSandboxResponse {
            success: true,
            error_message: String::new(),
            file_system_snapshot_id: String::new(),
        };
        Ok((answer, held))
    }

    /// Takes a snapshot first. A sandbox whose snapshot fails goes on: what it
    /// holds is nowhere else.
    async fn stop_after_snapshot(
        &self,
        caller: &Principal,
        sandbox: Sandbox,
        wish: SnapshotWish,
    ) -> ApiResult<(pb::StopSandboxResponse, Held)> {
        let SnapshotWish {
            grace,
            limit,
            idempotency_key,
            is_waited_for,
        } = wish;
        let grace = if grace.is_zero() {
            SNAPSHOT_GRACE_DEFAULT
        } else {
            grace.min(SNAPSHOT_GRACE_MAX)
        };
        let (id, runner) = (sandbox.id, sandbox.placement.runner_uid);
        let wanted = Wanted {
            sandbox,
            trigger: Trigger::Stop,
            idempotency_key,
            stop_grace: Some(grace),
            limit: Some(limit),
            is_waited_for,
        };
        let snapshots = &self.snapshots;
        let mut snapshot = snapshots.take_or_find(wanted).await?;
        let held = if is_waited_for {
            let organization = &caller.organization;
            // Longer than it may last, so that its own end is what is told.
            let patience = limit.saturating_add(PATIENCE);
            snapshot = snapshots
                .until_ready(organization, snapshot.id, patience)
                .await?;
            let held = self.hub.hold(runner, id);
            snapshots.ask_to_stop(&snapshot).await?;
            held
        } else {
            self.hub.hold(runner, id)
        };
        info!(sandbox.id = %id, snapshot.id = %snapshot.id, "stop after a snapshot was asked for");
        let answer = pb::StopSandboxResponse {
            success: true,
            error_message: String::new(),
            file_system_snapshot_id: snapshot.id.to_string(),
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
            // The whole call has it.
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
    let seconds = u64::try_from(seconds)
        .map_err(|_| wrong_grace(format!("is {seconds}; it must not be negative")))?;
    let grace = Duration::from_secs(seconds);
    if grace > GRACE_MAX {
        let most = GRACE_MAX.as_secs();
        let description = format!("is {seconds}; at most {most} are allowed");
        return Err(wrong_grace(description));
    }
    Ok(grace)
}

fn wrong_grace(description: String) -> ApiError {
    let path = FieldPath::root().key("graceful_shutdown_seconds");
    let violation = Violation::new(path, ViolationKind::Invalid, description);
    Refusal::invalid(vec![violation]).into()
}
