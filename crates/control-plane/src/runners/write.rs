//! Making and changing runners.

use palisade_model::name::RunnerId;
use palisade_model::profile::Profile;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::runner::Runner;
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::runner::{
    CreateError, JudgedProfile, NewRunner, ProfileMissing, RunnerUpdate, UpdateError,
};
use palisade_store::{GetError, RunnerRef};
use palisade_wire::Located;
use palisade_wire::runner_document::{RunnerDraft, RunnerEdit, binding_path, bindings_violation};
use palisade_wire::spelling::Origin;
use tracing::info;

use super::candidate::Candidate;
use super::etag_of;
use crate::bindings::Chosen;
use crate::error::{ApiError, ApiResult};
use crate::etag::changed_meanwhile;
use crate::guardrails;
use crate::plane::ControlPlane;
use crate::profiles::{Change, no_organization};

/// How often a change is made anew when somebody else was faster.
const ATTEMPTS: usize = 4;

impl ControlPlane {
    /// Adds a runner; with `is_dry_run`, only says what that would make.
    pub(crate) async fn create_runner(
        &self,
        caller: &Principal,
        draft: Located<RunnerDraft>,
        is_dry_run: bool,
    ) -> ApiResult<Runner> {
        let Located {
            value: draft,
            origin,
        } = draft;
        for _ in 0..ATTEMPTS {
            let draft = draft.clone();
            let made = self.try_create(caller, (draft, &origin), is_dry_run);
            if let Some(runner) = made.await? {
                return Ok(runner);
            }
        }
        let message = "changes of the bound profiles keep coming in between; try again";
        Err(ApiError::new(Reason::EtagMismatch, message))
    }

    /// Adds a runner; `None` if a profile changed since it was judged.
    async fn try_create(
        &self,
        caller: &Principal,
        (mut draft, origin): (RunnerDraft, &Origin),
        is_dry_run: bool,
    ) -> ApiResult<Option<Runner>> {
        let drafts = std::mem::take(&mut draft.bindings);
        let Chosen { bindings, profiles } =
            self.choose(&caller.organization, drafts, origin).await?;
        let candidate = self.candidate(caller, draft, bindings, origin).await?;
        check_guardrails(&candidate.runner, &profiles, origin)?;
        if is_dry_run {
            let preview = self.preview_runner(caller, candidate.runner, origin);
            return preview.await.map(Some);
        }
        let Candidate { runner, cluster } = candidate;
        let new = NewRunner {
            uid: runner.uid,
            id: runner.id.clone(),
            display_name: runner.display_name,
            zone: runner.zone,
            cluster,
            group: runner.group,
            settings: runner.settings,
            bindings: runner.bindings,
            judged: Some(judged(&profiles)),
        };
        let stamp = self.stamp(caller);
        let created = self
            .store
            .create_runner(&caller.organization, new, stamp)
            .await;
        match created {
            Ok(made) => {
                audit(caller, "runner.create", &made);
                Ok(Some(made))
            }
            Err(CreateError::ProfilesMoved) => Ok(None),
            Err(error) => Err(not_created(error, &runner.id, origin)),
        }
    }

    /// What a creation would make, without a uid.
    async fn preview_runner(
        &self,
        caller: &Principal,
        candidate: Runner,
        origin: &Origin,
    ) -> ApiResult<Runner> {
        let organization = &caller.organization;
        let reference = RunnerRef::from(candidate.id.clone());
        let cluster = &candidate.cluster.name;
        match self.store.get_runner(organization, &reference).await {
            Ok(_) => return Err(id_taken(&candidate.id, origin)),
            Err(GetError::Fault(fault)) => return Err(fault.into()),
            Err(GetError::NotFound) => {}
        }
        match self
            .store
            .get_runner_of_cluster(organization, cluster)
            .await
        {
            Ok(runner) => Err(cluster_taken(&runner.id, origin)),
            Err(GetError::Fault(fault)) => Err(fault.into()),
            Err(GetError::NotFound) => Ok(Runner {
                uid: palisade_model::id::RunnerUid::new(uuid::Uuid::nil()),
                ..candidate
            }),
        }
    }

