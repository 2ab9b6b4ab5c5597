//! The words of commands that read documents or change something.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};

use super::OutcomeArgs;

/// Documents to read, or to write with a person.
#[derive(Args, Clone, Debug)]
pub(crate) struct FileArgs {
    /// A file with YAML or JSON, a directory of such files, or - for standard
    /// input; without one you are asked, which needs a terminal
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        action = ArgAction::Append,
        value_hint = ValueHint::AnyPath
    )]
    pub(crate) files: Vec<PathBuf>,
    /// Check everything on the server, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Documents that make something new.
#[derive(Args, Clone, Debug)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) refusal: RefusalArgs,
    /// Print the YAML that would be sent, and send nothing
    #[arg(long, conflicts_with_all = ["files", "dry_run"])]
    pub(crate) print_only: bool,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

/// What happens to the other documents when one is refused.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RefusalArgs {
    /// Go on with the documents that are right when others are refused; without
    /// it, nothing is changed then
    #[arg(long)]
    pub(crate) continue_on_error: bool,
}

/// Documents to read, each of which stands for itself.
#[derive(Args, Clone, Debug)]
pub(crate) struct DocumentsArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// Check everything on the server, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) refusal: RefusalArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

/// Documents to compare with what there is.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) outcome: OutcomeArgs,
}

/// Where documents are.
#[derive(Args, Clone, Debug)]
pub(crate) struct SourceArgs {
    /// A file with YAML or JSON, a directory of such files, or - for standard
    /// input; can be given several times
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        required = true,
        action = ArgAction::Append,
        value_hint = ValueHint::AnyPath
    )]
    pub(crate) files: Vec<PathBuf>,
}

/// Whether to ask first.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ConfirmArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
