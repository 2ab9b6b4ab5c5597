//! The words of `cwic sandbox profile verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct VerifyProfileArgs {
    /// An id or a name of a profile that the runner binds
    #[arg(value_name = "PROFILE-ID", add = complete::profiles())]
    pub(crate) profile: String,
    /// The runner to measure on; needed if several bind the profile
    #[arg(long, value_name = "RUNNER-ID", add = complete::runners())]
    pub(crate) runner: Option<String>,
    /// The image of the probe sandboxes; without it, that of the profile
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// A file with a token of another user of the organization
    #[arg(long, value_name = "FILE")]
    pub(crate) other_user_token_file: Option<PathBuf>,
    /// A file with a token of another organization
    #[arg(long, value_name = "FILE")]
    pub(crate) other_organization_token_file: Option<PathBuf>,
    /// How the result is written
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) output: ReportFormat,
}

/// How a truth table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Columns for people
    Table,
    /// For programs
    Json,
}
