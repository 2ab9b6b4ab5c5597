//! From the id that a client sent to the sandbox and the way to it.
//!
//! The organization is always that of the caller. A sandbox of another one is
//! answered exactly like one that does not exist.

use std::sync::Arc;

use palisade_backend::{Attach, AttachError};
use palisade_model::id::SandboxId;
use palisade_model::name::RunnerId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{Phase, Sandbox};
use palisade_model::tenant::Principal;
use palisade_store::GetError;
use palisade_wire::v1beta2::{sandbox_id, sandbox_not_found};

use crate::error::{ApiResult, attach_refusal, runner_unavailable};
use crate::hub::Hub;
use crate::tools::Tools;

/// Finds sandboxes and ways to them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    tools: Tools,
    hub: Hub,
}

/// A sandbox and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// The record, as it was a moment ago.
    pub(crate) sandbox: Sandbox,
    /// Talks to the runner of the sandbox.
    pub(crate) attach: Arc<dyn Attach>,
}

/// A sandbox, where it is, and how it was a moment ago: what refusals tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// The identity.
    pub(crate) id: SandboxId,
    /// Where in its life it was.
    pub(crate) phase: Phase,
    /// Where it lives.
    pub(crate) runner: RunnerId,
}

impl Whereabouts {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self {
            id: sandbox.id,
            phase: sandbox.status.state.phase(),
            runner: sandbox.placement.runner_id.clone(),
        }
    }

    /// What a client is told when the sandbox could not be talked to; see
    /// [`attach_refusal`].
    pub(crate) fn refusal(&self, error: AttachError, operation: &'static str) -> Refusal {
        let refusal = attach_refusal(error, operation);
        if refusal.reason == Reason::RunnerUnavailable {
            return refusal.with("runner_id", self.runner.as_str());
        }
        if refusal.reason != Reason::SandboxNotRunning {
            return refusal;
        }
        let refusal = refusal.with("sandbox_id", self.id.to_string());
        // Its runner knows better already; the record will say how it ended.
        if self.phase == Phase::Running {
            return refusal;
        }
        refusal.with("status", self.phase.as_str())
    }
}

impl Access {
    pub(crate) fn new(tools: Tools, hub: Hub) -> Self {
        Self { tools, hub }
    }

    /// A sandbox of the caller, wherever in its life it is.
    pub(crate) async fn sandbox(&self, caller: &Principal, id: &str) -> ApiResult<Sandbox> {
        let parsed = sandbox_id(id)?;
        let found = self.tools.store.get_sandbox(&caller.organization, parsed);
        match found.await {
            Ok(sandbox) => Ok(sandbox),
            Err(GetError::NotFound) => Err(sandbox_not_found(id).into()),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// A sandbox of the caller that runs, for commands and files.
    pub(crate) async fn running(&self, caller: &Principal, id: &str) -> ApiResult<Reached> {
        let sandbox = self.sandbox(caller, id).await?;
        match sandbox.status.state.phase() {
            Phase::Running => self.reach(sandbox),
            phase @ (Phase::Creating
            | Phase::Pending
            | Phase::Paused
            | Phase::Terminating
            | Phase::Completed
            | Phase::Failed
            | Phase::Terminated) => Err(not_running(&sandbox, phase, &[Phase::Running]).into()),
        }
    }

    /// A sandbox of the caller whose main process began or may yet, for logs.
    pub(crate) async fn logged(&self, caller: &Principal, id: &str) -> ApiResult<Reached> {
        let sandbox = self.sandbox(caller, id).await?;
        self.reach(sandbox)
    }

    fn reach(&self, sandbox: Sandbox) -> ApiResult<Reached> {
        let placed = &sandbox.placement;
        let attach = self
            .hub
            .attach_to(placed.runner_uid)
            .ok_or_else(|| runner_unavailable(placed.runner_id.as_str()))?;
        Ok(Reached { sandbox, attach })
    }
}

/// The refusal of what only a sandbox in one of these phases can do.
pub(crate) fn not_running(sandbox: &Sandbox, phase: Phase, needed: &[Phase]) -> Refusal {
    let needed: Vec<&str> = needed.iter().map(|phase| phase.as_str()).collect();
    let hint = match phase {
        Phase::Paused => "; resume it first",
        Phase::Creating
        | Phase::Pending
        | Phase::Running
        | Phase::Terminating
        | Phase::Completed
        | Phase::Failed
        | Phase::Terminated => "",
    };
    let (now, needed) = (phase.as_str(), needed.join(" or "));
    Refusal::new(
        Reason::SandboxNotRunning,
        format!("the sandbox is {now}; it must be {needed}{hint}"),
    )
    .with("sandbox_id", sandbox.id.to_string())
    .with("status", phase.as_str())
}
