//! The words of `cwic sandbox`.

use clap::Subcommand;

use super::{ProfileCommand, RunnerCommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Keep profiles: what sandboxes may do
    #[command(subcommand, visible_alias = "profiles")]
    Profile(ProfileCommand),
    /// Keep runners: where sandboxes run, and which profiles they offer there
    #[command(subcommand, visible_alias = "runners")]
    Runner(RunnerCommand),
}
