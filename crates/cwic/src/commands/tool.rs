//! What belongs to the program itself: completion and manual pages.

use std::fs;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionArgs, ManArgs, Shell};
use crate::commands::Ended;
use crate::complete;
use crate::error::{CliError, Exit};
use crate::out::Out;

/// Writes what makes a shell complete commands.
pub(super) fn completion(args: CompletionArgs, out: &mut Out) -> Ended {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let script = complete::script(shell).map_err(|error| {
        CliError::new(Exit::Failure, "there is no script for this shell").because(error.to_string())
    })?;
    out.text(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
pub(super) fn man(args: &ManArgs, out: &mut Out) -> Ended {
    let directory = &args.directory;
    let written = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.map_err(|error| {
        let what = format!("no pages could be written to {}", directory.display());
        CliError::new(Exit::Usage, what)
            .because(error.to_string())
            .next("name a directory that you can write to")
    })?;
    let shown = directory.display();
    out.note(format_args!(
        "Manual pages are in {shown}: man -l {shown}/cwic.1"
    ));
    Ok(ExitCode::SUCCESS)
}
