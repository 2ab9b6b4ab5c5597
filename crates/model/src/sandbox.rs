//! Sandboxes: what was asked, what was granted, and what became of it.
//!
//! A [`Sandbox`] is the durable record. Its [`Launch`] is everything that a
//! backend needs and never changes, so that a running sandbox keeps what it
//! started with. States and the moves between them are in [`state`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{ProfileId, RunnerUid, SandboxId};
use crate::image::ImageReference;
use crate::name::{
    LevelName, ModeName, OrganizationId, ProfileName, RunnerGroupId, RunnerId, Tag, UserId,
};
use crate::quantity::Quantity;
use crate::resolve::ResolvedSpec;
use crate::runner::Resources;

pub mod form;
mod launch;
mod request;
pub mod state;

pub use launch::{AppliedEgress, AppliedExposure, Launch, LaunchNamespace, PodMetadata};
pub use request::{
    Annotations, AskedSecret, Environment, FileSystemWish, GpuKind, GpuRequest, MOUNT_PATH_MAX,
    MOUNTED_BYTES_MAX, MountedFile, Network, PROCESS_BYTES_MAX, PROCESS_WORDS_MAX, Port, Protocol,
    ResourceAmounts, SELECTORS_MAX, Selectors, StartKey, StartRequest,
};
pub use state::{Exit, Phase, State};

/// The durable record of a sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// The identity, assigned when the request was admitted.
    pub id: SandboxId,
    /// Who started it.
    pub owner: Owner,
    /// Free tags, to list by.
    pub tags: Vec<Tag>,
    /// Where it was placed.
    pub placement: Placed,
    /// The amounts as they were asked for, in the caller's spelling.
    pub asked: AskedResources,
    /// Everything that the backend was told.
    pub launch: Launch,
    /// What is in force for it, and which layer each field came from.
    pub resolved: ResolvedSpec,
    /// What became of it.
    pub status: Status,
    /// When it was admitted.
    pub created_at: Timestamp,
}

/// The organization and the user that a sandbox belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The organization.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
}

/// Where a sandbox was placed, with the names that were valid then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The runner.
    pub runner_uid: RunnerUid,
    /// The operator's name of the runner.
    pub runner_id: RunnerId,
    /// The group of the runner.
    pub runner_group: RunnerGroupId,
    /// The profile.
    pub profile_id: ProfileId,
    /// The name of the profile on that runner.
    pub profile_name: ProfileName,
    /// What was set aside in the runner's capacity.
    pub reserved: Resources,
    /// The egress mode in force.
    pub egress_mode: ModeName,
    /// The ingress level in force, if any.
    pub ingress_level: Option<LevelName>,
}

/// Requests and limits, echoed exactly as they were sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedResources {
    /// What should be set aside.
    pub requests: ResourceAmounts,
    /// What may at most be used.
    pub limits: ResourceAmounts,
}

/// What became of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// Why, in words for a person; may be empty.
    pub reason: String,
    /// Grows with every observation that the runner reports; older ones lose.
    pub observed: u64,
    /// Set once somebody asked for it to end.
    pub stop: Option<StopWish>,
    /// Whether somebody wants it to be frozen; meaningless once it is to end.
    pub is_pause_wished: bool,
    /// When its main process started.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    pub ended_at: Option<Timestamp>,
    /// Where it can be reached from outside; may be empty.
    pub service_address: String,
}

/// That somebody asked for a sandbox to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopWish {
    /// How long it may take to end by itself.
    pub grace: Duration,
    /// When that was asked.
    pub at: Timestamp,
}

/// The resources that were granted, after all layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrantedResources {
    /// CPU that is set aside.
    pub cpu_request: Option<Quantity>,
    /// CPU that can at most be used.
    pub cpu_limit: Option<Quantity>,
    /// Memory that is set aside.
    pub memory_request: Option<Quantity>,
    /// Memory that can at most be used.
    pub memory_limit: Option<Quantity>,
    /// GPUs, which are not shared.
    pub gpu: Option<GpuRequest>,
}

/// The image and process of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The image.
    pub image: ImageReference,
    /// The main process; empty means the image's own.
    pub command: Vec<String>,
    /// The environment, on top of the image's own.
    pub environment: BTreeMap<String, String>,
}
