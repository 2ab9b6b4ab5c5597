//! Sandboxes: the record of each, from its admission until it is forgotten.
//!
//! A record has three parts. What was decided at admission never changes. The
//! status changes by the moves of [`palisade_model::sandbox::state`], which are
//! made inside the transaction. The contents of mounted files are kept apart:
//! they may be secrets, and only [`Sandboxes::get_launch`] returns them.

use std::collections::BTreeSet;
use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::{OrganizationId, ProfileName, RunnerId, Tag, UserId};
use palisade_model::profile::Revision;
use palisade_model::quota::{Exceeded, Usage};
use palisade_model::sandbox::state::{Effect, Observation};
use palisade_model::sandbox::{Launch, Phase, Sandbox, State, Status, StopWish};

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest, PageSize};

/// Keeps sandboxes.
///
/// # Contract
///
/// * A sandbox is added only while its runner exists, is not being deleted and
///   binds its profile, and both and the quota are at the revisions that the
///   decision was made from. So an update of a profile, a runner or a quota that
///   returned governs every sandbox that is added later, and a stale decision is
///   refused.
/// * A sandbox is added only while the quota of its organization and of its user
///   has room for it, whoever adds others at the same time. What counts are the
///   records: no crash makes a count wrong.
/// * An id is given out once: a second sandbox with it is refused.
/// * What is read back equals what was added, but for the mounted files, which
///   are left out of every [`Sandbox`] that is returned.
/// * The complete launch is readable while the sandbox lives. Once it is over,
///   the contents of its files are gone from the store.
/// * Occupancy counts the live sandboxes of a profile or of a runner, apart for
///   each runner and profile, and names the newest few of each.
/// * A list holds the live sandboxes that pass every filter, the newest first:
///   in descending order of ids. Those that are over are in it when asked for,
///   or when the phase that is asked for is a terminal one.
/// * A filter by several tags passes what has all of them; the other filters
///   pass what matches any of their terms. An empty filter passes everything.
/// * A change of status is applied to the status as it is then, and never to an
///   older one: concurrent changes follow one another and none is lost.
/// * An observation counts only if it comes from the runner that the sandbox was
///   placed on. For any other runner the sandbox does not exist.
/// * Several changes in one call are applied in their order, in one transaction,
///   and answered one by one; an unknown sandbox does not hinder the others.
/// * Purging forgets sandboxes that ended before the given time, at most as many
///   as asked for, and never a live one.
#[async_trait]
pub trait Sandboxes: Debug + Send + Sync + 'static {
    /// Adds the sandbox that was decided on, with everything it needs to start.
    async fn insert_sandbox(&self, sandbox: Sandbox, basis: Basis) -> Result<(), InsertError>;

    /// Returns one sandbox, without the contents of its files.
    async fn get_sandbox(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Sandbox, GetError>;

    /// Returns where one sandbox is and how it does, without the rest.
    async fn get_standing(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Standing, GetError>;

    /// Returns everything that a backend needs to make a live sandbox.
    async fn get_launch(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Launch, LaunchError>;

    /// Returns a part of the sandboxes that pass a filter.
    async fn list_sandboxes(
        &self,
        organization: &OrganizationId,
        filter: SandboxFilter,
        page: PageRequest<SandboxId>,
    ) -> Result<Page<Sandbox, SandboxId>, ListError>;

    /// Returns a part of the live sandboxes of a runner, the newest first.
    async fn list_sandboxes_of_runner(
        &self,
        organization: &OrganizationId,
        runner: RunnerUid,
        page: PageRequest<SandboxId>,
    ) -> Result<Page<Sandbox, SandboxId>, Fault>;

    /// Counts the live sandboxes of a profile or a runner; of each part, the
    /// newest `named_max` are named.
    async fn occupancy(
        &self,
        organization: &OrganizationId,
        of: OccupancyOf,
        named_max: PageSize,
    ) -> Result<Vec<Occupancy>, Fault>;

    /// Counts what the quotas of an organization and of a user limit.
    async fn quota_usage(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Usage, Fault>;

    /// Applies one change of status, and returns what came of it.
    async fn change_status(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
        change: StatusChange,
    ) -> Result<StatusChanged, GetError> {
        let mut answers = self
            .change_statuses(organization, vec![(id, change)])
            .await?;
        answers.pop().flatten().ok_or(GetError::NotFound)
    }

    /// Applies changes of status in one transaction. The answers are in the
    /// order of the changes; `None` stands for a sandbox that does not exist.
    async fn change_statuses(
        &self,
        organization: &OrganizationId,
        changes: Vec<(SandboxId, StatusChange)>,
    ) -> Result<Vec<Option<StatusChanged>>, Fault>;

    /// Forgets sandboxes of all organizations that ended before `ended_before`;
    /// returns how many. Fewer than `limit` means that none are left.
    async fn purge_sandboxes(
        &self,
        ended_before: Timestamp,
        limit: PageSize,
    ) -> Result<usize, Fault>;
}

/// What the decision to admit a sandbox was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The revision of the runner's configuration.
    pub runner: Revision,
    /// The revision of the profile.
    pub profile: Revision,
    /// The revision of the quota of the organization.
    pub quota: Revision,
}

/// Where a sandbox is, and how it does: what changes of it, which is read far more
/// often than what was decided once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The runner that it was placed on.
    pub runner: RunnerUid,
    /// The status now.
    pub status: Status,
}

/// Whose sandboxes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OccupancyOf {
    /// Those that were started under a profile, wherever they are.
    Profile(ProfileId),
    /// Those on a runner, whatever their profile.
    Runner(RunnerUid),
}

