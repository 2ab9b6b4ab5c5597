//! What an organization and a user may have, and what they do have.
//!
//! Everybody may look at his own limits; those of another user are for
//! administrators, who also set them: see [`setting`].

use palisade_model::clock::Timestamp;
use palisade_model::name::UserId;
use palisade_model::quota::{Quota, Usage};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::Owner;
use palisade_model::snapshot::SnapshotLimits;
use palisade_model::tenant::{Organization, Principal};
use palisade_store::GetError;
use palisade_wire::rest::QuotaReport;

use crate::error::ApiResult;
use crate::plane::ControlPlane;
use crate::profiles::no_organization;

mod setting;

/// Limits beside what is counted.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) quota: Quota,
    pub(crate) usage: Usage,
    pub(crate) user: UserId,
    server: Option<SnapshotLimits>,
}

impl Standing {
    /// What the caller is told of it.
    pub(crate) fn report(&self, caller: &Principal) -> QuotaReport {
        let whose = (&caller.organization, &self.user);
        QuotaReport::new(&self.quota, &self.usage, whose, self.server.as_ref())
    }

    /// What a start would be refused with now, if a limit is used up.
    pub(crate) fn refusal(&self, caller: &Principal) -> Option<Refusal> {
        let exceeded = self.quota.check(&self.user, &self.usage).err()?;
        let owner = Owner {
            organization: caller.organization.clone(),
            user: self.user.clone(),
        };
        Some(exceeded.refusal(&owner, Timestamp::EPOCH))
    }
}

impl ControlPlane {
    /// Where the caller's organization and a user of it stand.
    pub(crate) async fn standing(&self, caller: &Principal, user: UserId) -> ApiResult<Standing> {
        let organization = self.organization_of(caller).await?;
        let usage = self
            .store
            .quota_usage(&caller.organization, &user, self.now());
        Ok(Standing {
            quota: organization.quota,
            usage: usage.await?,
            user,
            server: self.snapshot_limits,
        })
    }

    pub(crate) async fn organization_of(&self, caller: &Principal) -> ApiResult<Organization> {
        let found = self.store.get_organization(&caller.organization).await;
        found.map_err(|error| match error {
            GetError::NotFound => no_organization(),
            GetError::Fault(fault) => fault.into(),
        })
    }
}