    /// Changes a runner; returns how it is then.
    ///
    /// Settings are merged and bindings judged against the present state, so
    /// the write is bound to that state. When somebody else was faster and the
    /// caller did not name a state, all is done anew.
    pub(crate) async fn update_runner(
        &self,
        caller: &Principal,
        text: &str,
        edit: Located<RunnerEdit>,
        change: Change,
    ) -> ApiResult<Runner> {
        let expectation = change.expectation.and(edit.value.etag.as_deref());
        for _ in 0..ATTEMPTS {
            let current = self.get_runner(caller, text).await?;
            check_identity(&current, &edit)?;
            expectation.check(&etag_of(&current), &naming(&current))?;
            let (wanted, judged) = self.wanted(&current, &edit).await?;
            if wanted == current {
                return Ok(current);
            }
            if current.deleting_since.is_some() {
                return Err(deleting(&current));
            }
            if change.is_dry_run {
                return Ok(Runner {
                    revision: current.revision.next(),
                    updated_at: self.now(),
                    ..wanted
                });
            }
            let update = RunnerUpdate {
                judged,
                ..difference(&current, wanted)
            };
            let stamp = self.stamp(caller);
            let updated = self
                .store
                .update_runner(&caller.organization, current.uid, update, stamp)
                .await;
            match updated {
                Ok(runner) => {
                    audit(caller, "runner.update", &runner);
                    return Ok(runner);
                }
                Err(UpdateError::ProfilesMoved) => {}
                Err(UpdateError::RevisionMismatch { .. }) if !expectation.is_given() => {}
                Err(error) => return Err(not_updated(error, &current, &edit.origin)),
            }
        }
        let message = "other changes of the runner keep coming in between; try again";
        let refusal = Refusal::new(Reason::EtagMismatch, message);
        Err(refusal.into())
    }

    /// The runner with what the document says, and what it was judged against,
    /// if it had to be.
    async fn wanted(
        &self,
        current: &Runner,
        edit: &Located<RunnerEdit>,
    ) -> ApiResult<(Runner, Option<Vec<JudgedProfile>>)> {
        let Located {
            value: edit,
            origin,
        } = edit;
        let organization = &current.organization;
        let mut wanted = current.clone();
        if let Some(name) = &edit.display_name {
            wanted.display_name.clone_from(name);
        }
        if let Some(zone) = &edit.zone {
            wanted.zone = zone.clone();
        }
        if let Some(group) = &edit.group {
            wanted.group = group.clone();
        }
        wanted.settings = edit.settings.clone().apply(wanted.settings);
        let profiles = match &edit.bindings {
            Some(drafts) => {
                let chosen = self.choose(organization, drafts.clone(), origin).await?;
                wanted.bindings = chosen.bindings;
                chosen.profiles
            }
            None if wanted.settings != current.settings => {
                self.bound_profiles(organization, &wanted.bindings).await?
            }
            None => return Ok((wanted, None)),
        };
        check_guardrails(&wanted, &profiles, origin)?;
        Ok((wanted, Some(judged(&profiles))))
    }
}

/// The profiles as they were looked at.
fn judged(profiles: &[Profile]) -> Vec<JudgedProfile> {
    let profiles = profiles.iter().map(|profile| JudgedProfile {
        profile: profile.id,
        revision: profile.revision,
    });
    profiles.collect()
}

/// The fields in which `wanted` differs.
fn difference(current: &Runner, wanted: Runner) -> RunnerUpdate {
    RunnerUpdate {
        expected: Some(current.revision),
        display_name: (wanted.display_name != current.display_name).then_some(wanted.display_name),
        zone: (wanted.zone != current.zone).then_some(wanted.zone),
        group: (wanted.group != current.group).then_some(wanted.group),
        settings: (wanted.settings != current.settings).then_some(wanted.settings),
        bindings: (wanted.bindings != current.bindings).then_some(wanted.bindings),
        judged: None,
    }
}

/// A runner as a sentence names it.
pub(super) fn naming(runner: &Runner) -> String {
    format!("runner {}", runner.id)
}

pub(super) fn gone(runner: &Runner) -> ApiError {
    let message = format!("{} was deleted meanwhile", naming(runner));
    ApiError::new(Reason::RunnerNotFound, message)
}

pub(super) fn audit(caller: &Principal, action: &'static str, runner: &Runner) {
    info!(
        action,
        organization.id = %caller.organization,
        user.id = %caller.user,
        token.id = %caller.token,
        runner.uid = %runner.uid,
        runner.id = %runner.id,
        runner.revision = runner.revision.0,
        "runner changed"
    );
}

fn check_guardrails(runner: &Runner, profiles: &[Profile], origin: &Origin) -> ApiResult<()> {
    let violations = guardrails::broken_by_runner(runner, profiles);
    if violations.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(Reason::InvalidRequest, violations, origin))
    }
}

