//! Runners, the clusters that they serve and the profiles that they bind.

use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::{ClusterId, ProfileId, RunnerUid};
use palisade_model::name::{ClusterName, OrganizationId, RunnerGroupId, RunnerId, Zone};
use palisade_model::profile::Revision;
use palisade_model::runner::{Bindings, BindingsError, Cluster, Runner, RunnerSettings};

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};
use crate::reference::RunnerRef;
use crate::store::Stamp;

/// Keeps runners.
///
/// # Contract
///
/// * The id that an operator chose is taken by at most one runner of an
///   organization, and a cluster is served by at most one. Both are free again
///   once that runner is deleted.
/// * A cluster that is named for the first time is made together with the
///   runner, with the id that the caller drew; afterwards the name keeps that
///   id, even when no runner serves it.
/// * What is read back equals what was written, the order of bindings included.
/// * A reference finds the runner with that uid, and else the one with that id.
/// * A list of bindings is replaced as a whole. If one of its profiles does not
///   exist in the organization, or two bindings answer to one name (display
///   names counted for those without an alias), nothing changes and the refusal
///   tells every place.
/// * Bindings that were judged against revisions of their profiles are written
///   only while those are the present ones, in the same transaction.
/// * Every write of the configuration makes the next revision, kept like those
///   of profiles. Marking for deletion does not.
/// * A write that expects another revision than the present one is refused and
///   told the present one. Of several writes that expect the same revision, one
///   succeeds.
/// * A runner is marked for deletion once; marking it again keeps the first
///   time. From then on its configuration does not change. Of the ends of several
///   drains the earliest holds, and to end sandboxes at once is earlier than any.
/// * A drain can be taken back until its end has come: the runner is then as if
///   it had never been marked. One that ends its sandboxes at once cannot, and
///   a runner that is not marked stays as it is.
/// * A runner on which sandboxes live is not deleted. Deleting one frees its
///   profiles. Finishing a deletion deletes marked runners alone.
/// * Runners are listed in the order of their ids and clusters in the order of
///   their names, by their bytes; revisions the newest first.
#[async_trait]
pub trait Runners: Debug + Send + Sync + 'static {
    /// Adds a runner at its first revision.
    async fn create_runner(
        &self,
        organization: &OrganizationId,
        runner: NewRunner,
        stamp: Stamp,
    ) -> Result<Runner, CreateError>;

    /// Returns one runner.
    async fn get_runner(
        &self,
        organization: &OrganizationId,
        runner: &RunnerRef,
    ) -> Result<Runner, GetError>;

    /// Returns the runner that serves a cluster.
    async fn get_runner_of_cluster(
        &self,
        organization: &OrganizationId,
        cluster: &ClusterName,
    ) -> Result<Runner, GetError>;

    /// Returns a part of the runners of an organization.
    async fn list_runners(
        &self,
        organization: &OrganizationId,
        page: PageRequest<RunnerId>,
    ) -> Result<Page<Runner, RunnerId>, Fault>;

    /// Changes a runner; returns how it is now.
    async fn update_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        update: RunnerUpdate,
        stamp: Stamp,
    ) -> Result<Runner, UpdateError>;

    /// Marks a runner for deletion; returns how it is now.
    async fn mark_runner_deleting(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        mark: DeletionMark,
    ) -> Result<Runner, MarkError>;

    /// Takes a drain back whose end has not come at `now`; returns how the runner
    /// is then.
    async fn unmark_runner_deleting(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        now: Timestamp,
    ) -> Result<Runner, UnmarkError>;

    /// Deletes a runner that is marked and on which no sandbox lives. One whose
    /// mark was taken back meanwhile is left.
    async fn finish_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
    ) -> Result<(), FinishError>;

    /// Deletes a runner on which no sandbox lives, marked or not.
    async fn delete_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        expected: Option<Revision>,
    ) -> Result<(), DeleteError>;

    /// Returns a runner as it was at one revision.
    async fn get_runner_revision(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        revision: Revision,
    ) -> Result<RunnerRevision, GetError>;

    /// Returns a part of the revisions of a runner.
    async fn list_runner_revisions(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        page: PageRequest<Revision>,
    ) -> Result<Page<RunnerRevision, Revision>, Fault>;

    /// Returns a part of the clusters of an organization.
    async fn list_clusters(
        &self,
        organization: &OrganizationId,
        page: PageRequest<ClusterName>,
    ) -> Result<Page<Cluster, ClusterName>, Fault>;
}

/// A runner that is to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRunner {
    /// Its identity; drawn by the caller.
    pub uid: RunnerUid,
    /// The id that the operator chose.
    pub id: RunnerId,
    /// What people call it; may be empty.
    pub display_name: String,
    /// Where it stands.
    pub zone: Zone,
    /// The cluster that it serves.
    pub cluster: ClusterChoice,
    /// The group that it is scheduled with.
    pub group: RunnerGroupId,
    /// How it is kept and what it allows.
    pub settings: RunnerSettings,
    /// The profiles that it offers.
    pub bindings: Bindings,
    /// What its bindings were judged against; `None` if they were not.
    pub judged: Option<Vec<JudgedProfile>>,
}

/// A profile as it was when a decision was made that counts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedProfile {
    /// The profile.
    pub profile: ProfileId,
    /// The revision that was looked at.
    pub revision: Revision,
}

