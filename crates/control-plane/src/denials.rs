//! What was refused to sandboxes on the network.
//!
//! Runners tell it to the gateway; here it is only found and shown, to members of
//! the organization that the sandbox or the profile belongs to.

use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::tenant::Principal;
use palisade_store::GetError;
use palisade_wire::rest::DenialTotals;
use palisade_wire::v1beta2::{sandbox_id, sandbox_not_found};

use crate::error::ApiResult;
use crate::plane::ControlPlane;

impl ControlPlane {
    /// What was refused to one sandbox so far; nothing, if no runner told of any.
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

    /// What was refused to all sandboxes of a profile.
    pub(crate) async fn profile_denials(
        &self,
        caller: &Principal,
        text: &str,
    ) -> ApiResult<(ProfileId, DenialTotals)> {
        let profile = self.get_profile(caller, text).await?;
        let totals = self.live.profile_denials(&caller.organization, profile.id);
        Ok((profile.id, totals))
    }
}
