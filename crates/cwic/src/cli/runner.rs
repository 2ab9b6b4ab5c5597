//! The words of `cwic sandbox runner`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{ConfirmArgs, CreateArgs, DiffArgs, DocumentsArgs, FileArgs, ListArgs, OutcomeArgs};
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Create a runner with a wizard, or runners from files; prints their ids
    #[command(
        after_help = "Examples:\n  cwic sandbox runner create\n  cwic sandbox runner create -f runner.yaml\n  cwic sandbox runner create my-runner -f - < runner.yaml"
    )]
    Create(CreateRunnerArgs),
    /// List runners, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox runner ls\n  cwic sandbox runner get local -o yaml\n  cwic sandbox runner ls --watch"
    )]
    Get(GetRunnersArgs),
    /// Show one runner with everything that belongs to it
    #[command(after_help = "Example:\n  cwic sandbox runner describe local")]
    Describe(DescribeRunnerArgs),
    /// Change a runner with a wizard, or to what a file says; a list of bindings
    /// replaces the present one
    ///
    /// What is attached, kept and detached is told before. In a terminal you are
    /// asked, unless you say --yes.
    #[command(
        after_help = "Examples:\n  cwic sandbox runner edit local\n  cwic sandbox runner edit local -f bindings.yaml --yes"
    )]
    Edit(EditRunnerArgs),
    /// Update what a runner runs, where the server can
    #[command(after_help = "Example:\n  cwic sandbox runner upgrade local")]
    Upgrade(UpgradeRunnerArgs),
    /// Make runners as files say, whether they exist or not
    #[command(
        after_help = "Examples:\n  cwic sandbox runner apply -f runner.yaml\n  cwic sandbox runner apply -f runners/ --dry-run"
    )]
    Apply(DocumentsArgs),
    /// Show how runners differ from what files say; ends with 1 if they do
    #[command(after_help = "Example:\n  cwic sandbox runner diff -f runner.yaml")]
    Diff(DiffArgs),
    /// Delete a runner on which no sandbox lives
    #[command(
        after_help = "Examples:\n  cwic sandbox runner delete local --yes\n  cwic sandbox runner delete local --drain=30m"
    )]
    Delete(DeleteRunnerArgs),
    /// Keep a runner that drains, and have it take sandboxes again
    ///
    /// A drain can be taken back until its end has come.
    #[command(after_help = "Example:\n  cwic sandbox runner undrain local")]
    Undrain(UndrainRunnerArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateRunnerArgs {
    /// The id of the runner, if the file does not say it
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: Option<String>,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GetRunnersArgs {
    /// An id; all without one
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: Option<String>,
    /// Those that serve this cluster
    #[arg(long, value_name = "NAME", conflicts_with = "runner")]
    pub(crate) cluster: Option<String>,
    /// Those in this zone
    #[arg(long, value_name = "ZONE", conflicts_with = "runner")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) output: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct EditRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    /// Take no new sandbox, let those that live there end by themselves for so
    /// long, end the rest, and then delete
    #[arg(
        long,
        value_name = "TIMEOUT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10m",
        value_parser = crate::words::read_duration,
        conflicts_with = "force"
    )]
    pub(crate) drain: Option<Duration>,
    /// End the sandboxes that live there now, and then delete
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not wait until it is gone
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UndrainRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UpgradeRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}
