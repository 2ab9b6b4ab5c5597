//! Setting the limits of users, by administrators of their organization.
//!
//! Those of the organization itself are set by whoever runs the platform, and
//! bound the others. Invariant: a change is judged against the very state that it
//! replaces, so that neither it nor another one is lost.

use palisade_model::profile::Revision;
use palisade_model::quota::{Limits, Quota, Whose};
use palisade_model::reason::Reason;
use palisade_model::tenant::{Organization, Principal};
use palisade_store::UpdateQuotaError;
use palisade_wire::rest::{QuotaLimits, too_wide};
use tracing::info;

use crate::error::{ApiError, ApiResult};
use crate::etag::changed_meanwhile;
use crate::plane::ControlPlane;
use crate::profiles::{Change, no_organization};

/// How often a change is made anew that another one came before.
const ATTEMPTS: u32 = 5;

impl ControlPlane {
    /// What was set for the caller's organization and its users.
    pub(crate) async fn quota_limits(&self, caller: &Principal) -> ApiResult<QuotaLimits> {
        let organization = self.organization_of(caller).await?;
        Ok(told(&organization))
    }

    /// Replaces the limits of users of the caller's organization, or takes them
    /// away from one; returns all that is set then.
    pub(crate) async fn set_quota_limits(
        &self,
        caller: &Principal,
        whose: &Whose,
        limits: Option<Limits>,
        change: &Change,
    ) -> ApiResult<QuotaLimits> {
        for _ in 0..ATTEMPTS {
            let current = self.organization_of(caller).await?;
            change
                .expectation
                .check(&etag(current.revision), &naming(caller))?;
            let quota = self.judged(&current.quota, whose, limits.clone())?;
            if quota == current.quota {
                return Ok(told(&current));
            }
            if change.is_dry_run {
                let revision = current.revision.next();
                return Ok(QuotaLimits::new(&quota, etag(revision)));
            }
            let expected = Some(current.revision);
            let id = &caller.organization;
            match self.store.update_quota(id, quota, expected).await {
                Ok(changed) => {
                    audit(caller, whose, &changed);
                    return Ok(told(&changed));
                }
                Err(UpdateQuotaError::RevisionMismatch { .. }) if change.expectation.is_given() => {
                    return Err(changed_meanwhile(&naming(caller)));
                }
                Err(UpdateQuotaError::RevisionMismatch { .. }) => {}
                Err(UpdateQuotaError::NotFound) => return Err(no_organization()),
                Err(UpdateQuotaError::Fault(fault)) => return Err(fault.into()),
            }
        }
        let message = "changes of the quota keep coming in between; try again";
        Err(ApiError::new(Reason::EtagMismatch, message))
    }

    /// The quota after the change, if it is one that an administrator may make.
    fn judged(&self, quota: &Quota, whose: &Whose, limits: Option<Limits>) -> ApiResult<Quota> {
        if let Some(limits) = &limits {
            let server = self.snapshot_limits.as_ref();
            let present = match whose {
                Whose::EachUser => &quota.each_user,
                Whose::User(user) => quota.of_user(user),
            };
            // What was set before the organization got less is not asked for now.
            let held = quota.wider(present, server);
            let mut wider = quota.wider(limits, server);
            wider.retain(|wider| !held.contains(wider));
            if let Some(refusal) = too_wide(&wider) {
                return Err(refusal.into());
            }
        }
        let changed = quota.clone().with(whose, limits);
        changed.map_err(|error| ApiError::new(Reason::InvalidRequest, error.to_string()))
    }
}

fn told(organization: &Organization) -> QuotaLimits {
    QuotaLimits::new(&organization.quota, etag(organization.revision))
}

/// The name of the state of a quota; no organization is ever made anew.
fn etag(revision: Revision) -> String {
    format!("{}-quota", revision.0)
}

fn naming(caller: &Principal) -> String {
    format!("the quota of organization {}", caller.organization)
}

fn audit(caller: &Principal, whose: &Whose, changed: &Organization) {
    let of = match whose {
        Whose::EachUser => "each user",
        Whose::User(user) => user.as_str(),
    };
    info!(
        action = "quota.update",
        organization.id = %caller.organization,
        user.id = %caller.user,
        token.id = %caller.token,
        quota.of = of,
        quota.revision = changed.revision.0,
        "quota changed"
    );
}
