//! `cwic sandbox runner`.

mod create;
mod delete;
mod describe;
mod edit;
mod get;
mod upgrade;

use palisade_client::Client;
use palisade_wire::rest::{ProfileTemplate, Runner};

use crate::cli::RunnerCommand;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;

/// Picks the command.
pub(super) async fn run(command: RunnerCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        RunnerCommand::Create(args) => create::run(&args, client, out).await,
        RunnerCommand::Get(args) => get::run(&args, client, out).await,
        RunnerCommand::Describe(args) => describe::run(&args, client, out).await,
        RunnerCommand::Edit(args) => edit::run(&args, client, out).await,
        RunnerCommand::Upgrade(args) => upgrade::run(&args, client, out).await,
        RunnerCommand::Delete(args) => delete::run(&args, client, out).await,
    }
}

/// A runner by its id.
async fn find(text: &str, client: &Client) -> Result<Runner, CliError> {
    let found = client.get_runner(text).await;
    found.map_err(|error| CliError::call(&format!("runner {text} was not found"), &error))
}

/// All profiles, which give names to bindings.
async fn profiles(client: &Client) -> Result<Vec<ProfileTemplate>, CliError> {
    let listed = client.list_profiles().await;
    listed.map_err(|error| CliError::call("profiles were not listed", &error))
}