/// The live sandboxes of one profile on one runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// The runner.
    pub runner_uid: RunnerUid,
    /// The operator's name of the runner.
    pub runner_id: RunnerId,
    /// The profile.
    pub profile: ProfileId,
    /// The name that the profile had there for the newest one.
    pub profile_name: ProfileName,
    /// How many there are.
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<SandboxId>,
}

/// Which sandboxes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Tags that it has, all of them.
    pub tags: BTreeSet<Tag>,
    /// The phase that it is in.
    pub phase: Option<Phase>,
    /// Runners, one of which it was placed on.
    pub runners: BTreeSet<RunnerId>,
    /// Profiles, one of which it runs under.
    pub profiles: BTreeSet<ProfileTerm>,
    /// Whether those that are over count too.
    pub include_terminal: bool,
}

impl SandboxFilter {
    /// The most terms in one filter, all fields counted together.
    pub const TERMS_MAX: usize = 500;

    /// How many terms it has.
    pub fn terms(&self) -> usize {
        self.tags.len() + self.runners.len() + self.profiles.len()
    }

    /// Whether sandboxes that are over can pass.
    pub fn admits_terminal(&self) -> bool {
        self.include_terminal || self.phase.is_some_and(Phase::is_terminal)
    }
}

/// A profile in a filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProfileTerm {
    /// By its identity.
    Id(ProfileId),
    /// By the name that it had on the runner, or by the one that it has without an
    /// alias, also once it is deleted.
    Name(ProfileName),
}

/// What happened to a sandbox, or what somebody wants to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// A runner saw it; see [`Status::observe`].
    Observed {
        /// The runner that saw it.
        by: RunnerUid,
        /// What it saw.
        seen: Observation,
        /// When that was taken in.
        now: Timestamp,
    },
    /// Somebody wants it to end; see [`Status::wish_stop`].
    StopWished(StopWish),
    /// Somebody wants it to be frozen, or to go on; see [`Status::wish_pause`].
    PauseWished(bool),
    /// It is over though no runner says so; see [`Status::close`].
    Closed {
        /// The terminal state.
        state: State,
        /// Why, in words for a person.
        reason: String,
        /// When that was decided.
        now: Timestamp,
    },
}

impl StatusChange {
    /// Makes the move; what a store does between reading and writing.
    pub fn apply(self, status: &mut Status) -> Effect {
        match self {
            Self::Observed { by: _, seen, now } => status.observe(seen, now),
            Self::StopWished(wish) => status.wish_stop(wish),
            Self::PauseWished(is_wished) => status.wish_pause(is_wished),
            Self::Closed { state, reason, now } => status.close(state, reason, now),
        }
    }
}

/// What came of a change of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChanged {
    /// The status now.
    pub status: Status,
    /// Whether the change made a difference.
    pub effect: Effect,
}

/// Why a sandbox was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InsertError {
    /// Runner, profile or quota are not what the decision was made from; look at
    /// them again and decide anew.
    #[error("the runner, the profile or the quota changed since the sandbox was placed")]
    Stale,
    /// There is no room for it; see [`Exceeded`].
    #[error(transparent)]
    Quota(Exceeded),
    /// There is a sandbox with this id; draw another one.
    #[error("the id is taken")]
    IdTaken,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a launch was not returned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such sandbox, or it belongs to another organization.
    #[error("there is no such sandbox in the organization")]
    NotFound,
    /// It is over; it will not be launched again.
    #[error("the sandbox is over")]
    Over,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why sandboxes were not listed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ListError {
    /// The filter has too many terms; ask for less at once.
    #[error(
        "the filter has {terms} terms; at most {} are allowed",
        SandboxFilter::TERMS_MAX
    )]
    TooManyTerms {
        /// How many it has.
        terms: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
