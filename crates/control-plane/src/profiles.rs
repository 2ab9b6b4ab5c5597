//! What can be done with profiles.

use palisade_model::name::DisplayName;
use palisade_model::profile::{Profile, Revision};
use palisade_model::reason::Reason;
use palisade_model::tenant::Principal;
use palisade_store::profile::ProfileRevision;
use palisade_store::{GetError, Page, PageRequest, PageSize, ProfileRef};

use crate::error::{ApiError, ApiResult};
use crate::etag;
use crate::plane::ControlPlane;

mod delete;
mod rollback;
mod write;

pub(crate) use write::{Change, no_organization};

/// The name of the present state of a profile.
pub(crate) fn etag_of(profile: &Profile) -> String {
    etag::of(profile.id.as_uuid(), profile.revision)
}

impl ControlPlane {
    /// One profile, by id or display name.
    pub(crate) async fn get_profile(&self, caller: &Principal, text: &str) -> ApiResult<Profile> {
        let Ok(reference) = text.parse::<ProfileRef>() else {
            return Err(self.no_profile(caller, text).await);
        };
        let found = self
            .store
            .get_profile(&caller.organization, &reference)
            .await;
        match found {
            Ok(profile) => Ok(profile),
            Err(GetError::NotFound) => Err(self.no_profile(caller, text).await),
            Err(GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// A part of the profiles, in the order of their display names.
    pub(crate) async fn list_profiles(
        &self,
        caller: &Principal,
        page: PageRequest<DisplayName>,
    ) -> ApiResult<Page<Profile, DisplayName>> {
        let organization = &caller.organization;
        Ok(self.store.list_profiles(organization, page).await?)
    }

    /// A profile as it was at one revision. Those of deleted profiles stay
    /// readable by id.
    pub(crate) async fn get_profile_revision(
        &self,
        caller: &Principal,
        text: &str,
        revision: Revision,
    ) -> ApiResult<ProfileRevision> {
        let id = match text.parse() {
            Ok(id) => id,
            Err(_) => self.get_profile(caller, text).await?.id,
        };
        let found = self
            .store
            .get_profile_revision(&caller.organization, id, revision)
            .await;
        found.map_err(|error| match error {
            GetError::NotFound => ApiError::new(
                Reason::ProfileNotFound,
                format!("profile {text} has no revision {}", revision.0),
            ),
            GetError::Fault(fault) => fault.into(),
        })
    }

    /// A part of the revisions of a profile, the newest first.
    pub(crate) async fn list_profile_revisions(
        &self,
        caller: &Principal,
        text: &str,
        page: PageRequest<Revision>,
    ) -> ApiResult<Page<ProfileRevision, Revision>> {
        let organization = &caller.organization;
        let id = match text.parse() {
            Ok(id) => id,
            Err(_) => self.get_profile(caller, text).await?.id,
        };
        let is_first = page.after.is_none();
        let found = self
            .store
            .list_profile_revisions(organization, id, page)
            .await?;
        if is_first && found.items.is_empty() {
            return Err(self.no_profile(caller, text).await);
        }
        Ok(found)
    }

    /// The refusal of a reference that finds nothing, with the nearest name.
    async fn no_profile(&self, caller: &Principal, text: &str) -> ApiError {
        let shown = text.chars().take(64).collect::<String>();
        let page = PageRequest::first(PageSize::MAX);
        let listed = self.store.list_profiles(&caller.organization, page).await;
        let names = listed.map(|page| page.items).unwrap_or_default();
        let names = names.iter().map(|profile| profile.display_name.as_str());
        let near = palisade_model::violation::did_you_mean(&shown, names);
        let hint = near.map(|name| format!("; did you mean {name}?"));
        let message = format!(
            "the organization has no profile {shown:?}{}",
            hint.unwrap_or_default()
        );
        ApiError::new(Reason::ProfileNotFound, message)
    }
}
