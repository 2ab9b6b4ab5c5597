//! What a cluster is to sandboxes, on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_model::cidr::Cidr;

/// The cluster of a runner with `--backend kube`.
#[derive(Args, Clone, Debug)]
pub(crate) struct KubeArgs {
    /// The kubeconfig that names the cluster; the one that this process runs in by default
    #[arg(long, env = "PALISADE_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, if it is not the current one
    #[arg(long, env = "PALISADE_KUBE_CONTEXT", requires = "kubeconfig")]
    pub(crate) kube_context: Option<String>,
    /// Tells the sandboxes of this runner from those of others in the cluster
    #[arg(long, env = "PALISADE_KUBE_INSTANCE", default_value = "palisade")]
    pub(crate) kube_instance: String,
    /// What is done where network policies may have no effect
    #[arg(
        long,
        env = "PALISADE_NETWORK_ENFORCEMENT",
        default_value = "required",
        value_enum
    )]
    pub(crate) network_enforcement: EnforcementArg,
    /// The image of the two pods that find out whether network policies are enforced; it needs a
    /// shell and the nc of busybox
    #[arg(
        long,
        env = "PALISADE_PROBE_IMAGE",
        default_value = "busybox:stable",
        value_name = "IMAGE"
    )]
    pub(crate) probe_image: String,
    /// The image of this program, out of which sandboxes get what `cwic sandbox profile verify`
    /// measures with; without it they cannot be measured
    #[arg(long, env = "PALISADE_PROGRAM_IMAGE", value_name = "IMAGE")]
    pub(crate) program_image: Option<String>,
    /// How many seconds a namespace that was made for sandboxes is kept without any; 0 is for ever
    #[arg(
        long,
        env = "PALISADE_NAMESPACE_IDLE_SECONDS",
        default_value = "600",
        value_name = "SECONDS"
    )]
    pub(crate) namespace_idle_seconds: u64,
    /// A range of nodes, pods or Services that has public addresses and is closed to the egress
    /// type internet all the same; repeatable
    #[arg(
        long = "cluster-range",
        env = "PALISADE_CLUSTER_RANGES",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub(crate) cluster_ranges: Vec<Cidr>,
    /// The namespace of the Secrets that sandboxes may be given; without it there are none
    #[arg(long, env = "PALISADE_CLUSTER_SECRETS_NAMESPACE", value_name = "NAME")]
    pub(crate) cluster_secrets_namespace: Option<palisade_model::name::DnsLabel>,
    /// The label of nodes that holds their instance type
    #[arg(
        long,
        env = "PALISADE_INSTANCE_TYPE_LABEL",
        default_value = "node.kubernetes.io/instance-type"
    )]
    pub(crate) instance_type_label: String,
    /// The resource that GPUs are in the cluster
    #[arg(long, env = "PALISADE_GPU_RESOURCE", default_value = "nvidia.com/gpu")]
    pub(crate) gpu_resource: String,
    /// The label of nodes that holds the type of their GPUs
    #[arg(
        long,
        env = "PALISADE_GPU_TYPE_LABEL",
        default_value = "gpu.nvidia.com/class"
    )]
    pub(crate) gpu_type_label: String,
}

/// What is done where network policies may have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnforcementArg {
    /// Take sandboxes on once a probe has shown that the cluster enforces network policies
    Required,
    /// Take sandboxes on: this cluster is known to enforce network policies
    Trusted,
    /// Take sandboxes on although nothing may hold them back on the network
    AcceptNone,
}
