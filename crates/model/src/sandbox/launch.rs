//! What a backend is told: everything it needs, decided and complete.
//!
//! A launch is made once, when the request is admitted, from the resolved spec
//! and the request. Backends do not consult profiles. Nothing in it is optional
//! to enforce: what a backend cannot do, it must refuse.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{ProfileId, SandboxId};
use crate::name::{
    DnsLabel, InstanceType, LevelName, ModeName, ProfileName, RunnerId, RuntimeClass,
};
use crate::profile::{EgressMode, Exposure, PodPatch};
use crate::sandbox::{GrantedResources, MountedFile, Owner, Port, Workload};
use crate::secret::SecretVariable;
use crate::snapshot::FileSystem;

/// Everything that a backend needs to make one sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The sandbox.
    pub id: SandboxId,
    /// Whose it is.
    pub owner: Owner,
    /// The runner that it is for.
    pub runner: RunnerId,
    /// The profile that it runs under.
    pub profile: ProfileId,
    /// The name of that profile on the runner.
    pub profile_name: ProfileName,
    /// Image, command and environment.
    pub workload: Workload,
    /// Requests and limits.
    pub resources: GrantedResources,
    /// The isolation backend; `None` is the runner's default.
    pub runtime_class: Option<RuntimeClass>,
    /// The classes of machines it may land on; empty means any.
    pub instance_types: Vec<InstanceType>,
    /// Node labels that it needs.
    pub node_selector: BTreeMap<String, String>,
    /// Where it lands.
    pub namespace: LaunchNamespace,
    /// Whom it may reach.
    pub egress: AppliedEgress,
    /// Who may reach it, if anybody.
    pub exposure: Option<AppliedExposure>,
    /// Ports that it listens on.
    pub ports: Vec<Port>,
    /// Variables whose values are secrets; the values are nowhere in here.
    pub secrets: Vec<SecretVariable>,
    /// Files to be in place before the main process starts.
    pub mounted_files: Vec<MountedFile>,
    /// The file system that it has to itself, if any.
    pub file_system: Option<FileSystem>,
    /// Labels and annotations for the pod, reserved keys already dropped.
    pub metadata: PodMetadata,
    /// The patch of the generated pod.
    pub pod: Option<PodPatch>,
    /// How long it may live, counted from its start.
    pub max_lifetime: Option<Duration>,
}

/// The namespace of a sandbox, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchNamespace {
    /// The name.
    pub name: DnsLabel,
    /// Whether it is made when missing.
    pub auto_create: bool,
    /// Its labels, if it is made.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, if it is made.
    pub annotations: BTreeMap<String, String>,
}

/// The egress mode in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedEgress {
    /// What the profile calls it.
    pub name: ModeName,
    /// What it allows.
    pub mode: EgressMode,
}

/// The ingress level in force.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedExposure {
    /// What the profile calls it.
    pub name: LevelName,
    /// Who may come in, and how.
    pub exposure: Exposure,
    /// The ports that are open there.
    pub ports: Vec<u16>,
}

/// Labels and annotations of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetadata {
    /// Labels by key.
    pub labels: BTreeMap<String, String>,
    /// Annotations by key.
    pub annotations: BTreeMap<String, String>,
}
