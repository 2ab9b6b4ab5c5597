//! The words of commands about sandboxes themselves.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{ConfirmArgs, DenialsArgs, ListArgs, OutcomeArgs};
use crate::complete;
use crate::words::{Forward, Gpu, Instant, Pair, Place, read_duration};

#[derive(Debug, Subcommand)]
pub(crate) enum LiveCommand {
    /// Start a sandbox, and follow it to its end
    ///
    /// The command becomes the main process; its output is printed and its exit
    /// code passed on. With -i or -t it runs beside an idle main process, so that
    /// it can be talked to, and the sandbox is stopped once it ends.
    #[command(
        after_help = "Examples:\n  cwic sandbox run --profile agents -- python -c 'print(1)'\n  \
            cwic sandbox run --rm -it -- bash\n  ID=$(cwic sandbox run -d -- sleep 600)\n  \
            cwic sandbox run -d --mount-path /work --from-snapshot SNAPSHOT-ID -- sleep 600"
    )]
    Run(Box<RunArgs>),
    /// List sandboxes
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  cwic sandbox ls\n  cwic sandbox ls --all-states --profile agents -o json"
    )]
    Ls(ListSandboxesArgs),
    /// Show one sandbox, or list those that live
    #[command(after_help = "Examples:\n  cwic sandbox get\n  cwic sandbox get SANDBOX-ID -o json")]
    Get(GetSandboxArgs),
    /// Show one sandbox with everything that is known about it
    #[command(
        after_help = "Examples:\n  cwic sandbox describe SANDBOX-ID\n  cwic sandbox describe SANDBOX-ID -o json"
    )]
    Describe(DescribeSandboxArgs),
    /// Print what the main process of a sandbox wrote
    #[command(
        after_help = "Examples:\n  cwic sandbox logs -f SANDBOX-ID\n  cwic sandbox logs SANDBOX-ID --tail 100 --since 10m"
    )]
    Logs(LogsArgs),
    /// Run a command in a sandbox
    #[command(
        after_help = "Examples:\n  cwic sandbox exec -it SANDBOX-ID -- bash\n  \
            cwic sandbox exec -i SANDBOX-ID -- tar -xf - < files.tar"
    )]
    Exec(ExecArgs),
    /// Copy files and directories to a sandbox or from it
    ///
    /// One side is `SANDBOX-ID:/PATH`. Into a directory that exists, the source is
    /// put under its own name. Directories need a shell in the sandbox.
    #[command(
        after_help = "Examples:\n  cwic sandbox cp data.csv SANDBOX-ID:/work/\n  \
            cwic sandbox cp SANDBOX-ID:/work/results ."
    )]
    Cp(CopyArgs),
    /// Ask sandboxes to end, and have them killed after a grace
    ///
    /// It waits until they are over, unless you say --no-wait. A sandbox that
    /// is over already is no failure.
    #[command(
        after_help = "Examples:\n  cwic sandbox stop SANDBOX-ID --grace 30s\n  cwic sandbox stop SANDBOX-ID --no-wait"
    )]
    Stop(StopArgs),
    /// Freeze sandboxes: nothing in them runs, and their memory is kept
    #[command(after_help = "Example:\n  cwic sandbox pause SANDBOX-ID")]
    Pause(PauseArgs),
    /// Let sandboxes go on that are paused
    #[command(after_help = "Example:\n  cwic sandbox resume SANDBOX-ID")]
    Resume(PauseArgs),
    /// End sandboxes at once, and free everything of them
    #[command(after_help = "Example:\n  cwic sandbox rm SANDBOX-ID --yes")]
    Rm(RemoveArgs),
    /// Reach ports of a sandbox from this machine
    ///
    /// Connections to the loopback of this machine end at the loopback of the
    /// sandbox; nothing else changes about what can reach it.
    #[command(
        after_help = "Examples:\n  cwic sandbox port-forward SANDBOX-ID 8080\n  \
            cwic sandbox port-forward SANDBOX-ID 9000:80 :5432\n  \
            cwic sandbox port-forward SANDBOX-ID :80 -o json"
    )]
    PortForward(ForwardArgs),
    /// Show what was refused to a sandbox on the network, or to those of profiles
    ///
    /// Of a sandbox: the last flows, of a flood only some. Of a profile, or of all
    /// of them: how many packets and questions for names, since the server started.
    #[command(
        after_help = "Examples:\n  cwic sandbox denials SANDBOX-ID --watch\n  \
            cwic sandbox denials --profile agents -o json"
    )]
    Denials(DenialsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The profile, by id or name; without one placement picks
    #[arg(long, value_name = "PROFILE", add = complete::profiles())]
    pub(crate) profile: Option<String>,
    /// The runner; without one placement picks
    #[arg(long, value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: Option<String>,
    /// The image; without one the profile's
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// The egress mode of the profile, by name
    #[arg(long, value_name = "NAME")]
    pub(crate) egress: Option<String>,
    /// The ingress level of the profile, by name; needs --port
    #[arg(long, value_name = "NAME", requires = "ports")]
    pub(crate) ingress: Option<String>,
    /// A port to expose; may be repeated
    #[arg(
        long = "port",
        value_name = "PORT",
        requires = "ingress",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) ports: Vec<u16>,
    /// Processors, such as 500m or 2
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) cpu: Option<String>,
    /// Memory, such as 512Mi
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) memory: Option<String>,
    /// The most processors, if more than --cpu
    #[arg(long, value_name = "AMOUNT", requires = "cpu")]
    pub(crate) cpu_limit: Option<String>,
    /// The most memory, if more than --memory
    #[arg(long, value_name = "AMOUNT", requires = "memory")]
    pub(crate) memory_limit: Option<String>,
    /// Accelerators: a count, and a type if it matters
    #[arg(long, value_name = "COUNT[:TYPE]")]
    pub(crate) gpu: Option<Gpu>,
    /// Where the sandbox has a file system to itself, of which snapshots can be taken
    #[arg(long, value_name = "PATH")]
    pub(crate) mount_path: Option<String>,
    /// The size of that, such as 10Gi; without one as large as the snapshot's was, or 1Gi
    #[arg(long, value_name = "AMOUNT", requires = "mount_path")]
    pub(crate) mount_size: Option<String>,
    /// The snapshot that it is filled with
    #[arg(long, value_name = "SNAPSHOT-ID", requires = "mount_path", add = complete::snapshots())]
    pub(crate) from_snapshot: Option<String>,
    /// A variable; may be repeated
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<Pair>,
    /// A tag to find the sandbox by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// End it after this time, such as 30m, whatever it does
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    pub(crate) max_lifetime: Option<Duration>,
    /// Remove the sandbox when this command ends, however it ends
    #[arg(long, conflicts_with = "detach")]
    pub(crate) rm: bool,
    /// Print the id once the sandbox runs, and leave it
    #[arg(short, long, conflicts_with_all = ["interactive", "terminal"])]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// The command; without one the image's, or a shell with -i or -t
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// How a command is talked to.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct SessionArgs {
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal
    #[arg(short, long = "tty")]
    pub(crate) terminal: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ListSandboxesArgs {
    /// Those that are over, too
    #[arg(short, long)]
    pub(crate) all_states: bool,
    /// Those with this tag; may be repeated, then all must be there
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Those under this profile, by id or name
    #[arg(long, value_name = "PROFILE", add = complete::profiles())]
    pub(crate) profile: Option<String>,
    /// Those on this runner
    #[arg(long, value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// The id of a sandbox
    #[arg(value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeSandboxArgs {
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    #[command(flatten)]
    pub(crate) output: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GetSandboxArgs {
    /// The id of a sandbox; all that live without one
    #[arg(value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    /// Go on with what is written later
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin this many lines before the end
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tail: Option<u32>,
    /// Begin this long ago, such as 10m, or at an RFC 3339 instant
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Instant>,
    /// Put the instant before each line
    #[arg(long)]
    pub(crate) timestamps: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// A variable; may be repeated
    #[arg(short, long = "env", value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<Pair>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// What to copy
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Place,
    /// Where to
    #[arg(value_name = "DESTINATION")]
    pub(crate) destination: Place,
}

#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    /// The ids of sandboxes
    #[arg(required = true, value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) ids: Vec<String>,
    /// How long a sandbox may take to end by itself
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = read_duration
    )]
    pub(crate) grace: Duration,
    /// Do not wait until they are over
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How much longer than the grace it is waited
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = read_duration,
        conflicts_with = "no_wait"
    )]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct PauseArgs {
    /// The ids of sandboxes
    #[arg(required = true, value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The ids of sandboxes
    #[arg(required = true, value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,
    /// Ports of the sandbox, each after the port of this machine if it is another
    /// one; any that is free for a local port of none
    #[arg(required = true, value_name = "[LOCAL:]PORT")]
    pub(crate) forwards: Vec<Forward>,
    /// The address of this machine to listen at; with another one than the
    /// loopback, others can reach the sandbox through this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}
