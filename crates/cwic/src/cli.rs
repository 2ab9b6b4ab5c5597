//! What can be written on the command line.
//!
//! Only the words, a module for each group of commands; what they resolve to is
//! in [`crate::settings`], and what they do in [`crate::commands`].

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use palisade_client::Server;

mod auth;
mod context;
mod denials;
mod document;
mod insight;
mod live;
mod output;
mod profile;
mod quota;
mod runner;
mod sandbox;
mod secret;
mod snapshot;
mod tool;
mod verify;

pub(crate) use auth::{AuthCommand, LoginArgs};
pub(crate) use context::{ContextCommand, ListContextsArgs};
pub(crate) use denials::DenialsArgs;
pub(crate) use document::{ConfirmArgs, CreateArgs, DiffArgs, DocumentsArgs, FileArgs};
pub(crate) use insight::{
    Between, ExplainProfileArgs, ExplainRequestArgs, FailOn, LintArgs, RevisionsArgs, RollbackArgs,
};
pub(crate) use live::{
    CopyArgs, DescribeSandboxArgs, ExecArgs, ForwardArgs, GetSandboxArgs, ListSandboxesArgs,
    LiveCommand, LogsArgs, PauseArgs, RemoveArgs, RunArgs, SessionArgs, StopArgs,
};
pub(crate) use output::{
    AnswerArgs, AnswerFormat, FORMATS, Format, ListArgs, OutcomeArgs, OutcomeFormat, OutputArgs,
};
pub(crate) use profile::{
    DeleteProfilesArgs, DescribeProfileArgs, EditProfileArgs, GetProfilesArgs, ProfileCommand,
};
pub(crate) use quota::{
    Amount, LimitArgs, ListQuotaArgs, Most, QuotaCommand, SetQuotaArgs, ShowQuotaArgs,
};
pub(crate) use runner::{
    CreateRunnerArgs, DeleteRunnerArgs, DescribeRunnerArgs, EditRunnerArgs, GetRunnersArgs,
    RunnerCommand, UndrainRunnerArgs, UpgradeRunnerArgs,
};
pub(crate) use sandbox::SandboxCommand;
pub(crate) use secret::{
    CreateStoreArgs, DeleteSecretArgs, DeleteStoreArgs, ListSecretsArgs, ListStoresArgs,
    SecretCommand, SecretNameArgs, SecretStoreCommand, SetSecretArgs,
};
pub(crate) use snapshot::{
    CreateSnapshotArgs, DeleteSnapshotsArgs, GetSnapshotArgs, ListSnapshotsArgs, SnapshotCommand,
};
pub(crate) use tool::{CompletionArgs, ManArgs, Shell, VersionArgs};
pub(crate) use verify::{ReportFormat, VerifyProfileArgs};

use crate::complete;

/// Write down what sandboxes may do, and offer it on runners
#[derive(Debug, Parser)]
#[command(
    name = "cwic",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Example:\n  cwic sandbox profile create -f profile.yaml"
)]
pub(crate) struct Cli {
    /// The URL of the server, scheme, host and port
    #[arg(long, global = true, help_heading = GLOBAL, env = "CWIC_SERVER", value_name = "URL")]
    pub(crate) server: Option<Server>,
    /// The token; better kept by `cwic auth login`, as others on this machine
    /// can read arguments
    #[arg(
        long,
        global = true, help_heading = GLOBAL,
        env = "CWIC_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<Secret>,
    /// The context, which is a server and a login for it; see cwic context ls
    #[arg(long, global = true, help_heading = GLOBAL, env = "CWIC_CONTEXT", value_name = "NAME", add = complete::contexts())]
    pub(crate) context: Option<String>,
    /// A file with the certificates of the authorities that vouch for the server,
    /// in PEM, in place of those that this machine knows
    #[arg(long, global = true, help_heading = GLOBAL, env = "CWIC_CA_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Send the token without encryption to a server that is not on this machine
    #[arg(long, global = true, help_heading = GLOBAL, env = "CWIC_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,
    /// When to use colour
    #[arg(
        long,
        global = true, help_heading = GLOBAL,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub(crate) color: Color,
    /// How failures are written
    #[arg(
        long,
        global = true, help_heading = GLOBAL,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) error_format: ErrorFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Which of these were arguments, and not taken from the environment.
    #[arg(skip)]
    pub(crate) given: Given,
}

/// Which settings are arguments. Those win over the environment, also where one
/// says what another one says in part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The server.
    pub(crate) server: bool,
    /// The token.
    pub(crate) token: bool,
    /// The context.
    pub(crate) context: bool,
}

/// Above the options that every command has.
const GLOBAL: &str = "Global options";

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
    #[command(
        subcommand,
        after_help = "Example:\n  cwic auth login - --server http://127.0.0.1:8700 < token"
    )]
    Auth(AuthCommand),
    /// Choose between the servers that there are logins for
    #[command(
        subcommand,
        visible_alias = "contexts",
        after_help = "Example:\n  cwic context use staging"
    )]
    Context(ContextCommand),
    /// Keep profiles and runners, and work with sandboxes
    #[command(subcommand, after_help = "Example:\n  cwic sandbox apply -f fleet/")]
    Sandbox(SandboxCommand),
    /// Tell the versions of this program and of the server
    #[command(after_help = "Examples:\n  cwic version\n  cwic version --client -o json")]
    Version(VersionArgs),
    /// Write what makes a shell complete commands and names
    #[command(after_help = "Example:\n  eval \"$(cwic completion bash)\"")]
    Completion(CompletionArgs),
    /// Write manual pages, one for each command
    #[command(after_help = "Example:\n  cwic man ~/.local/share/man/man1")]
    Man(ManArgs),
}
