//! What a cluster is to sandboxes, on the command line.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use palisade_backend_kube::settings::DirectExec;
use palisade_model::cidr::Cidr;
use palisade_model::label::{check_label_key, check_label_value};

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
    /// measures with, and what --direct-exec talks to; without it there is neither
    #[arg(long, env = "PALISADE_PROGRAM_IMAGE", value_name = "IMAGE")]
    pub(crate) program_image: Option<String>,
    #[command(flatten)]
    pub(crate) direct: DirectArgs,
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

/// How commands, files and ports of sandboxes are reached past the API server.
#[derive(Args, Clone, Debug)]
pub(crate) struct DirectArgs {
    /// Reach commands, files and ports of sandboxes past the API server: every sandbox gets an
    /// init container with this program, and its policy lets this runner in at one port
    #[arg(id = "direct_exec", long = "direct-exec", env = "PALISADE_DIRECT_EXEC")]
    pub(crate) is_wanted: bool,
    /// The port in sandboxes for --direct-exec; a sandbox that is given that port itself is
    /// reached through the API server
    #[arg(
        id = "direct_exec_port",
        long = "direct-exec-port",
        env = "PALISADE_DIRECT_EXEC_PORT",
        default_value_t = DirectExec::PORT,
        value_name = "PORT"
    )]
    pub(crate) port: NonZeroU16,
    /// A label of the pod that this runner is, as KEY=VALUE, for a runner in the cluster of its
    /// sandboxes: policies let in pods of its namespace that have all of them; repeatable
    #[arg(
        id = "direct_exec_labels",
        long = "direct-exec-label",
        env = "PALISADE_DIRECT_EXEC_LABELS",
        value_delimiter = ',',
        value_name = "KEY=VALUE",
        value_parser = label
    )]
    pub(crate) labels: Vec<(String, String)>,
    /// A range that connections of this runner come from, for one outside of the cluster;
    /// repeatable
    #[arg(
        id = "direct_exec_from",
        long = "direct-exec-from",
        env = "PALISADE_DIRECT_EXEC_FROM",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub(crate) from: Vec<Cidr>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("say KEY=VALUE")?;
    check_label_key(key).map_err(|error| error.to_string())?;
    check_label_value(value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
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
