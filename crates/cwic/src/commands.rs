//! One module for each command; this one picks.

use std::process::ExitCode;

use crate::cli::{Cli, Command, ProfileCommand, SandboxCommand};
use crate::error::{CliError, Exit};
use crate::input::Kind;
use crate::out::Out;
use crate::settings::Settings;

pub(crate) mod advice;
mod applying;
mod auth;
mod confirm;
mod context;
mod explain;
mod living;
mod preview;
mod profile;
mod quota;
mod runner;
mod sandbox;
mod secret;
mod snapshot;
mod tool;
mod version;

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
    // the server, and ends with the process; so does a read of standard input.
    // Its timers must not end before.
    std::mem::forget(runtime);
    ended
}

async fn dispatch(command: Command, settings: Settings, out: &mut Out) -> Ended {
    match command {
        Command::Auth(command) => auth::run(command, settings, out).await,
        Command::Context(command) => context::run(command, settings, out),
        Command::Version(args) => version::run(&args, &settings, out).await,
        Command::Completion(args) => tool::completion(args, out),
        Command::Man(args) => tool::man(&args, out),
        Command::Sandbox(SandboxCommand::Apply(args)) => {
            applying::apply(
                &applying::Wanted::of(&args, Kind::Whole),
                &settings.client()?,
                out,
            )
            .await
        }
        Command::Sandbox(SandboxCommand::Diff(args)) => {
            applying::diff(&args, Kind::Whole, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Profile(ProfileCommand::Lint(args)))
            if args.file.is_some() =>
        {
            profile::lint::run(&args, None, out).await
        }
        Command::Sandbox(SandboxCommand::Profile(command)) => {
            profile::run(command, &settings, out).await
        }
        Command::Sandbox(SandboxCommand::Runner(command)) => {
            runner::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Quota(command)) => {
            quota::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Secret(command)) => {
            secret::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Snapshot(command)) => {
            snapshot::run(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Explain(args)) => {
            explain::run(&args, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Live(command)) => {
            sandbox::run(command, &settings.client()?, out).await
        }
    }
}
