//! Admitting a sandbox: placed, recorded, and then carried out elsewhere.
//!
//! A place is chosen and set aside, the sandbox is recorded with the revisions
//! that the choice was made from, and the runner is told to look. When the
//! store says that the choice is stale, it is made again from a newer picture.
//! The work is not dropped half way when the caller leaves. A start that asks for
//! it waits for room; see [`crate::queue`].

use std::sync::Arc;
use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::name::OrganizationId;
use palisade_model::placement::{self, Launched, Placement};
use palisade_model::quota::Scope;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{AskedResources, Owner, Sandbox, StartRequest, Status};
use palisade_model::tenant::Principal;
use palisade_store::GetError;
use palisade_store::sandbox::{Basis, InsertError};
use tokio::time;
use tracing::{info, warn};

use super::repeat::{Claim, Repeats};
use crate::error::{ApiError, ApiResult};
use crate::follow::Progress;
use crate::hub::Hub;
use crate::picture::{Picture, Place, Reservation};
use crate::queue::{Queue, Served, Serving, can_wait};
use crate::snapshots::Snapshots;
use crate::tools::Tools;

/// How often a stale choice is made again.
const TRIES_MAX: u32 = 8;
/// How long a newer picture is waited for.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How long a caller is told to wait while the gateway starts.
const STARTING_RETRY: Duration = Duration::from_secs(1);
/// A look at those who wait without any news, for starts that came too fast.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// However much happens, those who wait are not tried more often than this.
const BREATH: Duration = Duration::from_millis(50);

/// Admits sandboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) tools: Tools,
    pub(crate) picture: Picture,
    pub(crate) progress: Progress,
    pub(crate) hub: Hub,
    pub(crate) queue: Queue,
    pub(crate) snapshots: Snapshots,
    pub(crate) repeats: Repeats,
}

/// How recording a sandbox went.
enum Recorded {
    Done,
    Stale,
}

impl Admission {
    /// Admits a sandbox; what was begun is finished even if nobody waits.
    ///
    /// With a time to wait, what has no room now waits for it in line.
    pub(crate) async fn admit(
        &self,
        caller: &Principal,
        request: StartRequest,
        wait: Option<Duration>,
    ) -> ApiResult<Sandbox> {
        if !self.progress.is_ready() {
            return Err(starting());
        }
        let owner = Owner {
            organization: caller.organization.clone(),
            user: caller.user.clone(),
        };
        let request = Arc::new(request);
        let Some(wait) = wait else {
            return self.try_once(&owner, &request, None).await;
        };
        let refusal = match self.unless_waited_for(&owner, &request).await {
            Err(error) if can_wait(&error.refusal) => error.refusal,
            outcome => return outcome,
        };
        self.wait_in_line(owner, request, refusal, wait).await
    }

    /// Refuses secrets that are not there. The values that were found are dropped:
    /// they are looked for once more when the launch is sent.
    async fn check_secrets(&self, owner: &Owner, request: &StartRequest) -> ApiResult<()> {
        // What the request itself has wrong counts more.
        if request.secrets.is_empty() || !request.violations().is_empty() {
            return Ok(());
        }
        let found = self
            .tools
            .secrets
            .resolve(&owner.organization, &request.secrets);
        match found.await {
            Ok(_) => Ok(()),
            Err(unresolved) => Err(unresolved.failure().into()),
        }
    }

    /// Tries at once, but not before those who wait already.
    async fn unless_waited_for(
        &self,
        owner: &Owner,
        request: &Arc<StartRequest>,
    ) -> ApiResult<Sandbox> {
        if !self.queue.is_waited_in(&owner.organization) {
            return self.try_once(owner, request, None).await;
        }
        // What was admitted before needs no room.
        let claim = self.claim(owner, request).await;
        if let Some(known) = self.known(owner, claim.as_ref()).await? {
            return Ok(known);
        }
        self.check_secrets(owner, request).await?;
        // What can never be admitted is told so and need not wait for that.
        let id = SandboxId::new(self.tools.ids.uuid());
        drop(self.place(id, owner, request).await?);
        let refusal = Refusal::new(Reason::NoSuitableRunner, "others wait for room");
        Err(refusal.with_code(Code::ResourceExhausted).into())
    }

    async fn wait_in_line(
        &self,
        owner: Owner,
        request: Arc<StartRequest>,
        refusal: Refusal,
        wait: Duration,
    ) -> ApiResult<Sandbox> {
        let organization = owner.organization.clone();
        let (mut waiting, is_first) = self.queue.join(owner, request, refusal)?;
        if is_first {
            let serving = self.queue.serving(organization);
            self.tools.tasks.spawn(self.clone().serve(serving));
        }
        match time::timeout(wait, waiting.outcome()).await {
            Ok(outcome) => outcome,
            Err(_) => match waiting.give_up() {
                Some(refusal) => Err(refusal.into()),
                // What is under way is told as it goes: it may be admitted just now.
                None => waiting.outcome().await,
            },
        }
    }

