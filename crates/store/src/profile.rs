//! Profiles and their revisions.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::id::{ProfileId, RunnerUid};
use palisade_model::name::{DisplayName, OrganizationId, RunnerId};
use palisade_model::profile::{Profile, ProfileSpec, Revision};

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};
use crate::reference::ProfileRef;
use crate::store::Stamp;

/// Keeps profiles.
///
/// # Contract
///
/// * A display name is taken by at most one profile of an organization. It is
///   free again once that profile is deleted.
/// * What is read back equals what was written, the spelling of quantities
///   included.
/// * A reference finds the profile with that id, and else the one with that
///   display name.
/// * Every write makes the next revision, even one that changes nothing: the
///   whole profile as it then is, by whom and when. Revisions never change, and
///   stay readable after the profile is deleted.
/// * An update changes the fields that it names and no others.
/// * A write that expects another revision than the present one is refused and
///   told the present one. Of several writes that expect the same revision, one
///   succeeds.
/// * A change that was judged against the runners that bind the profile is
///   written only while these, at these revisions, are the ones that do, in the
///   same transaction.
/// * A profile that a runner binds is not deleted; the refusal names every such
///   runner, in the order of their ids. Deleting and binding exclude each other:
///   no runner ever binds a profile that does not exist.
/// * A list is in the order of display names, by their bytes; revisions are
///   listed the newest first.
#[async_trait]
pub trait Profiles: Debug + Send + Sync + 'static {
    /// Adds a profile at its first revision.
    async fn create_profile(
        &self,
        organization: &OrganizationId,
        profile: NewProfile,
        stamp: Stamp,
    ) -> Result<Profile, CreateError>;

    /// Returns one profile.
    async fn get_profile(
        &self,
        organization: &OrganizationId,
        profile: &ProfileRef,
    ) -> Result<Profile, GetError>;

    /// Returns a part of the profiles of an organization.
    async fn list_profiles(
        &self,
        organization: &OrganizationId,
        page: PageRequest<DisplayName>,
    ) -> Result<Page<Profile, DisplayName>, Fault>;

    /// Changes a profile; returns how it is now.
    async fn update_profile(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        update: ProfileUpdate,
        stamp: Stamp,
    ) -> Result<Profile, UpdateError>;

    /// Deletes a profile that no runner binds.
    async fn delete_profile(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        expected: Option<Revision>,
    ) -> Result<(), DeleteError>;

    /// Returns a profile as it was at one revision.
    async fn get_profile_revision(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        revision: Revision,
    ) -> Result<ProfileRevision, GetError>;

    /// Returns a part of the revisions of a profile.
    async fn list_profile_revisions(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        page: PageRequest<Revision>,
    ) -> Result<Page<ProfileRevision, Revision>, Fault>;
}

/// A profile that is to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewProfile {
    /// Its identity; drawn by the caller.
    pub id: ProfileId,
    /// What people call it.
    pub display_name: DisplayName,
    /// Free text for people; may be empty.
    pub description: String,
    /// Labels of the owner.
    pub labels: BTreeMap<String, String>,
    /// The guardrails.
    pub spec: ProfileSpec,
}

/// A change to a profile. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileUpdate {
    /// The revision that the change was made from; `None` overwrites any.
    pub expected: Option<Revision>,
    /// Free text for people.
    pub description: Option<String>,
    /// All labels of the owner.
    pub labels: Option<BTreeMap<String, String>>,
    /// The whole of the guardrails.
    pub spec: Option<ProfileSpec>,
    /// The runners that bind the profile, as the change was judged against them;
    /// `None` if it was not.
    pub judged: Option<Vec<JudgedRunner>>,
}

/// A runner as it was when a decision was made that counts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JudgedRunner {
    /// The runner.
    pub runner: RunnerUid,
    /// The revision of its configuration that was looked at.
    pub revision: Revision,
}

/// A profile as it was at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRevision {
    /// The profile.
    pub id: ProfileId,
    /// The number of the revision.
    pub revision: Revision,
    /// What people called it.
    pub display_name: DisplayName,
    /// Free text for people.
    pub description: String,
    /// Labels of the owner.
    pub labels: BTreeMap<String, String>,
    /// The guardrails.
    pub spec: ProfileSpec,
    /// Who wrote it, and when.
    pub stamp: Stamp,
}

/// Why a profile was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateError {
    /// The organization does not exist.
    #[error("the organization does not exist")]
    NoOrganization,
    /// Another profile has this display name; choose another or update that one.
    #[error("the display name is taken by profile {by}")]
    NameTaken {
        /// The profile that has it.
        by: ProfileId,
    },
    /// There is a profile with this id; draw another one.
    #[error("the id is taken")]
    IdTaken,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a profile was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such profile in the organization")]
    NotFound,
    /// Somebody else changed it; read it again and decide anew.
    #[error("the profile is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// Other runners bind it, or the same ones otherwise; judge again.
    #[error("the runners that bind the profile changed since they were looked at")]
    RunnersMoved,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a profile was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such profile in the organization")]
    NotFound,
    /// Runners bind it; take it off their bindings first.
    #[error("the profile is bound by {} runner(s)", runners.len())]
    Bound {
        /// Every runner that binds it.
        runners: Vec<RunnerId>,
    },
    /// Somebody else changed it; read it again and decide anew.
    #[error("the profile is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
