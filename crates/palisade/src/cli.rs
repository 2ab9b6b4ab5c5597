//! What can be written on the command line.
//!
//! Only the words; what they mean is resolved in [`crate::commands`].

mod ingress;
mod kube;
mod secrets;
mod sessions;
mod snapshot;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_model::cidr::Cidr;
use palisade_model::image::ImageReference;
use palisade_model::name::{ClusterName, OrganizationId, UserId};
use palisade_model::quantity::Bytes;

pub(crate) use ingress::IngressArgs;
pub(crate) use kube::{DirectArgs, EnforcementArg, KubeArgs};
pub(crate) use secrets::{SecretsArgs, SecretsCommand, SecretsKeyArgs};
pub(crate) use sessions::SessionArgs;
pub(crate) use snapshot::SnapshotArgs;

/// The exit code of a command line that is wrong, as in `cwic`.
const USAGE: u8 = 64;

/// Sandboxes with guardrails, on your own machines
#[derive(Debug, Parser)]
#[command(name = "palisade", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct TelemetryArgs {
    /// How logs look
    #[arg(
        long,
        global = true,
        env = "PALISADE_LOG_FORMAT",
        default_value = "text",
        value_enum
    )]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as `info,palisade_gateway=debug`
    #[arg(long, global = true, env = "PALISADE_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// For the runner of a cluster, which has it run in pods.
#[derive(Args, Debug)]
pub(crate) struct ProgramArgs {
    /// The file, in a directory that is there
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole platform in this process, with this machine as the runner
    Dev(DevArgs),
    /// Run the control plane and the gateway
    Serve(ServeArgs),
    /// Run a runner that dials a gateway
    Runner(RunnerArgs),
    /// Write the program by which a sandbox can be asked what it reaches
    #[command(hide = true)]
    Program(ProgramArgs),
    /// Keep the images of this machine
    #[command(subcommand)]
    Image(ImageCommand),
    /// Make and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Keep organizations
    #[command(subcommand)]
    Organization(OrganizationCommand),
    /// Keep the key that seals secrets
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Tell whether this machine can run sandboxes, and what it lacks
    Doctor(HostArgs),
}

/// Where requests are answered.
#[derive(Args, Debug)]
pub(crate) struct ListenArgs {
    /// The address for REST and gRPC; port 0 takes a free one
    #[arg(long, env = "PALISADE_LISTEN", default_value = "127.0.0.1:8700")]
    pub(crate) listen: SocketAddr,
    /// A chain of certificates, in PEM
    #[arg(long, env = "PALISADE_TLS_CERT", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, env = "PALISADE_TLS_KEY", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Answer without TLS on an address that others can reach; tokens are then
    /// readable on the way
    #[arg(long, env = "PALISADE_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,
    /// The address of `/metrics`, without TLS and for whoever reaches it; port 0
    /// takes a free one
    #[arg(long, env = "PALISADE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) sessions: SessionArgs,
}

/// Where things are kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct StateArgs {
    /// The directory in which everything is kept
    #[arg(
        long,
        global = true,
        env = "PALISADE_STATE_DIR",
        default_value = "/var/lib/palisade"
    )]
    pub(crate) state_dir: PathBuf,
    /// The directory of the images, if they are not kept with the rest; several
    /// platforms can share one
    #[arg(long, global = true, env = "PALISADE_IMAGE_DIR")]
    pub(crate) image_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) snapshots: SnapshotArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretsArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    #[command(flatten)]
    pub(crate) snapshots: SnapshotArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretsArgs,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RunnerArgs {
    /// The URL of the gateway to dial
    #[arg(long, env = "PALISADE_GATEWAY")]
    pub(crate) gateway: String,
    /// The file that holds the join token
    #[arg(long, env = "PALISADE_JOIN_TOKEN_FILE")]
    pub(crate) join_token_file: PathBuf,
    /// A certificate authority to trust for the gateway besides the usual ones, in PEM
    #[arg(long, env = "PALISADE_GATEWAY_CA")]
    pub(crate) gateway_ca: Option<PathBuf>,
    /// Where sandboxes run: as containers on this machine, or as pods of a cluster
    #[arg(long, env = "PALISADE_BACKEND", default_value = "linux", value_enum)]
    pub(crate) backend: BackendArg,
    /// The address of `/metrics`, without TLS and for whoever reaches it; port 0
    /// takes a free one
    #[arg(long, env = "PALISADE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Serve metrics on an address that others can reach
    #[arg(long, env = "PALISADE_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) kube: KubeArgs,
}

