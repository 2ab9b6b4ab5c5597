//! The words of `cwic sandbox runner`.

use clap::{Args, Subcommand};

use super::{ConfirmArgs, CreateArgs, FileArgs, OutputArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Create a runner with a wizard, or from a file; prints its id
    #[command(
        after_help = "Examples:\n  cwic sandbox runner create\n  cwic sandbox runner create -f runner.yaml"
    )]
    Create(CreateRunnerArgs),
    /// List runners, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox runner ls\n  cwic sandbox runner get local -o yaml"
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
    /// Delete a runner on which no sandbox lives
    #[command(after_help = "Example:\n  cwic sandbox runner delete local --yes")]
    Delete(DeleteRunnerArgs),
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
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: Option<String>,
    /// Those that serve this cluster
    #[arg(long, value_name = "NAME", conflicts_with = "runner")]
    pub(crate) cluster: Option<String>,
    /// Those in this zone
    #[arg(long, value_name = "ZONE", conflicts_with = "runner")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: String,
}

#[derive(Args, Debug)]
pub(crate) struct EditRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteRunnerArgs {
    /// An id
    #[arg(value_name = "RUNNER-ID")]
    pub(crate) runner: String,
    /// End the sandboxes that live there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}
