//! One module for each command; this one picks.

use std::process::ExitCode;

use crate::cli::Command;
use crate::out::Out;

mod dev;
mod doctor;
mod image;
mod organization;
mod program;
mod runner;
mod secrets;
mod serve;
mod token;

/// Runs the command to its end.
pub(crate) async fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::run(args, out).await?,
        Command::Serve(args) => serve::run(args, out).await?,
        Command::Runner(args) => runner::run(args).await?,
        Command::Program(args) => program::run(&args)?,
        Command::Image(command) => image::run(command, out).await?,
        Command::Token(command) => token::run(command, out).await?,
        Command::Organization(command) => organization::run(command, out).await?,
        Command::Secrets(command) => secrets::run(command, out).await?,
        Command::Doctor(args) => return Ok(doctor::run(&args, out)),
    }
    Ok(ExitCode::SUCCESS)
}
