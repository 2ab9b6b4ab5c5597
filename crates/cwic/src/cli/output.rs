//! The words of commands that show something.

use clap::{Args, ValueEnum};

/// How results are written.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How the result is written
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Format,
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
