//! What can be written on the command line.
//!
//! Only the words; what they resolve to is in [`crate::settings`], and what they
//! do in [`crate::commands`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_client::Server;

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

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// As the API answers
    Json,
    /// As people write it, ready for -f
    Yaml,
    /// Names alone, one a line
    Name,
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

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Check a token and keep it for later commands
    #[command(after_help = "Example:\n  cwic auth login --server http://127.0.0.1:8700 - < token")]
    Login(LoginArgs),
    /// Tell which server is used, and whether its token works
    #[command(after_help = "Example:\n  cwic auth status")]
    Status,
    /// Forget the token
    #[command(after_help = "Example:\n  cwic auth logout")]
    Logout,
}

#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// The token, or - to read it from standard input
    #[arg(id = "login_token", value_name = "TOKEN")]
    pub(crate) token: Secret,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Keep profiles: what sandboxes may do
    #[command(subcommand, visible_alias = "profiles")]
    Profile(ProfileCommand),
    /// Keep runners: where sandboxes run, and which profiles they offer there
    #[command(subcommand, visible_alias = "runners")]
    Runner(RunnerCommand),
}

/// A document to read.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// A file with YAML or JSON, or - for standard input
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Check everything on the server, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How results are written.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How the result is written
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Create profiles from a file; prints their ids
    #[command(after_help = "Example:\n  cwic sandbox profile create -f profile.yaml")]
    Create(FileArgs),
    /// List profiles, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox profile ls\n  cwic sandbox profile get agents -o yaml"
    )]
    Get {
        /// An id or a display name; all without one
        #[arg(value_name = "PROFILE-ID")]
        profile: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one profile with everything that belongs to it
    #[command(after_help = "Example:\n  cwic sandbox profile describe agents")]
    Describe {
        /// An id or a display name
        #[arg(value_name = "PROFILE-ID")]
        profile: String,
    },
    /// Change a profile to what a file says
    #[command(after_help = "Example:\n  cwic sandbox profile edit agents -f profile.yaml")]
    Edit {
        /// An id or a display name
        #[arg(value_name = "PROFILE-ID")]
        profile: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Delete profiles; those that a runner binds are reported and skipped
    #[command(
        after_help = "Example:\n  cwic sandbox profile delete team-default beta-template --yes"
    )]
    Delete {
        /// Ids or display names
        #[arg(required = true, value_name = "PROFILE-ID")]
        profiles: Vec<String>,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
}

/// Whether to ask first.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Create a runner from a file; prints its id
    #[command(after_help = "Example:\n  cwic sandbox runner create -f runner.yaml")]
    Create {
        /// The id of the runner, if the file does not say it
        #[arg(value_name = "RUNNER-ID")]
        runner: Option<String>,
        #[command(flatten)]
        file: FileArgs,
    },
    /// List runners, or show one
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  cwic sandbox runner ls\n  cwic sandbox runner get local -o yaml"
    )]
    Get {
        /// An id; all without one
        #[arg(value_name = "RUNNER-ID")]
        runner: Option<String>,
        /// Those that serve this cluster
        #[arg(long, value_name = "NAME", conflicts_with = "runner")]
        cluster: Option<String>,
        /// Those in this zone
        #[arg(long, value_name = "ZONE", conflicts_with = "runner")]
        zone: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one runner with everything that belongs to it
    #[command(after_help = "Example:\n  cwic sandbox runner describe local")]
    Describe {
        /// An id
        #[arg(value_name = "RUNNER-ID")]
        runner: String,
    },
    /// Change a runner to what a file says; a list of bindings replaces the present one
    #[command(after_help = "Example:\n  cwic sandbox runner edit local -f bindings.yaml")]
    Edit {
        /// An id
        #[arg(value_name = "RUNNER-ID")]
        runner: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Delete a runner on which no sandbox lives
    #[command(after_help = "Example:\n  cwic sandbox runner delete local --yes")]
    Delete {
        /// An id
        #[arg(value_name = "RUNNER-ID")]
        runner: String,
        /// End the sandboxes that live there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirm: ConfirmArgs,
    },
}
