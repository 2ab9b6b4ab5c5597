//! One module for each command; this one picks.

use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::{AuthCommand, Cli, Command, ProfileCommand, RunnerCommand, SandboxCommand};
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::settings::Settings;

mod auth;
mod confirm;
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
    runtime.block_on(dispatch(cli.command, settings, out))
}

async fn dispatch(command: Command, settings: Settings, out: &mut Out) -> Ended {
    match command {
        Command::Auth(AuthCommand::Login(args)) => auth::login::run(args, settings, out).await,
        Command::Auth(AuthCommand::Status) => auth::status::run(&settings, out).await,
        Command::Auth(AuthCommand::Logout) => auth::logout::run(settings, out),
        Command::Sandbox(SandboxCommand::Profile(command)) => {
            dispatch_profile(command, &settings.client()?, out).await
        }
        Command::Sandbox(SandboxCommand::Runner(command)) => {
            dispatch_runner(command, &settings.client()?, out).await
        }
    }
}

async fn dispatch_profile(command: ProfileCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        ProfileCommand::Create(file) => profile::create::run(&file, client, out).await,
        ProfileCommand::Get { profile, output } => {
            profile::get::run(profile.as_deref(), output.output, client, out).await
        }
        ProfileCommand::Describe { profile } => profile::describe::run(&profile, client, out).await,
        ProfileCommand::Edit { profile, file } => {
            profile::edit::run(&profile, &file, client, out).await
        }
        ProfileCommand::Delete { profiles, confirm } => {
            profile::delete::run(&profiles, confirm, client, out).await
        }
    }
}

async fn dispatch_runner(command: RunnerCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        RunnerCommand::Create { runner, file } => {
            runner::create::run(runner.as_deref(), &file, client, out).await
        }
        RunnerCommand::Get {
            runner,
            cluster,
            zone,
            output,
        } => {
            let filter = palisade_client::RunnerFilter { cluster, zone };
            runner::get::run(runner.as_deref(), &filter, output.output, (client, out)).await
        }
        RunnerCommand::Describe { runner } => runner::describe::run(&runner, client, out).await,
        RunnerCommand::Edit { runner, file } => {
            runner::edit::run(&runner, &file, client, out).await
        }
        RunnerCommand::Delete {
            runner,
            force,
            confirm,
        } => runner::delete::run(&runner, force, confirm, (client, out)).await,
    }
}
