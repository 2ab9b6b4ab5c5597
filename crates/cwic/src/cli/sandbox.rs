//! The words of `cwic sandbox`.

use clap::Subcommand;

use super::{
    DiffArgs, DocumentsArgs, ExplainRequestArgs, LiveCommand, ProfileCommand, QuotaCommand,
    RunnerCommand, SecretCommand, SnapshotCommand,
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
    /// Show limits and what is used of them, and set those of users
    #[command(subcommand, after_help = "Example:\n  cwic sandbox quota get")]
    Quota(QuotaCommand),
    /// Keep secrets, which sandboxes can have in their environment
    #[command(
        subcommand,
        visible_alias = "secrets",
        after_help = "Example:\n  cwic sandbox secret set team HF_TOKEN < token"
    )]
    Secret(SecretCommand),
    /// Keep snapshots of the file systems of sandboxes
    #[command(
        subcommand,
        visible_alias = "snapshots",
        after_help = "Example:\n  cwic sandbox snapshot create SANDBOX-ID"
    )]
    Snapshot(SnapshotCommand),
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
