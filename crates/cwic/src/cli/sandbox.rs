//! The words of `cwic sandbox`.

use clap::Subcommand;

use super::{
    DiffArgs, DocumentsArgs, ExplainRequestArgs, LiveCommand, ProfileCommand, RunnerCommand,
};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Keep profiles: what sandboxes may do
    #[command(
        subcommand,
        visible_alias = "profiles",
        after_help = "Example:\n  cwic sandbox profile ls"
    )]
    Profile(ProfileCommand),
    /// Keep runners: where sandboxes run, and which profiles they offer there
    #[command(
        subcommand,
        visible_alias = "runners",
        after_help = "Example:\n  cwic sandbox runner ls"
    )]
    Runner(RunnerCommand),
    /// Show where a request for a sandbox would go, and what the others lack
    #[command(
        after_help = "Examples:\n  cwic sandbox explain -f request.yaml\n  cwic sandbox explain -f - --checks < request.json"
    )]
    Explain(ExplainRequestArgs),
    /// Make profiles and runners as files say, whether they exist or not
    #[command(
        after_help = "Examples:\n  cwic sandbox apply -f fleet/\n  cwic sandbox apply -f profiles.yaml -f runners.yaml --dry-run"
    )]
    Apply(DocumentsArgs),
    /// Show how profiles and runners differ from what files say; ends with 1 if
    /// they do
    #[command(after_help = "Example:\n  cwic sandbox diff -f fleet/")]
    Diff(DiffArgs),
    #[command(flatten)]
    Live(LiveCommand),
}
