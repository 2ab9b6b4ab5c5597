//! The words of `cwic sandbox quota`.

use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Show the limits of the organization and of a user, and what is used of them
    ///
    /// Limits are set by whoever runs the platform: palisade organization set-quota.
    #[command(
        after_help = "Examples:\n  cwic sandbox quota get\n  cwic sandbox quota get --user ada -o json"
    )]
    Get(ShowQuotaArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowQuotaArgs {
    /// Another user; for administrators
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
