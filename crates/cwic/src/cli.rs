//! What can be written on the command line.
//!
//! Only the words, a module for each group of commands; what they resolve to is
//! in [`crate::settings`], and what they do in [`crate::commands`].

use clap::{Parser, Subcommand, ValueEnum};
use palisade_client::Server;

mod auth;
mod document;
mod insight;
mod output;
mod profile;
mod runner;
mod sandbox;

pub(crate) use auth::{AuthCommand, LoginArgs};
pub(crate) use document::{ConfirmArgs, CreateArgs, FileArgs};
pub(crate) use insight::{
    Between, ExplainProfileArgs, ExplainRequestArgs, FailOn, LintArgs, RevisionsArgs, RollbackArgs,
};
pub(crate) use output::{Format, OutputArgs};
pub(crate) use profile::{
    DeleteProfilesArgs, DescribeProfileArgs, EditProfileArgs, GetProfilesArgs, ProfileCommand,
};
pub(crate) use runner::{
    CreateRunnerArgs, DeleteRunnerArgs, DescribeRunnerArgs, EditRunnerArgs, GetRunnersArgs,
    RunnerCommand, UpgradeRunnerArgs,
};
pub(crate) use sandbox::SandboxCommand;

/// Write down what sandboxes may do, and offer it on runners
#[derive(Debug, Parser)]
#[command(
    name = "cwic",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// The URL of the server, scheme, host and port
    #[arg(long, global = true, env = "CWIC_SERVER", value_name = "URL")]
    pub(crate) server: Option<Server>,
    /// The token; better kept by `cwic auth login`, as others on this machine
    /// can read arguments
    #[arg(
        long,
        global = true,
        env = "CWIC_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<Secret>,
    /// Send the token without encryption to a server that is not on this machine
    #[arg(long, global = true, env = "CWIC_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub(crate) color: Color,
    /// How failures are written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) error_format: ErrorFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A text that is never written out again.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// In a terminal, unless the variable `NO_COLOR` is set
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// How failures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ErrorFormat {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in to a server and out of it
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Keep profiles and runners
    #[command(subcommand)]
    Sandbox(SandboxCommand),
}