    /// Serves the line of an organization until nobody waits in it.
    ///
    /// Inputs: news of the picture, and its own timer. It ends with the line, or
    /// with the gateway; whoever waits then is sent away.
    async fn serve(self, mut serving: Serving) {
        let stop = self.tools.stop.clone();
        let mut news = self.picture.news();
        loop {
            news.mark_unchanged();
            self.serve_each(&serving.organization).await;
            if serving.close_if_empty() {
                return;
            }
            // Every branch only says that it is time to look; none holds data.
            let look = async {
                let _ = time::timeout(LOOK_AGAIN, news.changed()).await;
                time::sleep(BREATH).await;
            };
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
        }
    }

    /// Tries everybody in a line once, in its order.
    async fn serve_each(&self, organization: &OrganizationId) {
        for turn in self.queue.turns(organization) {
            let Some(Served {
                owner,
                request,
                note,
            }) = self.queue.served(organization, turn)
            else {
                continue;
            };
            let outcome = self.try_once(&owner, &request, Some(note)).await;
            let refusal = match outcome {
                Err(error) if can_wait(&error.refusal) => error.refusal,
                outcome => {
                    self.queue.tell(organization, turn, outcome);
                    continue;
                }
            };
            let is_for_all = is_for_all(&refusal);
            self.queue.keep(organization, turn, refusal);
            if is_for_all {
                return;
            }
        }
    }

    /// One try, which is finished even if nobody waits for it.
    async fn try_once(
        &self,
        owner: &Owner,
        request: &Arc<StartRequest>,
        note: Option<String>,
    ) -> ApiResult<Sandbox> {
        let (admission, owner, request) = (self.clone(), owner.clone(), request.clone());
        let work = async move { admission.decide_and_record(&owner, &request, note).await };
        let done = self.tools.tasks.spawn(work).await;
        // The task ends early only with the whole process.
        done.map_err(ApiError::internal)?
    }

    async fn decide_and_record(
        &self,
        owner: &Owner,
        request: &StartRequest,
        note: Option<String>,
    ) -> ApiResult<Sandbox> {
        let claim = self.claim(owner, request).await;
        // Before all that may have changed since it was admitted.
        if let Some(known) = self.known(owner, claim.as_ref()).await? {
            return Ok(known);
        }
        self.check_secrets(owner, request).await?;
        let (organization, wish) = (&owner.organization, request.file_system.as_ref());
        let file_system = self.snapshots.file_system(organization, wish).await?;
        for _ in 0..TRIES_MAX {
            let id = match &claim {
                Some(claim) => claim.ids[0],
                None => SandboxId::new(self.tools.ids.uuid()),
            };
            let Place {
                placement,
                basis,
                reservation,
            } = self.place(id, owner, request).await?;
            let mut sandbox = self.sandbox(id, owner, &placement, request.clone());
            sandbox.launch.file_system.clone_from(&file_system);
            if let Some(claim) = &claim {
                claim.mark(&mut sandbox);
            }
            if let Some(note) = note.as_ref().filter(|_| sandbox.status.reason.is_empty()) {
                sandbox.status.reason.clone_from(note);
            }
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
            // Whenever a choice is stale, another gateway may have had the key.
            if let Some(known) = self.known(owner, claim.as_ref()).await? {
                return Ok(known);
            }
        }
        let refusal = Refusal::new(
            Reason::BackendUnavailable,
            "the configuration changes too fast to place a sandbox; try again",
        );
        Err(refusal.retry_after(STARTING_RETRY).into())
    }

    /// Waits for the turn of the key, if there is one.
    async fn claim(&self, owner: &Owner, request: &StartRequest) -> Option<Claim> {
        let key = request.key.as_ref()?;
        Some(self.repeats.claim(owner, key, self.tools.now()).await)
    }

    /// What the same start was answered with before.
    async fn known(&self, owner: &Owner, claim: Option<&Claim>) -> ApiResult<Option<Sandbox>> {
        let Some(claim) = claim else {
            return Ok(None);
        };
        for id in claim.ids {
            match self.tools.store.get_sandbox(&owner.organization, id).await {
                Ok(known) => return claim.same(known).map(Some),
                Err(GetError::NotFound) => {}
                Err(GetError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Ok(None)
    }

    /// A refusal counts only if it was made from all that the store knows.
    async fn place(
        &self,
        id: SandboxId,
        owner: &Owner,
        request: &StartRequest,
    ) -> ApiResult<Place> {
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
        let Launched { launch, dropped } = placement::launch(id, owner, placement, request, None);
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
            // What was set aside is given back with the reservation.
            Err(InsertError::Quota(exceeded)) => {
                Err(exceeded.refusal(&sandbox.owner, sandbox.created_at).into())
            }
            Err(InsertError::Fault(fault)) => Err(fault.into()),
        }
    }
}

/// Whether a refusal says that there is no room for anybody of the organization.
fn is_for_all(refusal: &Refusal) -> bool {
    let scope = refusal.metadata.get("scope").map(String::as_str);
    refusal.reason == Reason::QuotaExceeded && scope == Some(Scope::Organization.as_str())
}

fn starting() -> ApiError {
    let message = "the gateway is not caught up with the store yet; try again in a moment";
    let refusal = Refusal::new(Reason::BackendUnavailable, message);
    refusal.retry_after(STARTING_RETRY).into()
}
