//! From the bindings that a caller wrote to those of the domain.
//!
//! A caller names profiles by id or by display name. What is found belongs to
//! the caller's organization, and goes together as a list.

use palisade_model::name::{OrganizationId, ProfileName};
use palisade_model::profile::Profile;
use palisade_model::reason::Reason;
use palisade_model::runner::{Binding, Bindings, BindingsError};
use palisade_model::violation::{Violation, ViolationKind, did_you_mean};
use palisade_store::{GetError, PageRequest, PageSize, ProfileRef};
use palisade_wire::runner_document::{
    BindingDraft, ProfileChoice, binding_path, bindings_violation,
};
use palisade_wire::spelling::Origin;

use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

/// Bindings and the profiles that they bind, in the same order.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) bindings: Bindings,
    pub(crate) profiles: Vec<Profile>,
}

impl ControlPlane {
    /// Finds the profiles of a list and checks that it goes together.
    pub(crate) async fn choose(
        &self,
        organization: &OrganizationId,
        drafts: Vec<BindingDraft>,
        origin: &Origin,
    ) -> ApiResult<Chosen> {
        let mut profiles = Vec::with_capacity(drafts.len());
        let mut missing = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            match self.find_profile(organization, &draft.profile).await {
                Ok(profile) => profiles.push(profile),
                Err(GetError::NotFound) => missing.push((index, &draft.profile)),
                Err(GetError::Fault(fault)) => return Err(fault.into()),
            }
        }
        if !missing.is_empty() {
            let violations = self.missing_profiles(organization, &missing).await?;
            let reason = Reason::BoundProfileNotFound;
            return Err(ApiError::fields(reason, violations, origin));
        }
        let names = drafts.iter().zip(&profiles).map(|(draft, profile)| {
            let alias = draft.alias.clone();
            alias.unwrap_or_else(|| ProfileName::from(profile.display_name.clone()))
        });
        let names = names.collect::<Vec<_>>();
        let bindings = drafts.into_iter().zip(&profiles).map(|(draft, profile)| {
            let BindingDraft {
                profile: _,
                alias,
                is_default,
                overrides,
            } = draft;
            Binding {
                profile: profile.id,
                alias,
                is_default,
                overrides,
            }
        });
        let bindings = together(bindings.collect(), &names).map_err(|errors| {
            let violations = errors.iter().map(bindings_violation).collect();
            ApiError::fields(Reason::InvalidRequest, violations, origin)
        })?;
        Ok(Chosen { bindings, profiles })
    }

    /// The profiles of bindings that are stored already.
    pub(crate) async fn bound_profiles(
        &self,
        organization: &OrganizationId,
        bindings: &Bindings,
    ) -> ApiResult<Vec<Profile>> {
        let mut profiles = Vec::with_capacity(bindings.as_slice().len());
        for binding in bindings.as_slice() {
            let reference = ProfileRef::from(binding.profile);
            match self.store.get_profile(organization, &reference).await {
                Ok(profile) => profiles.push(profile),
                Err(GetError::Fault(fault)) => return Err(fault.into()),
                // The store lets no bound profile go.
                Err(error @ GetError::NotFound) => return Err(ApiError::internal(error)),
            }
        }
        Ok(profiles)
    }

    async fn find_profile(
        &self,
        organization: &OrganizationId,
        choice: &ProfileChoice,
    ) -> Result<Profile, GetError> {
        let reference = match choice {
            ProfileChoice::Id(id) => ProfileRef::from(*id),
            ProfileChoice::Name(name) => ProfileRef::from(name.clone()),
        };
        self.store.get_profile(organization, &reference).await
    }

    async fn missing_profiles(
        &self,
        organization: &OrganizationId,
        missing: &[(usize, &ProfileChoice)],
    ) -> ApiResult<Vec<Violation>> {
        let page = PageRequest::first(PageSize::MAX);
        let known = self.store.list_profiles(organization, page).await?.items;
        let names = known.iter().map(|profile| profile.display_name.as_str());
        let names = names.collect::<Vec<_>>();
        let violation = |(index, choice): &(usize, &ProfileChoice)| {
            let near = did_you_mean(&choice.to_string(), names.iter().copied());
            let hint = near.map(|name| format!("; did you mean {name}?"));
            let description = format!(
                "names the profile {choice}, which does not exist in the organization{}",
                hint.unwrap_or_default()
            );
            let path = binding_path(*index, Some("profile_template_id"));
            Violation::new(path, ViolationKind::Invalid, description)
        };
        Ok(missing.iter().map(violation).collect())
    }
}

/// The list, if it keeps every rule about lists.
fn together(bindings: Vec<Binding>, names: &[ProfileName]) -> Result<Bindings, Vec<BindingsError>> {
    let mut errors = Bindings::check_names(names);
    match Bindings::new(bindings) {
        Ok(bindings) if errors.is_empty() => Ok(bindings),
        Ok(_) => Err(errors),
        Err(others) => {
            errors.extend(others);
            Err(errors)
        }
    }
}
