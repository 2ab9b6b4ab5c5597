//! What placement would do, now or after a change.
//!
//! The decision is [`placement::explain`], which is what a launch goes through.
//! It looks at the fleet that the gateway keeps, with everything configured as
//! the store has it at this moment, so that whoever just changed a profile is
//! told what the next launch would meet. Nothing is set aside or written.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use palisade_model::id::{ProfileId, RunnerUid};
use palisade_model::name::OrganizationId;
use palisade_model::placement::{self, Asking, Explanation, Fleet};
use palisade_model::profile::Profile;
use palisade_model::reason::Reason;
use palisade_model::resolve::{ResolvedSpec, resolve};
use palisade_model::runner::{Binding, Runner};
use palisade_model::sandbox::{Owner, Selectors, StartRequest};
use palisade_model::snapshot::FileSystem;
use palisade_model::tenant::Principal;
use palisade_secrets::Unresolved;
use palisade_store::GetError;
use palisade_wire::spelling::Origin;
use palisade_wire::v1beta2::snapshot_not_found;

use crate::error::{ApiError, ApiResult};
use crate::page;
use crate::plane::ControlPlane;

/// What is to be looked at in the place of what the store has.
#[derive(Clone, Debug)]
pub(crate) enum Instead {
    /// Nothing.
    Nothing,
    /// A profile as it would be.
    Profile(Box<Profile>),
    /// A runner as it would be.
    Runner(Box<Runner>),
}

/// What a binding makes of a profile.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) runner: Runner,
    pub(crate) binding: Binding,
    pub(crate) profile: Profile,
    pub(crate) resolved: ResolvedSpec,
}

impl ControlPlane {
    /// What a launch of this request by the caller would come to.
    pub(crate) async fn explain(
        &self,
        caller: &Principal,
        request: &StartRequest,
        instead: Instead,
    ) -> ApiResult<Explanation> {
        let owner = Owner {
            organization: caller.organization.clone(),
            user: caller.user.clone(),
        };
        let organization = self.organization_of(caller).await?;
        let fleet = self.fleet(&owner.organization, instead).await?;
        let largest = organization.quota.largest_sandbox(&owner.user);
        let asking = Asking {
            owner: &owner,
            request,
            quota: &largest,
        };
        Ok(placement::explain(&fleet, &asking))
    }

    /// Refuses secrets of a request that are not there, as a start does.
    pub(crate) async fn check_secrets(
        &self,
        caller: &Principal,
        request: &StartRequest,
        origin: &Origin,
    ) -> ApiResult<()> {
        if request.secrets.is_empty() {
            return Ok(());
        }
        let found = self.secrets.resolve(&caller.organization, &request.secrets);
        match found.await {
            Ok(_) => Ok(()),
            Err(Unresolved::Missing(violations)) => {
                Err(ApiError::fields(Reason::InvalidRequest, violations, origin))
            }
            Err(Unresolved::Failed(failure)) => Err(failure.into()),
        }
    }

    /// Refuses a file system that a start would not be given.
    pub(crate) async fn check_file_system(
        &self,
        caller: &Principal,
        request: &StartRequest,
    ) -> ApiResult<()> {
        let Some(wish) = &request.file_system else {
            return Ok(());
        };
        let snapshot = match wish.snapshot {
            None => None,
            Some(id) => {
                let found = self.store.get_snapshot(&caller.organization, id).await;
                Some(found.map_err(|error| match error {
                    GetError::NotFound => ApiError::from(snapshot_not_found(&id.to_string())),
                    GetError::Fault(fault) => fault.into(),
                })?)
            }
        };
        FileSystem::of(wish, snapshot.as_ref(), self.mount_bytes_max)?;
        Ok(())
    }

    /// What a profile is on a runner that binds it.
    pub(crate) async fn offered(
        &self,
        caller: &Principal,
        profile: &str,
        runner: &str,
    ) -> ApiResult<Offered> {
        let profile = self.get_profile(caller, profile).await?;
        let runner = self.get_runner(caller, runner).await?;
        let Some(binding) = runner.bindings.of(profile.id).cloned() else {
            return Err(not_bound(&profile, &runner));
        };
        match resolve(&runner, &binding, &profile) {
            Ok(resolved) => Ok(Offered {
                runner,
                binding,
                profile,
                resolved,
            }),
            Err(violations) => {
                let first = violations.first().map(ToString::to_string);
                let message = format!(
                    "the layers of profile {:?} on runner {} do not go together: {}",
                    profile.display_name.as_str(),
                    runner.id,
                    first.unwrap_or_default()
                );
                Err(ApiError::new(Reason::ProfileMismatch, message))
            }
        }
    }

    /// The fleet of one organization, configured as the store has it.
    async fn fleet(&self, organization: &OrganizationId, instead: Instead) -> ApiResult<Fleet> {
        let mut runners = page::all(|page| self.store.list_runners(organization, page)).await?;
        // After the runners: a profile that one of them binds is there.
        let profiles = page::all(|page| self.store.list_profiles(organization, page)).await?;
        let profiles = profiles.into_iter().map(|it| (it.id, Arc::new(it)));
        let mut profiles: HashMap<ProfileId, Arc<Profile>> = profiles.collect();
        match instead {
            Instead::Nothing => {}
            Instead::Profile(profile) => {
                profiles.insert(profile.id, Arc::from(profile));
            }
            Instead::Runner(runner) => {
                runners.retain(|it| it.uid != runner.uid);
                runners.push(*runner);
            }
        }
        let mut fleet = self.live.fleet();
        let kept = runners.iter().map(|runner| runner.uid);
        let kept: BTreeSet<RunnerUid> = kept.collect();
        let members = fleet.members(organization);
        let gone: Vec<_> = members
            .map(|member| member.runner().uid)
            .filter(|uid| !kept.contains(uid))
            .collect();
        for uid in gone {
            fleet.remove(organization, uid);
        }
        for runner in runners {
            fleet.put(Arc::new(runner), |id| profiles.get(&id).cloned());
        }
        Ok(fleet)
    }
}

/// A request that asks for nothing but this profile.
pub(crate) fn plain_request(profile: ProfileId) -> StartRequest {
    StartRequest {
        selectors: Selectors {
            profiles: vec![profile.to_string()],
            ..Selectors::default()
        },
        ..StartRequest::default()
    }
}

fn not_bound(profile: &Profile, runner: &Runner) -> ApiError {
    let message = format!(
        "runner {id} does not bind profile {name:?}; bind it with cwic sandbox runner edit {id}",
        id = runner.id,
        name = profile.display_name.as_str(),
    );
    ApiError::new(Reason::ProfileMismatch, message)
}
