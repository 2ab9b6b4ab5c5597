//! The words of commands that read documents or change something.

use std::path::PathBuf;

use clap::Args;

/// A document to read, or to write with a person.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// A file with YAML or JSON, or - for standard input; without one you are
    /// asked, which needs a terminal
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Check everything on the server, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A document that makes something new.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Print the YAML that would be sent, and send nothing
    #[arg(long, conflicts_with_all = ["file", "dry_run"])]
    pub(crate) print_only: bool,
}

/// Whether to ask first.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
