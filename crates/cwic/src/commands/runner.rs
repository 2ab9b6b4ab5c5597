//! `cwic sandbox runner`.

mod create;
mod delete;
mod describe;
mod edit;
mod get;
mod undrain;
mod upgrade;

use palisade_client::{Client, RunnerFilter};
use palisade_wire::rest::{ProfileTemplate, Runner};

use crate::cli::RunnerCommand;
use crate::commands::Ended;
use crate::commands::applying::{self, Wanted};
use crate::error::{CliError, Exit};
use crate::input::Kind;
use crate::out::Out;
use crate::suggestion;

/// Picks the command.
pub(super) async fn run(command: RunnerCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        RunnerCommand::Create(args) => create::run(&args, client, out).await,
        RunnerCommand::Get(args) => get::run(&args, client, out).await,
        RunnerCommand::Describe(args) => describe::run(&args, client, out).await,
        RunnerCommand::Edit(args) => edit::run(&args, client, out).await,
        RunnerCommand::Upgrade(args) => upgrade::run(&args, client, out).await,
        RunnerCommand::Apply(args) => {
            applying::apply(&Wanted::of(&args, Kind::WholeRunner), client, out).await
        }
        RunnerCommand::Diff(args) => applying::diff(&args, Kind::WholeRunner, client, out).await,
        RunnerCommand::Delete(args) => delete::run(&args, client, out).await,
        RunnerCommand::Undrain(args) => undrain::run(&args, client, out).await,
    }
}

/// A runner by its id.
async fn find(text: &str, client: &Client) -> Result<Runner, CliError> {
    match client.get_runner(text).await {
        Ok(runner) => Ok(runner),
        Err(error) => {
            let error = CliError::call(&format!("runner {text} was not found"), &error);
            Err(with_suggestion(error, text, client).await)
        }
    }
}

/// The failure with the ids that may have been meant, if nothing was found.
async fn with_suggestion(error: CliError, text: &str, client: &Client) -> CliError {
    if error.exit() != Exit::NotFound {
        return error;
    }
    // Without a list there is nothing to suggest, and the failure stays as it is.
    let runners = client.list_runners(&RunnerFilter::default()).await;
    let runners = runners.unwrap_or_default();
    let names = runners
        .iter()
        .map(|runner| runner.identity.runner_id.as_str());
    match suggestion::question(text, names) {
        Some(question) => error.next(format!("{question} cwic sandbox runner ls lists all")),
        None => error,
    }
}

/// All profiles, which give names to bindings.
async fn profiles(client: &Client) -> Result<Vec<ProfileTemplate>, CliError> {
    let listed = client.list_profiles().await;
    listed.map_err(|error| CliError::call("profiles were not listed", &error))
}