/// Where sandboxes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// Containers on this machine
    Linux,
    /// Pods of a Kubernetes cluster
    Kube,
}

/// What this machine is to sandboxes.
#[derive(Args, Clone, Debug)]
pub(crate) struct HostArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// A runtime class and the OCI runtime behind it, such as fast=/usr/bin/crun; repeatable; crun
    /// and runc are there under their own names
    #[arg(
        long = "runtime-class",
        env = "PALISADE_RUNTIME_CLASSES",
        value_delimiter = ',',
        value_name = "NAME=PATH"
    )]
    pub(crate) runtime_classes: Vec<String>,
    /// The runtime class of sandboxes that name none; crun if it is installed
    #[arg(long, env = "PALISADE_DEFAULT_RUNTIME_CLASS", value_name = "NAME")]
    pub(crate) default_runtime_class: Option<palisade_model::name::RuntimeClass>,
    /// A label of this machine that a profile's `node_selector` can match; repeatable
    #[arg(
        long = "node-label",
        env = "PALISADE_NODE_LABELS",
        value_delimiter = ',',
        value_name = "KEY=VALUE"
    )]
    pub(crate) node_labels: Vec<String>,
    /// The most sandboxes at once on this machine
    #[arg(long, env = "PALISADE_SANDBOXES_MAX")]
    pub(crate) sandboxes_max: Option<u32>,
    /// A directory with secrets of this machine for its sandboxes, a directory for each with a
    /// file for each key, as a mounted secret of Kubernetes looks
    #[arg(long, env = "PALISADE_RUNNER_SECRETS", value_name = "DIR")]
    pub(crate) runner_secrets: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) ingress: IngressArgs,
    /// The range that sandboxes get version 4 addresses from, such as 10.201.0.0/16; one that
    /// the machine has no other use for by default
    #[arg(long, env = "PALISADE_POOL4", value_name = "CIDR")]
    pub(crate) pool4: Option<Cidr>,
    /// The range that sandboxes get version 6 addresses from, likewise
    #[arg(long, env = "PALISADE_POOL6", value_name = "CIDR")]
    pub(crate) pool6: Option<Cidr>,
    /// A resolver that names are looked up with; repeatable; the machine's own by default
    #[arg(
        long = "dns-upstream",
        env = "PALISADE_DNS_UPSTREAMS",
        value_delimiter = ','
    )]
    pub(crate) dns_upstreams: Vec<std::net::IpAddr>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// How images are pulled.
#[derive(Args, Clone, Debug)]
pub(crate) struct RegistryArgs {
    /// A registry that is spoken to without TLS; repeatable; loopback ones need no mention
    #[arg(
        long = "insecure-registry",
        env = "PALISADE_INSECURE_REGISTRIES",
        value_delimiter = ','
    )]
    pub(crate) insecure_registries: Vec<String>,
    /// The file with credentials of registries, as `docker login` writes it
    #[arg(long, env = "PALISADE_REGISTRY_CONFIG")]
    pub(crate) registry_config: Option<PathBuf>,
    /// Start sandboxes from images that are already here, and from no others
    #[arg(long, env = "PALISADE_NO_PULL")]
    pub(crate) no_pull: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Import an image from a file: OCI archive or layout, docker save, or a root file system as tar
    Import {
        /// The file or directory
        source: PathBuf,
        /// What to call the image; as the archive says by default
        #[arg(long)]
        name: Option<ImageReference>,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Pull an image from a registry
    Pull {
        /// The image, such as python:3.11
        image: ImageReference,
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        registry: RegistryArgs,
    },
    /// Make an image with Python from the packages of Debian, without a registry
    BuildDebian {
        /// What to call the image
        #[arg(long, default_value = "python:3.11")]
        name: ImageReference,
        #[command(flatten)]
        state: StateArgs,
    },
    /// List the images of this machine
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        state: StateArgs,
    },
    /// Remove names of images, and what nobody needs any more
    #[command(visible_alias = "rm")]
    Remove {
        /// The images
        #[arg(required = true)]
        images: Vec<ImageReference>,
        #[command(flatten)]
        state: StateArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it; it is shown this once
    Create {
        /// The organization
        #[arg(long)]
        organization: OrganizationId,
        /// The user that it speaks for
        #[arg(long, required_unless_present = "cluster", conflicts_with = "cluster")]
        user: Option<UserId>,
        /// What it may do
        #[arg(long, value_enum, default_value = "sandbox-user")]
        role: RoleArg,
        /// The cluster whose runner it lets join, instead of a user
        #[arg(long, conflicts_with = "role")]
        cluster: Option<ClusterName>,
        /// How many days it works; for ever by default
        #[arg(long)]
        expires_days: Option<u32>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Make a token that lets a runner join, and print it; it is shown this once
    #[command(
        after_help = "Example:\n  palisade token create-runner east --organization acme > east.token"
    )]
    CreateRunner {
        /// The cluster whose runner it lets join, as `cluster_name` of the runner says
        cluster: ClusterName,
        /// The organization
        #[arg(long)]
        organization: OrganizationId,
        /// How many days it works; for ever by default
        #[arg(long)]
        expires_days: Option<u32>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        state: StateArgs,
    },
    /// List the tokens of an organization, without their secrets
    #[command(visible_alias = "ls")]
    List {
        /// The organization
        #[arg(long)]
        organization: OrganizationId,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Take a token away for good
    Revoke {
        /// The id, as `token list` prints it
        id: uuid::Uuid,
        /// The organization
        #[arg(long)]
        organization: OrganizationId,
        #[command(flatten)]
        state: StateArgs,
    },
}