/// How a runner is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionMark {
    /// The revision that the decision was made from; `None` takes any.
    pub expected: Option<Revision>,
    /// When it begins.
    pub at: Timestamp,
    /// Until when its sandboxes may end by themselves; `None` ends them at once.
    pub drain_until: Option<Timestamp>,
}

impl DeletionMark {
    /// Begins at this instant, whatever the revision, and waits for nothing.
    pub fn at(at: Timestamp) -> Self {
        Self {
            expected: None,
            at,
            drain_until: None,
        }
    }
}

/// The cluster that a new runner is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChoice {
    /// One that is known already.
    Known(ClusterId),
    /// One by its name, known or not.
    Named {
        /// The name.
        name: ClusterName,
        /// The id that it gets if the name is new.
        id_if_new: ClusterId,
    },
}

/// A change to a runner. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunnerUpdate {
    /// The revision that the change was made from; `None` overwrites any.
    pub expected: Option<Revision>,
    /// What people call it.
    pub display_name: Option<String>,
    /// Where it stands.
    pub zone: Option<Zone>,
    /// The group that it is scheduled with.
    pub group: Option<RunnerGroupId>,
    /// The whole of the settings.
    pub settings: Option<RunnerSettings>,
    /// The whole list of bindings.
    pub bindings: Option<Bindings>,
    /// What the bindings were judged against; `None` if they were not.
    pub judged: Option<Vec<JudgedProfile>>,
}

/// A runner as it was configured at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerRevision {
    /// The runner.
    pub uid: RunnerUid,
    /// The number of the revision.
    pub revision: Revision,
    /// The id that the operator chose.
    pub id: RunnerId,
    /// What people called it.
    pub display_name: String,
    /// Where it stood.
    pub zone: Zone,
    /// The group that it was scheduled with.
    pub group: RunnerGroupId,
    /// How it was kept and what it allowed.
    pub settings: RunnerSettings,
    /// The profiles that it offered.
    pub bindings: Bindings,
    /// Who wrote it, and when.
    pub stamp: Stamp,
}

/// A binding of a profile that the organization does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileMissing {
    /// The place in the list of bindings.
    pub index: usize,
    /// The profile.
    pub profile: ProfileId,
}

/// Why a runner was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateError {
    /// The organization does not exist.
    #[error("the organization does not exist")]
    NoOrganization,
    /// Another runner has this id; choose another or update that one.
    #[error("the runner id is taken by runner {by}")]
    RunnerIdTaken {
        /// The runner that has it.
        by: RunnerUid,
    },
    /// There is a runner with this uid; draw another one.
    #[error("the uid is taken")]
    UidTaken,
    /// The cluster has a runner; update or delete that one.
    #[error("the cluster is served by runner {runner}")]
    ClusterHasRunner {
        /// The id of the runner that serves it.
        runner: RunnerId,
    },
    /// The cluster is not known in the organization.
    #[error("there is no such cluster in the organization")]
    ClusterMissing,
    /// Bindings of profiles that do not exist.
    #[error("{} binding(s) name a profile that does not exist", .0.len())]
    ProfilesMissing(Vec<ProfileMissing>),
    /// Bindings that would answer to one name.
    #[error("{} binding(s) use a name a second time", .0.len())]
    NamesTaken(Vec<BindingsError>),
    /// A profile is not what it was judged by; judge again.
    #[error("a bound profile changed since it was looked at")]
    ProfilesMoved,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a runner was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such runner in the organization")]
    NotFound,
    /// It is being deleted and does not change any more.
    #[error("the runner is being deleted")]
    Deleting,
    /// Somebody else changed it; read it again and decide anew.
    #[error("the runner is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// Bindings of profiles that do not exist.
    #[error("{} binding(s) name a profile that does not exist", .0.len())]
    ProfilesMissing(Vec<ProfileMissing>),
    /// Bindings that would answer to one name.
    #[error("{} binding(s) use a name a second time", .0.len())]
    NamesTaken(Vec<BindingsError>),
    /// A profile is not what it was judged by; judge again.
    #[error("a bound profile changed since it was looked at")]
    ProfilesMoved,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a runner was not marked for deletion.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MarkError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such runner in the organization")]
    NotFound,
    /// Somebody else changed it; read it again and decide anew.
    #[error("the runner is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a drain was not taken back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UnmarkError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such runner in the organization")]
    NotFound,
    /// Its sandboxes end now, or nobody waits for them.
    #[error("the sandboxes of the runner end already")]
    Ending,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why the deletion of a runner was not finished.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FinishError {
    /// There is none any more, or it is not to be deleted any more.
    #[error("there is no such runner that is being deleted")]
    NotMarked,
    /// Sandboxes live on it.
    #[error("{sandboxes} sandbox(es) live on the runner")]
    Occupied {
        /// How many.
        sandboxes: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a runner was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such runner in the organization")]
    NotFound,
    /// Sandboxes live on it; end them first.
    #[error("{sandboxes} sandbox(es) live on the runner")]
    Occupied {
        /// How many.
        sandboxes: u64,
    },
    /// Somebody else changed it; read it again and decide anew.
    #[error("the runner is at revision {}", current.0)]
    RevisionMismatch {
        /// The present revision.
        current: Revision,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
