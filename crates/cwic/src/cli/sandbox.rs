//! The words of `cwic sandbox`.

use clap::Subcommand;

use super::{ExplainRequestArgs, ProfileCommand, RunnerCommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Keep profiles: what sandboxes may do
    #[command(subcommand, visible_alias = "profiles")]
    Profile(ProfileCommand),
    /// Keep runners: where sandboxes run, and which profiles they offer there
    #[command(subcommand, visible_alias = "runners")]
    Runner(RunnerCommand),
    /// Show where a request for a sandbox would go, and what the others lack
    #[command(
        after_help = "Examples:\n  cwic sandbox explain -f request.yaml\n  cwic sandbox explain -f - --checks < request.json"
    )]
    Explain(ExplainRequestArgs),
}
