//! Runners: where sandboxes run, and which profiles they offer there.
//!
//! A [`Runner`] is what the control plane keeps. What the machine behind it can
//! do and has left arrives from the runner itself, as [`Capabilities`] and
//! [`Capacity`], and is never stored as configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::id::{ClusterId, ProfileId, RunnerUid};
use crate::name::{
    ClusterName, OrganizationId, ProfileName, RunnerGroupId, RunnerId, RuntimeClass, Zone,
};
use crate::profile::{EgressType, ProfileSpec, ResourceDefaults, Revision, Scope, ServiceType};

/// A runner as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Runner {
    /// The identity, assigned by the server.
    pub uid: RunnerUid,
    /// The owner.
    pub organization: OrganizationId,
    /// What people call it; may be empty.
    pub display_name: String,
    /// The id that the operator chose; never changes.
    pub id: RunnerId,
    /// Where it stands.
    pub zone: Zone,
    /// The cluster that it serves; never changes.
    pub cluster: Cluster,
    /// The group that it is scheduled with.
    pub group: RunnerGroupId,
    /// How it is kept and what it allows.
    pub settings: RunnerSettings,
    /// The profiles that it offers.
    pub bindings: Bindings,
    /// The number of the present configuration.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set once it is being deleted.
    pub deleting_since: Option<Timestamp>,
    /// Until when its sandboxes may end by themselves while it is being deleted;
    /// `None` ends them at once.
    pub drain_until: Option<Timestamp>,
}

/// A cluster, or the one machine of a Linux runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The identity, assigned by the server.
    pub id: ClusterId,
    /// The name, unique in the organization.
    pub name: ClusterName,
}

/// How a managed runner is kept, and what it allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunnerSettings {
    /// How soon it gets new versions.
    pub release_channel: ReleaseChannel,
    /// When it may be updated.
    pub maintenance: MaintenancePolicy,
    /// Changes to the runner's own deployment.
    pub overrides: DeploymentOverrides,
    /// The lowest layer of every sandbox here.
    pub zone_defaults: ProfileSpec,
    /// Whether bound profiles may weaken the guardrails of the pod.
    pub allow_privileged_profile_annotations: bool,
    /// Whether every sandbox must have a limit on CPU and on memory.
    pub enforce_resource_limits: bool,
}

/// How soon a runner gets new versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReleaseChannel {
    /// After they proved themselves.
    #[default]
    Stable,
    /// At once.
    Rapid,
}

impl ReleaseChannel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Rapid];

    /// The channel as people spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Rapid => "rapid",
        }
    }
}

/// When a runner may be updated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenancePolicy {
    /// Times that come again.
    pub windows: Vec<MaintenanceWindow>,
    /// Times in which nothing is updated.
    pub exclusions: Vec<MaintenanceExclusion>,
}

/// A time for updates that comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// Five cron fields, in UTC.
    pub cron: String,
    /// How long each one lasts.
    pub duration_seconds: u32,
}

/// A time in which nothing is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceExclusion {
    /// Its start.
    pub start: Timestamp,
    /// Its end, later than the start.
    pub end: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// Changes to the deployment of the runner itself, not to sandboxes.
///
/// Only the two runtime classes touch sandboxes: they are what a profile that
/// names none falls back to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeploymentOverrides {
    /// Node labels that the runner needs.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the runner bears.
    pub tolerations: Vec<Toleration>,
    /// What the runner itself gets.
    pub resources: ResourceDefaults,
    /// Annotations of the runner's pods.
    pub annotations: BTreeMap<String, String>,
    /// Labels of the runner's pods.
    pub labels: BTreeMap<String, String>,
    /// Environment of the runner.
    pub env: BTreeMap<String, String>,
    /// Arguments of the runner.
    pub args: Vec<String>,
    /// How many of it there are.
    pub scaling: Scaling,
    /// The runtime class of sandboxes without a GPU.
    pub cpu_runtime_class: Option<RuntimeClass>,
    /// The runtime class of sandboxes with a GPU.
    pub gpu_runtime_class: Option<RuntimeClass>,
}

/// A taint that the runner bears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toleration {
    /// The key of the taint.
    pub key: String,
    /// How it is compared: `Equal` or `Exists`.
    pub operator: String,
    /// The value of the taint.
    pub value: String,
    /// The effect of the taint.
    pub effect: String,
}

/// How many replicas of the runner there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scaling {
    /// The fixed number, without autoscaling.
    pub replicas: Option<u32>,
    /// Whether the number follows the load.
    pub autoscaling_enabled: bool,
    /// The fewest, with autoscaling.
    pub min_replicas: Option<u32>,
    /// The most, with autoscaling.
    pub max_replicas: Option<u32>,
}

/// A profile that a runner offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The profile.
    pub profile: ProfileId,
    /// The name it has here; its display name when absent.
    pub alias: Option<ProfileName>,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// Changes to the spec for this runner.
    pub overrides: Option<SpecPatch>,
}

