//! Making and changing profiles.

use palisade_model::id::ProfileId;
use palisade_model::name::DisplayName;
use palisade_model::profile::{Profile, Revision};
use palisade_model::reason::Reason;
use palisade_model::tenant::Principal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::profile::{CreateError, JudgedRunner, NewProfile, ProfileUpdate, UpdateError};
use palisade_store::{GetError, ProfileRef};
use palisade_wire::Located;
use palisade_wire::profile_document::{ProfileDraft, ProfileEdit};
use palisade_wire::spelling::Origin;
use tracing::info;

use super::etag_of;
use crate::error::{ApiError, ApiResult};
use crate::etag::{Expectation, changed_meanwhile};
use crate::guardrails;
use crate::plane::ControlPlane;

/// How often a change is made anew when runners changed meanwhile.
const ATTEMPTS: usize = 4;

impl ControlPlane {
    /// Adds a profile; with `is_dry_run`, only says what that would make.
    pub(crate) async fn create_profile(
        &self,
        caller: &Principal,
        draft: Located<ProfileDraft>,
        is_dry_run: bool,
    ) -> ApiResult<Profile> {
        let Located {
            value: draft,
            origin,
        } = draft;
        allow(guardrails::escapes(&draft.spec), &origin)?;
        if is_dry_run {
            return self.preview_profile(caller, draft, &origin).await;
        }
        let ProfileDraft {
            display_name,
            description,
            labels,
            spec,
        } = draft;
        let new = NewProfile {
            id: ProfileId::new(self.ids.uuid()),
            display_name: display_name.clone(),
            description,
            labels,
            spec,
        };
        let stamp = self.stamp(caller);
        let created = self
            .store
            .create_profile(&caller.organization, new, stamp)
            .await;
        let profile = created.map_err(|error| match error {
            CreateError::NameTaken { by } => name_taken(&display_name, by, &origin),
            CreateError::NoOrganization => no_organization(),
            CreateError::Fault(fault) => fault.into(),
            error @ CreateError::IdTaken => ApiError::internal(error),
        })?;
        audit(caller, "profile.create", &profile);
        Ok(profile)
    }

    /// What a creation would make, without an id.
    async fn preview_profile(
        &self,
        caller: &Principal,
        draft: ProfileDraft,
        origin: &Origin,
    ) -> ApiResult<Profile> {
        let reference = ProfileRef::from(draft.display_name.clone());
        match self
            .store
            .get_profile(&caller.organization, &reference)
            .await
        {
            Ok(taken) => return Err(name_taken(&draft.display_name, taken.id, origin)),
            Err(GetError::Fault(fault)) => return Err(fault.into()),
            Err(GetError::NotFound) => {}
        }
        let now = self.now();
        let ProfileDraft {
            display_name,
            description,
            labels,
            spec,
        } = draft;
        Ok(Profile {
            id: ProfileId::new(uuid::Uuid::nil()),
            organization: caller.organization.clone(),
            display_name,
            description,
            labels,
            spec,
            revision: Revision::FIRST,
            created_at: now,
            updated_at: now,
        })
    }

    /// Changes a profile; returns how it is then.
    ///
    /// A change that changes nothing writes nothing. A spec is judged against
    /// the bindings of the profile, and written only while these are the ones
    /// that it was judged against; when they changed meanwhile, all is done anew.
    pub(crate) async fn update_profile(
        &self,
        caller: &Principal,
        text: &str,
        edit: Located<ProfileEdit>,
        change: Change,
    ) -> ApiResult<Profile> {
        let expectation = change.expectation.and(edit.value.etag.as_deref());
        for _ in 0..ATTEMPTS {
            let current = self.get_profile(caller, text).await?;
            check_identity(&current, &edit.value, &edit.origin)?;
            expectation.check(&etag_of(&current), &naming(&current))?;
            let wanted = applied(&current, &edit.value);
            let judged = self.judge(&current, &wanted, &edit.origin).await?;
            if wanted == current {
                return Ok(current);
            }
            if change.is_dry_run {
                return Ok(Profile {
                    revision: current.revision.next(),
                    updated_at: self.now(),
                    ..wanted
                });
            }
            let update = ProfileUpdate {
                expected: expectation.is_given().then_some(current.revision),
                description: edit.value.description.clone(),
                labels: edit.value.labels.clone(),
                spec: edit.value.spec.clone(),
                judged,
            };
            let stamp = self.stamp(caller);
            let organization = &caller.organization;
            let updated = self
                .store
                .update_profile(organization, current.id, update, stamp);
            match updated.await {
                Ok(profile) => {
                    audit(caller, "profile.update", &profile);
                    return Ok(profile);
                }
                Err(UpdateError::RunnersMoved) => {}
                Err(UpdateError::NotFound) => return Err(gone(&current)),
                Err(UpdateError::RevisionMismatch { .. }) => {
                    return Err(changed_meanwhile(&naming(&current)));
                }
                Err(UpdateError::Fault(fault)) => return Err(fault.into()),
            }
        }
        let message = "changes of the runners that bind the profile keep coming in between; try \
                       again";
        Err(ApiError::new(Reason::EtagMismatch, message))
    }

