//! The words of `cwic sandbox snapshot`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{ConfirmArgs, ListArgs, OutcomeArgs};
use crate::complete;
use crate::words::read_duration;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Take a snapshot of the file system of a sandbox, and print its id once it is
    /// ready
    ///
    /// Nothing in the sandbox runs while its files are read. Sandboxes have a file
    /// system to take a snapshot of if they were started with one: run --mount-path.
    #[command(
        after_help = "Examples:\n  cwic sandbox snapshot create SANDBOX-ID\n  \
            ID=$(cwic sandbox snapshot create SANDBOX-ID --timeout 30m)"
    )]
    Create(CreateSnapshotArgs),
    /// Show one snapshot, or list all
    #[command(
        after_help = "Examples:\n  cwic sandbox snapshot get\n  cwic sandbox snapshot get SNAPSHOT-ID -o json"
    )]
    Get(GetSnapshotArgs),
    /// List the snapshots of the organization, the newest first
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  cwic sandbox snapshot ls\n  cwic sandbox snapshot ls --sandbox SANDBOX-ID -o name"
    )]
    Ls(ListSnapshotsArgs),
    /// Delete snapshots for good; sandboxes that were made from them go on
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  cwic sandbox snapshot delete SNAPSHOT-ID --yes"
    )]
    Delete(DeleteSnapshotsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateSnapshotArgs {
    /// The sandbox
    #[arg(value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) sandbox: String,
    /// A name of your own for this snapshot: tried again with it, there is one
    #[arg(
        long,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) idempotency_key: String,
    /// Do not wait until it is ready
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long it is waited for
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = read_duration,
        conflicts_with = "no_wait"
    )]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GetSnapshotArgs {
    /// The id of a snapshot; all without one
    #[arg(value_name = "SNAPSHOT-ID", add = complete::snapshots())]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListSnapshotsArgs {
    /// Those that were taken of this sandbox
    #[arg(long, value_name = "SANDBOX-ID", add = complete::sandboxes())]
    pub(crate) sandbox: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteSnapshotsArgs {
    /// The ids of snapshots
    #[arg(required = true, value_name = "SNAPSHOT-ID", add = complete::snapshots())]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}