/// A JSON merge patch (RFC 7386) on the structured form of a spec.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecPatch(Map<String, Value>);

impl SpecPatch {
    /// The largest patch, in bytes of JSON.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// Takes a patch in canonical spelling.
    pub fn new(patch: Map<String, Value>) -> Self {
        Self(patch)
    }

    /// The patch in its structured form.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// The profiles of one runner: at least one, exactly one default, none twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Bindings(Vec<Binding>);

/// Why a list of bindings is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingsError {
    /// The list is empty.
    #[error("must hold at least one binding; a runner without profiles serves nobody")]
    Empty,
    /// More bindings than a runner can have.
    #[error("holds {len} bindings; at most {} are allowed", Bindings::LEN_MAX)]
    TooMany {
        /// How many there are.
        len: usize,
    },
    /// No binding is the default.
    #[error("must have exactly one binding with is_default: true; there is none")]
    NoDefault,
    /// A further binding claims to be the default.
    #[error("is a second default; exactly one binding may have is_default: true")]
    SecondDefault {
        /// The place of the second one.
        index: usize,
    },
    /// A profile is bound twice.
    #[error("binds profile {profile} a second time; it is already bound at index {first}")]
    DuplicateProfile {
        /// The place of the second one.
        index: usize,
        /// The place of the first one.
        first: usize,
        /// The profile.
        profile: ProfileId,
    },
    /// Two bindings would answer to one name.
    #[error("uses the name {name:?} a second time; it is already used at index {first}")]
    DuplicateName {
        /// The place of the second one.
        index: usize,
        /// The place of the first one.
        first: usize,
        /// The name.
        name: String,
    },
}

impl Bindings {
    /// The most bindings that a runner can have.
    pub const LEN_MAX: usize = 256;

    /// Checks a list; every broken rule is reported.
    pub fn new(list: Vec<Binding>) -> Result<Self, Vec<BindingsError>> {
        if list.is_empty() {
            return Err(vec![BindingsError::Empty]);
        }
        if list.len() > Self::LEN_MAX {
            return Err(vec![BindingsError::TooMany { len: list.len() }]);
        }
        let errors = default_errors(&list)
            .into_iter()
            .chain(duplicate_errors(&list))
            .collect::<Vec<_>>();
        if errors.is_empty() {
            Ok(Self(list))
        } else {
            Err(errors)
        }
    }

    /// The bindings, in the order in which they were written.
    pub fn as_slice(&self) -> &[Binding] {
        &self.0
    }

    /// How a profile is bound, if it is.
    pub fn of(&self, profile: ProfileId) -> Option<&Binding> {
        self.0.iter().find(|binding| binding.profile == profile)
    }

    /// Checks that no two bindings answer to one name, once the display names
    /// of the profiles are known. `names` is parallel to the bindings.
    pub fn check_names(names: &[ProfileName]) -> Vec<BindingsError> {
        let mut first_use = BTreeMap::new();
        let mut errors = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match first_use.get(name) {
                Some(&first) => errors.push(BindingsError::DuplicateName {
                    index,
                    first,
                    name: name.to_string(),
                }),
                None => {
                    first_use.insert(name, index);
                }
            }
        }
        errors
    }
}

fn default_errors(list: &[Binding]) -> Vec<BindingsError> {
    let mut defaults = list
        .iter()
        .enumerate()
        .filter(|(_, binding)| binding.is_default)
        .map(|(index, _)| index);
    if defaults.next().is_none() {
        return vec![BindingsError::NoDefault];
    }
    defaults
        .map(|index| BindingsError::SecondDefault { index })
        .collect()
}

fn duplicate_errors(list: &[Binding]) -> Vec<BindingsError> {
    let mut first_use = BTreeMap::new();
    let mut errors = Vec::new();
    for (index, binding) in list.iter().enumerate() {
        match first_use.get(&binding.profile) {
            Some(&first) => errors.push(BindingsError::DuplicateProfile {
                index,
                first,
                profile: binding.profile,
            }),
            None => {
                first_use.insert(binding.profile, index);
            }
        }
    }
    errors
}

