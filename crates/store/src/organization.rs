//! Organizations, and what each and its users may have.
//!
//! Users are not records: one exists by being named, in a token or as the owner
//! of a sandbox, and its name is unique within the organization by being one.

use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::tenant::Organization;

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};

/// Keeps organizations.
///
/// # Contract
///
/// * An id is given out once: a second organization with it is refused.
/// * A changed quota is what the next read returns, at the next revision and with
///   everything else as it was.
/// * A change that was made from another revision than the present one is refused
///   and changes nothing; so of many changes from one revision one is made.
/// * A list is in the order of ids.
#[async_trait]
pub trait Organizations: Debug + Send + Sync + 'static {
    /// Adds an organization.
    async fn create_organization(
        &self,
        organization: Organization,
    ) -> Result<(), CreateOrganizationError>;

    /// Returns one organization.
    async fn get_organization(&self, id: &OrganizationId) -> Result<Organization, GetError>;

    /// Returns a part of all organizations.
    async fn list_organizations(
        &self,
        page: PageRequest<OrganizationId>,
    ) -> Result<Page<Organization, OrganizationId>, Fault>;

    /// Changes what the organization and its users may have; returns how it is
    /// now. `expected` is the revision that the change was made from; `None`
    /// overwrites any.
    async fn update_quota(
        &self,
        id: &OrganizationId,
        quota: Quota,
        expected: Option<Revision>,
    ) -> Result<Organization, UpdateQuotaError>;
}

/// Why a quota was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateQuotaError {
    /// There is no such organization.
    #[error("there is no such organization")]
    NotFound,
    /// Somebody else changed it; read it again and decide anew.
    #[error("the quota is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an organization was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateOrganizationError {
    /// There is one with this id.
    #[error("the id is taken")]
    IdTaken,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