    /// Refuses a spec that would break a binding; returns what it was judged
    /// against, if it had to be.
    async fn judge(
        &self,
        current: &Profile,
        wanted: &Profile,
        origin: &Origin,
    ) -> ApiResult<Option<Vec<JudgedRunner>>> {
        if wanted.spec == current.spec {
            return Ok(None);
        }
        let bound = self.bindings_of(current).await?;
        allow(guardrails::broken_by_profile(wanted, &bound), origin)?;
        let judged = bound.iter().map(|bound| JudgedRunner {
            runner: bound.runner.uid,
            revision: bound.runner.revision,
        });
        Ok(Some(judged.collect()))
    }
}

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// The states that it was made from.
    pub(crate) expectation: Expectation,
    /// Whether nothing is to be written.
    pub(crate) is_dry_run: bool,
}

/// A profile as a sentence names it.
pub(super) fn naming(profile: &Profile) -> String {
    format!("profile {:?}", profile.display_name.as_str())
}

pub(super) fn gone(profile: &Profile) -> ApiError {
    let message = format!("{} was deleted meanwhile", naming(profile));
    ApiError::new(Reason::ProfileNotFound, message)
}

pub(super) fn audit(caller: &Principal, action: &'static str, profile: &Profile) {
    info!(
        action,
        organization.id = %caller.organization,
        user.id = %caller.user,
        token.id = %caller.token,
        profile.id = %profile.id,
        profile.name = %profile.display_name,
        profile.revision = profile.revision.0,
        "profile changed"
    );
}

/// Refuses when there is a violation.
fn allow(violations: Vec<Violation>, origin: &Origin) -> ApiResult<()> {
    if violations.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(Reason::InvalidRequest, violations, origin))
    }
}

fn applied(current: &Profile, edit: &ProfileEdit) -> Profile {
    let mut wanted = current.clone();
    if let Some(description) = &edit.description {
        wanted.description.clone_from(description);
    }
    if let Some(labels) = &edit.labels {
        wanted.labels.clone_from(labels);
    }
    if let Some(spec) = &edit.spec {
        wanted.spec.clone_from(spec);
    }
    wanted
}

/// Refuses a document about another profile, or with another name.
fn check_identity(current: &Profile, edit: &ProfileEdit, origin: &Origin) -> ApiResult<()> {
    let mut violations = Vec::new();
    let mut refuse = |key: &str, what: String| {
        let path = FieldPath::root().key(key);
        violations.push(Violation::new(path, ViolationKind::Immutable, what));
    };
    if edit.id.is_some_and(|id| id != current.id) {
        let what = format!("is not the id of this profile, which is {}", current.id);
        refuse("id", what);
    }
    if edit
        .display_name
        .as_ref()
        .is_some_and(|name| *name != current.display_name)
    {
        let what = format!(
            "cannot be changed from {:?}; make a new profile under the new name, and move the \
             runners to it one by one",
            current.display_name.as_str()
        );
        refuse("display_name", what);
    }
    allow(violations, origin)
}

fn name_taken(name: &DisplayName, by: ProfileId, origin: &Origin) -> ApiError {
    let what = format!(
        "is taken: the organization has a profile {:?} already, with id {by}",
        name.as_str()
    );
    let path = FieldPath::root().key("display_name");
    let violation = Violation::new(path, ViolationKind::Duplicate, what);
    ApiError::fields(Reason::ProfileNameTaken, vec![violation], origin)
        .with("profile_template_id", by.to_string())
}

/// The organization of a token that was just checked is gone.
pub(crate) fn no_organization() -> ApiError {
    ApiError::new(
        Reason::Unauthenticated,
        "the organization of the token does not exist any more",
    )
}
