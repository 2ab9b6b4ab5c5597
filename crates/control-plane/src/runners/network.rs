//! What a runner makes of the network block of a profile, for those who check
//! that what is enforced is what was meant.

use palisade_model::document::one_of;
use palisade_model::name::ProfileName;
use palisade_model::policy::Surroundings;
use palisade_model::profile::Profile;
use palisade_model::reason::Reason;
use palisade_model::resolve;
use palisade_model::runner::{Binding, Runner};
use palisade_model::tenant::Principal;
use palisade_wire::rest::{self, RunnerNetwork};

use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

impl ControlPlane {
    /// The network block of a profile, by id or name, as a runner that is
    /// connected makes it.
    pub(crate) async fn runner_network(
        &self,
        caller: &Principal,
        runner: &str,
        profile: &str,
    ) -> ApiResult<RunnerNetwork> {
        let runner = self.get_runner(caller, runner).await?;
        let organization = &caller.organization;
        let profiles = self.bound_profiles(organization, &runner.bindings).await?;
        let (binding, bound) = find(&runner, &profiles, profile)?;
        let resolved = resolve::resolve(&runner, binding, bound).map_err(|violations| {
            let what = violations.first().map(ToString::to_string);
            let message = format!(
                "profile {profile} makes no sandbox on runner {}: {}",
                runner.id,
                what.unwrap_or_default()
            );
            ApiError::new(Reason::ProfileMismatch, message)
        })?;
        let surroundings = self.surroundings(&runner)?;
        Ok(RunnerNetwork {
            runner_id: runner.id.to_string(),
            profile_template_id: bound.id.to_string(),
            profile_name: name(binding, bound).to_string(),
            revision: bound.revision.0,
            network: RunnerNetwork::block(&resolved.spec),
            surroundings: rest::Surroundings::from(&surroundings),
            lacks: (self.live.observe(runner.uid).lacks.into_iter())
                .map(|(feature, why)| (feature.as_str().to_owned(), why))
                .collect(),
        })
    }

    fn surroundings(&self, runner: &Runner) -> ApiResult<Surroundings> {
        self.live.surroundings(runner.uid).ok_or_else(|| {
            let message = format!(
                "runner {} is not connected, or does not say what lies around its sandboxes; \
                 start it, in the version of this server",
                runner.id
            );
            ApiError::new(Reason::RunnerUnavailable, message)
        })
    }
}

/// The binding that answers to this id or name, as it does for a sandbox.
fn find<'a>(
    runner: &'a Runner,
    profiles: &'a [Profile],
    wanted: &str,
) -> ApiResult<(&'a Binding, &'a Profile)> {
    let mut bindings = runner.bindings.as_slice().iter().zip(profiles);
    let answers = |(binding, profile): &(&Binding, &Profile)| {
        profile.id.to_string() == wanted
            || name(binding, profile).as_str() == wanted
            || profile.display_name.as_str() == wanted
    };
    bindings.find(answers).ok_or_else(|| {
        let bindings = runner.bindings.as_slice().iter().zip(profiles);
        let names: Vec<ProfileName> = bindings
            .map(|(binding, profile)| name(binding, profile))
            .collect();
        let shown = wanted.chars().take(64).collect::<String>();
        let message = format!(
            "runner {} binds no profile {shown:?}; it binds {}",
            runner.id,
            one_of(&names)
        );
        ApiError::new(Reason::ProfileNotFound, message)
    })
}

fn name(binding: &Binding, profile: &Profile) -> ProfileName {
    let alias = binding.alias.clone();
    alias.unwrap_or_else(|| profile.display_name.clone().into())
}
