//! The words of `cwic sandbox denials`.

use clap::Args;

use super::ListArgs;
use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct DenialsArgs {
    /// The id of a sandbox: the last flows that were refused to it
    #[arg(value_name = "SANDBOX-ID", conflicts_with = "profile")]
    pub(crate) sandbox: Option<String>,
    /// A profile, by id or name: what was refused to all of its sandboxes
    #[arg(long, value_name = "PROFILE", add = complete::profiles())]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
