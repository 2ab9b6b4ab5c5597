//! What was refused to sandboxes on the network.
//!
//! Runners tell it to the gateway; here it is only found and shown, to members of
//! the organization that the sandbox or the profile belongs to.

use std::collections::BTreeMap;

use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::reason::Reason;
use palisade_model::runner::Feature;
use palisade_model::tenant::Principal;
use palisade_store::GetError;
use palisade_wire::rest::DenialTotals;
use palisade_wire::v1beta2::{sandbox_id, sandbox_not_found};

use crate::error::{ApiError, ApiResult};
use crate::page;
use crate::plane::ControlPlane;

impl ControlPlane {
    /// What was refused to one sandbox so far; nothing, if its runner told of none.
    /// That of a runner that cannot tell is not known, which is not nothing.
    pub(crate) async fn denials(
        &self,
        caller: &Principal,
        text: &str,
    ) -> ApiResult<(SandboxId, Denials)> {
        let id = sandbox_id(text)?;
        let organization = &caller.organization;
        let sandbox = match self.store.get_sandbox(organization, id).await {
            Ok(sandbox) => sandbox,
            Err(GetError::NotFound) => return Err(sandbox_not_found(text).into()),
            Err(GetError::Fault(fault)) => return Err(fault.into()),
        };
        let placed = &sandbox.placement;
        if let Some(why) = self.lacks_denials(placed.runner_uid) {
            let message = format!(
                "what is refused to sandboxes on the network is not known on runner {}: {why}",
                placed.runner_id
            );
            let error = ApiError::new(Reason::NotImplemented, message);
            let error = error.with("feature", Feature::Denials.as_str());
            return Err(error.with("runner_id", placed.runner_id.to_string()));
        }
        let known = self.live.denials(organization, id);
        let denials = known.unwrap_or_else(|| Denials {
            profile: sandbox.placement.profile_id,
            mode: sandbox.placement.egress_mode,
            packets: 0,
            incoming: 0,
            questions: 0,
            recent: Vec::new(),
        });
        Ok((id, denials))
    }

    /// What was refused to all sandboxes of a profile, and on which runners that
    /// bind it nobody counts, each with why.
    pub(crate) async fn profile_denials(
        &self,
        caller: &Principal,
        text: &str,
    ) -> ApiResult<(ProfileId, DenialTotals, BTreeMap<String, String>)> {
        let profile = self.get_profile(caller, text).await?;
        let organization = &caller.organization;
        let totals = self.live.profile_denials(organization, profile.id);
        let runners = page::all(|page| self.store.list_runners(organization, page)).await?;
        let uncounted = runners.iter().filter_map(|runner| {
            runner.bindings.of(profile.id)?;
            let why = self.lacks_denials(runner.uid)?;
            Some((runner.id.to_string(), why))
        });
        Ok((profile.id, totals, uncounted.collect()))
    }

    /// Why a runner cannot tell what it refuses, if it cannot.
    fn lacks_denials(&self, runner: RunnerUid) -> Option<String> {
        self.live.observe(runner).lacks.remove(&Feature::Denials)
    }
}