/// A role as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(crate) enum RoleArg {
    /// Sandboxes, and reading profiles and runners
    #[value(alias = "sandbox_user")]
    SandboxUser,
    /// Profiles and runners, and all that a user may
    #[value(alias = "sandbox_admin")]
    SandboxAdmin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrganizationCommand {
    /// Add an organization
    Create {
        /// Its id
        id: OrganizationId,
        #[command(flatten)]
        quota: QuotaArgs,
        #[command(flatten)]
        state: StateArgs,
    },
    /// Replace the limits of an organization, of each of its users, or of one
    SetQuota {
        /// Its id
        id: OrganizationId,
        #[command(flatten)]
        whose: WhoseArgs,
        #[command(flatten)]
        quota: QuotaArgs,
        #[command(flatten)]
        state: StateArgs,
    },
    /// List the organizations
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        state: StateArgs,
    },
    /// List the limits of an organization and of its users
    Quota {
        /// Its id
        id: OrganizationId,
        #[command(flatten)]
        state: StateArgs,
    },
}

/// Whose limits; those of all users together unless another is named.
#[derive(Args, Debug)]
pub(crate) struct WhoseArgs {
    /// Those of every user that has none of his own
    #[arg(long, conflicts_with = "user")]
    pub(crate) each_user: bool,
    /// Those of this user alone, in the place of those of every user
    #[arg(long)]
    pub(crate) user: Option<UserId>,
    /// Take away the limits of the user, so that those of every user hold
    #[arg(long, requires = "user", conflicts_with_all = ["cpu", "memory", "gpus", "sandboxes", "starts_per_minute", "snapshots", "snapshot_bytes"])]
    pub(crate) remove: bool,
}

/// What is limited; what is left out is not.
#[derive(Args, Debug)]
pub(crate) struct QuotaArgs {
    /// CPU of one sandbox, such as 4 or 500m
    #[arg(long = "max-cpu")]
    pub(crate) cpu: Option<palisade_model::quantity::Quantity>,
    /// Memory of one sandbox, such as 8Gi
    #[arg(long = "max-memory")]
    pub(crate) memory: Option<palisade_model::quantity::Quantity>,
    /// GPUs of one sandbox
    #[arg(long = "max-gpus")]
    pub(crate) gpus: Option<u32>,
    /// Sandboxes that live at once
    #[arg(long = "max-sandboxes")]
    pub(crate) sandboxes: Option<u32>,
    /// Sandboxes that are started within a minute
    #[arg(long = "max-starts-per-minute")]
    pub(crate) starts_per_minute: Option<u32>,
    /// Snapshots of file systems; of the organization as many as the server's options say,
    /// unless this is given
    #[arg(long = "max-snapshots")]
    pub(crate) snapshots: Option<u32>,
    /// Bytes of the archives of snapshots together, such as 100Gi; likewise
    #[arg(long = "max-snapshot-bytes", value_name = "SIZE")]
    pub(crate) snapshot_bytes: Option<Bytes>,
}

/// Tells what is wrong with the command line, or the help that was asked for.
pub(crate) fn usage(told: &clap::Error) -> ExitCode {
    // There is nobody else to tell.
    let _ = told.print();
    if told.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
