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
    /// Who may reach the sandbox.
    Ingress,
    /// The image and the kind of machine.
    Machine,
    /// The most that one sandbox may have.
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

macro_rules! constraints {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $tier:ident;)*) => {
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
        }
    };
}

constraints! {
    /// The runner is one that the request names.
    RunnerSelector = "runner_selector", Runner;
    /// The runner is not being deleted.
    RunnerKept = "runner_kept", Runner;
    /// The profile is one that the request names.
    ProfileSelector = "profile_selector", Profile;
    /// The layers of the profile go together on this runner.
    ProfileResolves = "profile_resolves", Profile;
    /// The profile has the egress mode that the request names.
    EgressMode = "egress_mode", Egress;
    /// The runner enforces the type of that mode.
    EgressType = "egress_type", Egress;
    /// The profile has the ingress level that the request names.
    IngressLevel = "ingress_level", Ingress;
    /// The runner makes services of that level's type.
    ServiceType = "service_type", Ingress;
    /// The runner makes the HTTP entry point of that level.
    HttpRoute = "http_route", Ingress;
    /// The host name of that entry point fits into DNS.
    HostName = "host_name", Ingress;
    /// The request or the profile names an image.
    Image = "image", Machine;
    /// The runner has the isolation backend.
    RuntimeClass = "runtime_class", Machine;
    /// The runner has the type of GPU.
    GpuType = "gpu_type", Machine;
    /// The runner has GPUs with that much memory.
    GpuMemory = "gpu_memory", Machine;
    /// The runner has machines of the architecture.
    Architecture = "architecture", Machine;
    /// The runner has machines of one of the types.
    InstanceType = "instance_type", Machine;
    /// The runner has machines with the labels.
    NodeSelector = "node_selector", Machine;
    /// The runner honours every field of the pod patch.
    PodFields = "pod_fields", Machine;
    /// The runner runs what the pod patch weakens.
    Privileged = "privileged", Machine;
    /// CPU within the ceiling of the profile.
    CpuCeiling = "cpu_ceiling", Ceiling;
    /// Memory within the ceiling of the profile.
    MemoryCeiling = "memory_ceiling", Ceiling;
    /// GPUs within the ceiling of the profile.
    GpuCeiling = "gpu_ceiling", Ceiling;
    /// CPU within the organization's quota for one sandbox.
    CpuQuota = "cpu_quota", Ceiling;
    /// Memory within the organization's quota for one sandbox.
    MemoryQuota = "memory_quota", Ceiling;
    /// GPUs within the organization's quota for one sandbox.
    GpuQuota = "gpu_quota", Ceiling;
    /// CPU within the runner's largest machine.
    CpuLargest = "cpu_largest", Ceiling;
    /// Memory within the runner's largest machine.
    MemoryLargest = "memory_largest", Ceiling;
    /// GPUs within the runner's largest machine.
    GpuLargest = "gpu_largest", Ceiling;
    /// The runner takes sandboxes at all.
    SlotsConfigured = "slots_configured", Ceiling;
    /// The runner is connected.
    Connected = "connected", Health;
    /// The runner takes new sandboxes.
    NotDraining = "not_draining", Health;
    /// The runner may have one more sandbox.
    FreeSlots = "free_slots", Capacity;
    /// The runner has the CPU left.
    FreeCpu = "free_cpu", Capacity;
    /// The runner has the memory left.
    FreeMemory = "free_memory", Capacity;
    /// The runner has the GPUs left.
    FreeGpus = "free_gpus", Capacity;
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
