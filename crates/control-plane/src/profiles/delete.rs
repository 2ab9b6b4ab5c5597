//! Deleting profiles.

use palisade_model::name::RunnerId;
use palisade_model::profile::Profile;
use palisade_model::reason::Reason;
use palisade_model::tenant::Principal;
use palisade_store::profile::DeleteError;

use super::etag_of;
use super::write::{Change, audit, gone, naming};
use crate::error::{ApiError, ApiResult};
use crate::etag::changed_meanwhile;
use crate::plane::ControlPlane;

/// The most runners that a message names.
const NAMED_MAX: usize = 5;

impl ControlPlane {
    /// Deletes a profile that no runner offers.
    pub(crate) async fn delete_profile(
        &self,
        caller: &Principal,
        text: &str,
        change: Change,
    ) -> ApiResult<()> {
        let profile = self.get_profile(caller, text).await?;
        let expectation = change.expectation;
        expectation.check(&etag_of(&profile), &naming(&profile))?;
        if change.is_dry_run {
            let bound = self.bindings_of(&profile).await?;
            let runners = bound.into_iter().map(|bound| bound.runner.id);
            let runners = runners.collect::<Vec<_>>();
            return if runners.is_empty() {
                Ok(())
            } else {
                Err(in_use(&profile, &runners))
            };
        }
        let expected = expectation.is_given().then_some(profile.revision);
        let deleted = self
            .store
            .delete_profile(&caller.organization, profile.id, expected)
            .await;
        deleted.map_err(|error| match error {
            DeleteError::NotFound => gone(&profile),
            DeleteError::Bound { runners } => in_use(&profile, &runners),
            DeleteError::RevisionMismatch { .. } => changed_meanwhile(&naming(&profile)),
            DeleteError::Fault(fault) => fault.into(),
        })?;
        audit(caller, "profile.delete", &profile);
        Ok(())
    }
}

/// The refusal that says who binds the profile, and how to end that.
fn in_use(profile: &Profile, runners: &[RunnerId]) -> ApiError {
    let ids = runners.iter().map(ToString::to_string).collect::<Vec<_>>();
    let shown = &ids[..ids.len().min(NAMED_MAX)];
    let more = match ids.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = ids.first().map(String::as_str).unwrap_or_default();
    let names = shown.join(", ");
    let message = format!(
        "{} is bound by runner {names}{more}; detach it first: cwic sandbox runner edit {first} -f FILE, \
         with a profile_bindings list that leaves it out",
        naming(profile)
    );
    ApiError::new(Reason::ProfileInUse, message)
        .with("profile_template_id", profile.id.to_string())
        .with("runners", ids.join(","))
}
