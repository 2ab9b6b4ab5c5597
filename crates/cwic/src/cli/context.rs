//! The words of `cwic context`.

use clap::{Args, Subcommand};

use super::OutputArgs;
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the servers that there are logins for
    #[command(visible_alias = "list", after_help = "Example:\n  cwic context ls")]
    Ls(ListContextsArgs),
    /// Use another server from now on
    #[command(after_help = "Example:\n  cwic context use staging")]
    Use(ContextNameArgs),
    /// Forget a server and its token
    #[command(after_help = "Example:\n  cwic context rm staging")]
    Rm(ContextNameArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ListContextsArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// No heading above the table
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ContextNameArgs {
    /// The name of the context
    #[arg(id = "context_name", value_name = "NAME", add = complete::contexts())]
    pub(crate) name: String,
}