/// Refuses a document about another runner, or with what cannot be changed.
fn check_identity(current: &Runner, edit: &Located<RunnerEdit>) -> ApiResult<()> {
    let Located {
        value: edit,
        origin,
    } = edit;
    let mut violations = Vec::new();
    let mut refuse = |path: FieldPath, present: String| {
        let what = format!("cannot be changed from {present}");
        violations.push(Violation::new(path, ViolationKind::Immutable, what));
    };
    let identity = |key: &str| FieldPath::root().key("identity").key(key);
    if edit.uid.is_some_and(|uid| uid != current.uid) {
        refuse(FieldPath::root().key("id"), current.uid.to_string());
    }
    if edit.id.as_ref().is_some_and(|id| *id != current.id) {
        refuse(identity("runner_id"), current.id.to_string());
    }
    if edit.cluster_id.is_some_and(|id| id != current.cluster.id) {
        refuse(identity("cluster_id"), current.cluster.id.to_string());
    }
    let cluster = edit.cluster_name.as_ref();
    if cluster.is_some_and(|name| *name != current.cluster.name) {
        refuse(identity("cluster_name"), current.cluster.name.to_string());
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(Reason::InvalidRequest, violations, origin))
    }
}

fn not_created(error: CreateError, id: &RunnerId, origin: &Origin) -> ApiError {
    match error {
        CreateError::NoOrganization => no_organization(),
        CreateError::RunnerIdTaken { .. } => id_taken(id, origin),
        CreateError::ClusterHasRunner { runner } => cluster_taken(&runner, origin),
        CreateError::ProfilesMissing(missing) => profiles_missing(&missing, origin),
        CreateError::NamesTaken(errors) => {
            let violations = errors.iter().map(bindings_violation).collect();
            ApiError::fields(Reason::InvalidRequest, violations, origin)
        }
        // It was there a moment ago, and clusters are never taken away.
        error @ (CreateError::ClusterMissing
        | CreateError::UidTaken
        // Whoever creates tries again.
        | CreateError::ProfilesMoved) => ApiError::internal(error),
        CreateError::Fault(fault) => fault.into(),
    }
}

fn not_updated(error: UpdateError, runner: &Runner, origin: &Origin) -> ApiError {
    match error {
        UpdateError::NotFound => gone(runner),
        UpdateError::Deleting => deleting(runner),
        UpdateError::RevisionMismatch { .. } | UpdateError::ProfilesMoved => {
            changed_meanwhile(&naming(runner))
        }
        UpdateError::ProfilesMissing(missing) => profiles_missing(&missing, origin),
        UpdateError::NamesTaken(errors) => {
            let violations = errors.iter().map(bindings_violation).collect();
            ApiError::fields(Reason::InvalidRequest, violations, origin)
        }
        UpdateError::Fault(fault) => fault.into(),
    }
}

fn deleting(runner: &Runner) -> ApiError {
    let message = format!(
        "{} is being deleted and does not change any more",
        naming(runner)
    );
    ApiError::new(Reason::RunnerInUse, message)
}

fn id_taken(id: &RunnerId, origin: &Origin) -> ApiError {
    let path = FieldPath::root().key("identity").key("runner_id");
    let what = format!("is taken: the organization has a runner {id} already");
    let violation = Violation::new(path, ViolationKind::Duplicate, what);
    ApiError::fields(Reason::RunnerIdTaken, vec![violation], origin)
}

fn cluster_taken(runner: &RunnerId, origin: &Origin) -> ApiError {
    let path = FieldPath::root().key("identity").key("cluster_name");
    let what = format!(
        "names a cluster that runner {runner} serves already; a cluster has at most one managed \
         runner"
    );
    let violation = Violation::new(path, ViolationKind::Conflict, what);
    ApiError::fields(Reason::ClusterHasRunner, vec![violation], origin)
        .with("runner_id", runner.to_string())
}

fn profiles_missing(missing: &[ProfileMissing], origin: &Origin) -> ApiError {
    let violation = |ProfileMissing { index, profile }: &ProfileMissing| {
        let path = binding_path(*index, Some("profile_template_id"));
        let what = format!("names the profile {profile}, which was deleted meanwhile");
        Violation::new(path, ViolationKind::Invalid, what)
    };
    let violations = missing.iter().map(violation).collect();
    ApiError::fields(Reason::BoundProfileNotFound, violations, origin)
}
