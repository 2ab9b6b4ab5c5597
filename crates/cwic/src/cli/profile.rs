//! The words of `cwic sandbox profile`.

use clap::{Args, Subcommand};

use super::{
    ConfirmArgs, CreateArgs, DiffArgs, DocumentsArgs, ExplainProfileArgs, FileArgs, LintArgs,
    ListArgs, OutcomeArgs, RevisionsArgs, RollbackArgs, VerifyProfileArgs,
};
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Create a profile with a wizard, or profiles from files; prints their ids
    #[command(
        after_help = "Examples:\n  cwic sandbox profile create\n  cwic sandbox profile create -f profile.yaml\n  cwic sandbox profile create -f profiles/ --dry-run\n  cwic sandbox profile create --print-only > profile.yaml"
    )]
    Create(CreateArgs),
    /// List profiles, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox profile ls\n  cwic sandbox profile get agents -o yaml\n  cwic sandbox profile ls -l team=ml --sort-by updatedAt\n  cwic sandbox profile ls -o jsonpath='{.items[*].id}'"
    )]
    Get(GetProfilesArgs),
    /// Show one profile with everything that belongs to it
    #[command(after_help = "Example:\n  cwic sandbox profile describe agents")]
    Describe(DescribeProfileArgs),
    /// Change a profile in your editor, or to what a file says
    ///
    /// The editor is that of VISUAL or EDITOR. Only what you changed is sent,
    /// and nothing that somebody else changed meanwhile is lost.
    #[command(
        after_help = "Examples:\n  cwic sandbox profile edit agents\n  cwic sandbox profile edit agents -f profile.yaml"
    )]
    Edit(EditProfileArgs),
    /// List the revisions of a profile, or show what changed between two
    #[command(
        visible_alias = "history",
        after_help = "Examples:\n  cwic sandbox profile revisions agents\n  cwic sandbox profile revisions agents --diff 2..5"
    )]
    Revisions(RevisionsArgs),
    /// Go back to what an earlier revision said, as a new revision
    #[command(after_help = "Example:\n  cwic sandbox profile rollback agents --to 3 --dry-run")]
    Rollback(RollbackArgs),
    /// Look for risky and useless settings
    #[command(
        after_help = "Examples:\n  cwic sandbox profile lint agents\n  cwic sandbox profile lint -f profile.yaml --fail-on warning"
    )]
    Lint(LintArgs),
    /// Show every field of a profile on a runner, and the layer that it came from
    #[command(after_help = "Example:\n  cwic sandbox profile explain agents --runner local")]
    Explain(ExplainProfileArgs),
    /// Make profiles as files say, whether they exist or not
    #[command(
        after_help = "Examples:\n  cwic sandbox profile apply -f profile.yaml\n  cwic sandbox profile apply -f profiles/ --dry-run"
    )]
    Apply(DocumentsArgs),
    /// Show how profiles differ from what files say; ends with 1 if they do
    #[command(after_help = "Example:\n  cwic sandbox profile diff -f profile.yaml")]
    Diff(DiffArgs),
    /// Measure what sandboxes under a profile reach, and compare it with the model
    ///
    /// Probe sandboxes are started under the profile, asked from inside, and
    /// removed again. The exit code is 2 if anything is not as it should be.
    #[command(
        after_help = "Examples:\n  cwic sandbox profile verify agents\n  cwic sandbox profile verify agents --runner local -o json"
    )]
    Verify(VerifyProfileArgs),
    /// Delete profiles; those that a runner binds are reported and skipped
    #[command(
        after_help = "Example:\n  cwic sandbox profile delete team-default beta-template --yes"
    )]
    Delete(DeleteProfilesArgs),
}

#[derive(Args, Debug)]
pub(crate) struct GetProfilesArgs {
    /// An id or a display name; all without one
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeProfileArgs {
    /// An id or a display name
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) output: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct EditProfileArgs {
    /// An id or a display name
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeleteProfilesArgs {
    /// Ids or display names
    #[arg(required = true, value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profiles: Vec<String>,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}
