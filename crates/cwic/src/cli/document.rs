//! The words of commands that read documents or change something.

use std::path::PathBuf;

use clap::Args;

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

/// Whether to ask first.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