/// What a runner can do; measured or configured there, not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The egress types that it enforces.
    pub egress: BTreeSet<EgressType>,
    /// The service types that it can make; empty means no ingress at all.
    pub services: BTreeSet<ServiceType>,
    /// Where it gets the addresses of services with one of their own.
    pub address_pools: AddressPools,
    /// Whether it can make HTTP entry points, and for whom.
    pub routes: RouteSupport,
    /// Which ports it can expose there.
    pub ports: PortSupport,
    /// The runtime classes that it has; the default one is always there.
    pub runtime_classes: BTreeSet<RuntimeClass>,
    /// The architectures of its machines, as OCI spells them.
    pub architectures: BTreeSet<String>,
    /// The GPU types that it has.
    pub gpu_types: BTreeSet<String>,
    /// The instance types that it has; empty means that it does not know any.
    pub instance_types: BTreeSet<String>,
    /// The storage classes that it has.
    pub storage_classes: BTreeSet<String>,
    /// Node labels that a selector can match.
    pub node_labels: BTreeMap<String, String>,
    /// Which fields of a pod patch it can honour.
    pub pod_fields: PodFieldSupport,
    /// Whether it can run privileged containers.
    pub privileged: bool,
    /// Whether it can freeze a sandbox that runs, and let it go on.
    pub pause: bool,
    /// Whether it gives a sandbox a file system of its own, of enforced size, and
    /// takes and restores snapshots of it.
    pub file_systems: bool,
    /// Which secrets it can hand to sandboxes.
    pub secrets: SecretSupport,
    /// The largest sandbox that fits on one of its machines.
    pub largest: Resources,
    /// The least memory, in bytes, with which a sandbox starts; zero if that is not
    /// known. There is no such thing of CPU: with little of it all goes slowly.
    pub memory_bytes_min: u64,
    /// What it lacks that others have, each with the reason, for a person.
    pub lacks: BTreeMap<Feature, String>,
}

impl Capabilities {
    /// The least memory with which a container starts and takes commands, its runtime
    /// and process 1 included: with less, the kernel ends it before its program runs.
    /// Most programs, and some runtimes, need more.
    pub const MEMORY_BYTES_MIN: u64 = 1 << 20;
}

/// Something that not every runner has, and that people ask for when it is not
/// there. Nothing is decided by it: what a launch needs has fields of its own in
/// [`Capabilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// Some or all egress types.
    Egress,
    /// What sandboxes use.
    Usage,
    /// What was refused to sandboxes on the network.
    Denials,
    /// Names by which sandboxes find each other.
    Names,
    /// File systems and snapshots of sandboxes.
    FileSystems,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 5] = [
        Self::Egress,
        Self::Usage,
        Self::Denials,
        Self::Names,
        Self::FileSystems,
    ];

    /// The feature as programs compare it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Usage => "usage",
            Self::Denials => "denials",
            Self::Names => "names",
            Self::FileSystems => "file_systems",
        }
    }
}

/// Which HTTP entry points a runner can make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteSupport {
    /// None.
    #[default]
    None,
    /// Those for everybody, as it cannot tell one caller from another.
    Public,
    /// Those for every scope.
    Scoped,
}

impl RouteSupport {
    /// Whether sandboxes of such a scope can have host names.
    pub fn serves(self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::None, _) | (Self::Public, Scope::Org | Scope::User | Scope::Profile) => false,
            (Self::Public, Scope::Any) | (Self::Scoped, _) => true,
        }
    }
}

/// Which ports of sandboxes a runner can expose; those of TCP and UDP it always can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortSupport {
    /// Whether it can expose ports of SCTP.
    pub sctp: bool,
    /// The most ports that one sandbox can expose; `None` if nothing bounds them.
    pub max: Option<u32>,
}

/// Which secrets a runner can hand to sandboxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretSupport {
    /// None.
    #[default]
    None,
    /// Those whose values the gateway found.
    Stores,
    /// Those, and secrets of its own.
    StoresAndOwn,
}

impl SecretSupport {
    /// Whether sandboxes can get values that the gateway found.
    pub fn has_stores(self) -> bool {
        match self {
            Self::None => false,
            Self::Stores | Self::StoresAndOwn => true,
        }
    }

    /// Whether it has secrets of its own for sandboxes.
    pub fn has_own(self) -> bool {
        match self {
            Self::None | Self::Stores => false,
            Self::StoresAndOwn => true,
        }
    }
}

/// Where a runner gets external addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPools {
    /// From somebody else, who knows the pools.
    Unknown,
    /// From these pools.
    Only(BTreeSet<String>),
}

impl Default for AddressPools {
    /// What is not known to be there is refused.
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// Which fields of a pod patch a runner can honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFieldSupport {
    /// All of them.
    All,
    /// These and what is below them, as paths such as `metadata.labels`.
    Only(BTreeSet<String>),
}

impl Default for PodFieldSupport {
    /// What is not known to be honoured is refused.
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// Amounts of the resources that placement counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Whole GPUs.
    pub gpus: u32,
}

impl Resources {
    /// What is left of this when `other` is taken away; zero at the least.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }

    /// Both together.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    /// Whether `other` fits into this.
    pub fn holds(self, other: Self) -> bool {
        other.cpu_millis <= self.cpu_millis
            && other.memory_bytes <= self.memory_bytes
            && other.gpus <= self.gpus
    }
}

/// How much a runner has in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Everything that sandboxes may use together.
    pub total: Resources,
    /// The most sandboxes at once.
    pub sandboxes_max: u32,
}
