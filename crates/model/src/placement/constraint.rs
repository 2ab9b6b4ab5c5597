//! What a runner and a profile must meet to serve a request.
//!
//! The order is the order of judging. Structural constraints come before those
//! that time can change, so that a request that can never fit is never told to
//! wait.

use std::fmt;

/// A step of judging; all constraints of one are checked before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Whether the runner is one of those that the caller means.
    Runner,
    /// Whether the profile is, and whether it can be used at all.
    Profile,
    /// Whom the sandbox may reach.
    Egress,
    /// Who may reach the sandbox, and where.
    Ingress,
    /// The image and the kind of machine.
    Machine,
    /// The most that one sandbox may have, and the least with which it starts.
    Ceiling,
    /// Whether the runner is there.
    Health,
    /// Whether it has room.
    Capacity,
}

impl Tier {
    /// Whether waiting can help.
    pub fn is_temporary(self) -> bool {
        match self {
            Self::Health | Self::Capacity => true,
            Self::Runner
            | Self::Profile
            | Self::Egress
            | Self::Ingress
            | Self::Machine
            | Self::Ceiling => false,
        }
    }
}

/// What a constraint is judged by, beside the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The runner alone.
    Runner,
    /// The runner alone, and what it said of itself.
    RunnerReport,
    /// The profile alone, by its names.
    Profile,
    /// The profile alone, once its layers are put together.
    Spec,
    /// All of these.
    Pair,
}

macro_rules! constraints {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $tier:ident, $about:ident;)*) => {
        /// Something that a runner and a profile must meet, in the order of judging.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Constraint {
            $($(#[$doc])* $name,)*
        }

        impl Constraint {
            /// Every constraint, in the order of judging.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The constraint as programs compare it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The step of judging that it belongs to.
            pub fn tier(self) -> Tier {
                match self {
                    $(Self::$name => Tier::$tier,)*
                }
            }

            /// What it is judged by, beside the request.
            pub(super) fn about(self) -> About {
                match self {
                    $(Self::$name => About::$about,)*
                }
            }
        }
    };
}

constraints! {
    /// The runner is one that the request names.
    RunnerSelector = "runner_selector", Runner, Runner;
    /// The runner is not being deleted.
    RunnerKept = "runner_kept", Runner, Runner;
    /// The profile is one that the request names.
    ProfileSelector = "profile_selector", Profile, Profile;
    /// The layers of the profile go together on this runner.
    ProfileResolves = "profile_resolves", Profile, Profile;
    /// The profile has the egress mode that the request names.
    EgressMode = "egress_mode", Egress, Spec;
    /// The runner enforces the type of that mode.
    EgressType = "egress_type", Egress, Pair;
    /// The profile has the ingress level that the request names.
    IngressLevel = "ingress_level", Ingress, Spec;
    /// The runner makes services of that level's type.
    ServiceType = "service_type", Ingress, Pair;
    /// The runner has the address pool that the level picks.
    AddressPool = "address_pool", Ingress, Pair;
    /// The runner makes the HTTP entry point of that level.
    HttpRoute = "http_route", Ingress, Pair;
    /// The host name of that entry point fits into DNS.
    HostName = "host_name", Ingress, Spec;
    /// The runner exposes ports of the protocols.
    PortProtocol = "port_protocol", Ingress, Pair;
    /// The runner exposes that many ports of one sandbox.
    ExposedPorts = "exposed_ports", Ingress, Pair;
    /// The request or the profile names an image.
    Image = "image", Machine, Spec;
    /// The runner has the type of GPU.
    GpuType = "gpu_type", Machine, Pair;
    /// The runner has GPUs with that much memory.
    GpuMemory = "gpu_memory", Machine, Pair;
    /// The runner has machines of the architecture.
    Architecture = "architecture", Machine, Pair;
    /// The runner has machines of one of the types.
    InstanceType = "instance_type", Machine, Pair;
    /// The runner has machines with the labels.
    NodeSelector = "node_selector", Machine, Pair;
    /// The runner honours every field of the pod patch.
    PodFields = "pod_fields", Machine, Pair;
    /// The runner runs what the pod patch weakens.
    Privileged = "privileged", Machine, Pair;
    /// The runner makes file systems of which snapshots can be taken.
    FileSystem = "file_system", Machine, Pair;
    /// The runner can hand secrets to sandboxes.
    Secrets = "secrets", Machine, RunnerReport;
    /// The runner has secrets of its own for sandboxes.
    RunnerSecrets = "runner_secrets", Machine, RunnerReport;
    /// CPU within the ceiling of the profile.
    CpuCeiling = "cpu_ceiling", Ceiling, Spec;
    /// Memory within the ceiling of the profile.
    MemoryCeiling = "memory_ceiling", Ceiling, Spec;
    /// GPUs within the ceiling of the profile.
    GpuCeiling = "gpu_ceiling", Ceiling, Spec;
    /// CPU within the quota for one sandbox: the organization's and the user's.
    CpuQuota = "cpu_quota", Ceiling, Spec;
    /// Memory within the quota for one sandbox: the organization's and the user's.
    MemoryQuota = "memory_quota", Ceiling, Spec;
    /// GPUs within the quota for one sandbox: the organization's and the user's.
    GpuQuota = "gpu_quota", Ceiling, Spec;
    /// CPU within the runner's largest machine.
    CpuLargest = "cpu_largest", Ceiling, Pair;
    /// Memory within the runner's largest machine.
    MemoryLargest = "memory_largest", Ceiling, Pair;
    /// GPUs within the runner's largest machine.
    GpuLargest = "gpu_largest", Ceiling, Pair;
    /// As much memory as a sandbox needs to start on the runner.
    MemorySmallest = "memory_smallest", Ceiling, Pair;
    /// The runner takes sandboxes at all.
    SlotsConfigured = "slots_configured", Ceiling, RunnerReport;
    /// The runner is connected.
    Connected = "connected", Health, Runner;
    /// The runner takes new sandboxes.
    NotDraining = "not_draining", Health, Runner;
    /// The runner may have one more sandbox.
    FreeSlots = "free_slots", Capacity, RunnerReport;
    /// The runner has the CPU left.
    FreeCpu = "free_cpu", Capacity, Pair;
    /// The runner has the memory left.
    FreeMemory = "free_memory", Capacity, Pair;
    /// The runner has the GPUs left.
    FreeGpus = "free_gpus", Capacity, Pair;
    /// The runner has ports or addresses left in the pool of the level.
    FreePool = "free_pool", Capacity, Pair;
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
