//! One module for each command; this one picks.

use std::process::ExitCode;

use crate::cli::{AuthCommand, Cli, Command, ProfileCommand, SandboxCommand};
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::settings::Settings;

pub(crate) mod advice;
mod auth;
mod confirm;
mod explain;
mod living;
mod preview;
mod profile;
mod runner;

type Ended = Result<ExitCode, CliError>;

/// Runs the command to its end.
pub(crate) fn run(cli: Cli, out: &mut Out) -> Ended {
    let settings = Settings::load(&cli)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::new(Exit::Failure, "no call can be made").because(error.to_string())
        })?;
    let ended = runtime.block_on(dispatch(cli.command, settings, out));
    // A prompt that the process was told to leave still waits, for a key or for
    // the server, and ends with the process. Its timers must not end before.
    std::mem::forget(runtime);
    ended
}

async fn dispatch(command: Command, settings: Settings, out: &mut Out) -> Ended {
    match command {
        Command::Auth(AuthCommand::Login(args)) => auth::login::run(args, settings, out).await,
        Command::Auth(AuthCommand::Status) => auth::status::run(&settings, out).await,
        Command::Auth(AuthCommand::Logout) => auth::logout::run(settings, out),
        Command::Sandbox(SandboxCommand::Profile(ProfileCommand::Lint(args)))
            if args.file.is_some() =>
        {
            profile::lint::run(&args, None, out).await
        }
        Command::Sandbox(SandboxCommand::Profile(command)) => {
            profile::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Runner(command)) => {
            runner::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Explain(args)) => {
            explain::run(&args, &settings.client()?, out).await
        }
    }
}
