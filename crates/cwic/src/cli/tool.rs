//! The words of commands about the program itself.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::AnswerArgs;

#[derive(Args, Clone, Debug)]
pub(crate) struct VersionArgs {
    /// Do not ask the server for its version
    #[arg(long)]
    pub(crate) client: bool,
    #[command(flatten)]
    pub(crate) output: AnswerArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that can complete commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// For `eval "$(cwic completion bash)"` in ~/.bashrc
    Bash,
    /// For `eval "$(cwic completion zsh)"` in ~/.zshrc
    Zsh,
    /// For `cwic completion fish | source` in ~/.config/fish/config.fish
    Fish,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ManArgs {
    /// Where the pages are written
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
