//! Admitting a sandbox: placed, recorded, and then carried out elsewhere.
//!
//! A place is chosen and set aside, the sandbox is recorded with the revisions
//! that the choice was made from, and the runner is told to look. When the
//! store says that the choice is stale, it is made again from a newer picture.
//! The work is not dropped half way when the caller leaves.

use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::placement::{self, Launched, Placement};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{AskedResources, Owner, Sandbox, StartRequest, Status};
use palisade_model::tenant::Principal;
use palisade_store::sandbox::{Basis, InsertError};
use tracing::{info, warn};

use crate::error::{ApiError, ApiResult};
use crate::follow::Progress;
use crate::hub::Hub;
use crate::picture::{Picture, Reservation};
use crate::tools::Tools;

/// How often a stale choice is made again.
const TRIES_MAX: u32 = 8;
/// How long a newer picture is waited for.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How long a caller is told to wait while the gateway starts.
const STARTING_RETRY: Duration = Duration::from_secs(1);

/// Admits sandboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) tools: Tools,
    pub(crate) picture: Picture,
    pub(crate) progress: Progress,
    pub(crate) hub: Hub,
}

/// How recording a sandbox went.
enum Recorded {
    Done,
    Stale,
}

impl Admission {
    /// Admits a sandbox; what was begun is finished even if nobody waits.
    pub(crate) async fn admit(
        &self,
        caller: &Principal,
        request: StartRequest,
    ) -> ApiResult<Sandbox> {
        if !self.progress.is_ready() {
            return Err(starting());
        }
        let owner = Owner {
            organization: caller.organization.clone(),
            user: caller.user.clone(),
        };
        let admission = self.clone();
        let work = async move { admission.decide_and_record(&owner, request).await };
        let done = self.tools.tasks.spawn(work).await;
        // The task ends early only with the whole process.
        done.map_err(ApiError::internal)?
    }

    async fn decide_and_record(&self, owner: &Owner, request: StartRequest) -> ApiResult<Sandbox> {
        for _ in 0..TRIES_MAX {
            let id = SandboxId::new(self.tools.ids.uuid());
            let (placement, reservation) = self.place(id, owner, &request).await?;
            let basis = Basis {
                runner: placement.runner_revision,
                profile: placement.profile_revision,
            };
            let sandbox = self.sandbox(id, owner, &placement, request.clone());
            match self.record(&sandbox, basis, reservation).await? {
                Recorded::Done => {
                    self.hub.look(sandbox.placement.runner_uid, sandbox.id);
                    info!(
                        sandbox.id = %id,
                        runner.id = %sandbox.placement.runner_id,
                        profile.name = %sandbox.placement.profile_name,
                        "sandbox admitted"
                    );
                    return Ok(sandbox);
                }
                Recorded::Stale => self.catch_up().await?,
            }
        }
        let refusal = Refusal::new(
            Reason::BackendUnavailable,
            "the configuration changes too fast to place a sandbox; try again",
        );
        Err(refusal.retry_after(STARTING_RETRY).into())
    }

    /// A refusal counts only if it was made from all that the store knows.
    async fn place(
        &self,
        id: SandboxId,
        owner: &Owner,
        request: &StartRequest,
    ) -> ApiResult<(Placement, Reservation)> {
        let refusal = match self.picture.place(id, owner, request) {
            Ok(placed) => return Ok(placed),
            Err(refusal) => refusal,
        };
        if self.progress.has(self.tools.store.head().await?) {
            return Err(refusal.into());
        }
        self.catch_up().await?;
        Ok(self.picture.place(id, owner, request)?)
    }

    async fn catch_up(&self) -> ApiResult<()> {
        let head = self.tools.store.head().await?;
        if self.progress.reaches(head, CATCH_UP).await {
            Ok(())
        } else {
            Err(starting())
        }
    }

    fn sandbox(
        &self,
        id: SandboxId,
        owner: &Owner,
        placement: &Placement,
        request: StartRequest,
    ) -> Sandbox {
        let tags = request.tags.clone();
        let asked = AskedResources {
            requests: request.requests.clone(),
            limits: request.limits.clone(),
        };
        let Launched { launch, dropped } = placement::launch(id, owner, placement, request);
        let mut status = Status::admitted();
        if !dropped.is_empty() {
            status.reason = format!(
                "{} reserved label(s) or annotation(s) were left out",
                dropped.len()
            );
            warn!(sandbox.id = %id, dropped = dropped.len(), "reserved metadata was left out");
        }
        Sandbox {
            id,
            owner: owner.clone(),
            tags,
            placement: placement.placed(),
            asked,
            launch,
            resolved: placement.resolved.clone(),
            status,
            created_at: self.tools.now(),
        }
    }

    /// Records the sandbox once, whatever the store makes of the first try.
    async fn record(
        &self,
        sandbox: &Sandbox,
        basis: Basis,
        reservation: Reservation,
    ) -> ApiResult<Recorded> {
        let store = &self.tools.store;
        let outcome = match store.insert_sandbox(sandbox.clone(), basis).await {
            // It may have taken effect, and then its id is taken.
            Err(InsertError::Fault(fault)) if fault.may_retry() => {
                warn!(error = %fault, "could not record a sandbox; trying once more");
                let again = store.insert_sandbox(sandbox.clone(), basis).await;
                match again {
                    Err(InsertError::IdTaken) => Ok(()),
                    again => again,
                }
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => {
                reservation.keep();
                Ok(Recorded::Done)
            }
            // Another id is drawn with the next choice.
            Err(InsertError::Stale | InsertError::IdTaken) => Ok(Recorded::Stale),
            Err(InsertError::Fault(fault)) => Err(fault.into()),
        }
    }
}

fn starting() -> ApiError {
    let message = "the gateway is not caught up with the store yet; try again in a moment";
    let refusal = Refusal::new(Reason::BackendUnavailable, message);
    refusal.retry_after(STARTING_RETRY).into()
}
