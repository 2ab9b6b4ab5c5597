//! `cwic sandbox profile`.

mod create;
mod delete;
mod describe;
mod edit;
mod explain;
mod get;
pub(super) mod lint;
mod revisions;
mod rollback;
mod standing;

use palisade_client::Client;
use palisade_wire::rest::ProfileTemplate;

use crate::cli::ProfileCommand;
use crate::commands::applying::{self, Wanted};
use crate::commands::{Ended, sandbox};
use crate::error::{CliError, Exit};
use crate::input::Kind;
use crate::out::Out;
use crate::settings::Settings;
use crate::suggestion;

/// Picks the command.
pub(super) async fn run(command: ProfileCommand, settings: &Settings, out: &mut Out) -> Ended {
    let client = &settings.client()?;
    match command {
        ProfileCommand::Create(args) => create::run(&args, client, out).await,
        ProfileCommand::Get(args) => get::run(&args, client, out).await,
        ProfileCommand::Describe(args) => describe::run(&args, client, out).await,
        ProfileCommand::Edit(args) => edit::run(&args, client, out).await,
        ProfileCommand::Revisions(args) => revisions::run(&args, client, out).await,
        ProfileCommand::Rollback(args) => rollback::run(&args, client, out).await,
        ProfileCommand::Lint(args) => lint::run(&args, Some(client), out).await,
        ProfileCommand::Explain(args) => explain::run(&args, client, out).await,
        ProfileCommand::Apply(args) => {
            applying::apply(&Wanted::of(&args, Kind::WholeProfile), client, out).await
        }
        ProfileCommand::Diff(args) => applying::diff(&args, Kind::WholeProfile, client, out).await,
        ProfileCommand::Verify(args) => Box::pin(sandbox::verify::run(&args, settings, out)).await,
        ProfileCommand::Delete(args) => delete::run(&args, client, out).await,
    }
}

/// A profile by its id or display name.
async fn find(text: &str, client: &Client) -> Result<ProfileTemplate, CliError> {
    match client.get_profile(text).await {
        Ok(profile) => Ok(profile),
        Err(error) => {
            let error = CliError::call(&format!("profile {text} was not found"), &error);
            Err(with_suggestion(error, text, client).await)
        }
    }
}

/// The failure with the names that may have been meant, if nothing was found.
async fn with_suggestion(error: CliError, text: &str, client: &Client) -> CliError {
    if error.exit() != Exit::NotFound {
        return error;
    }
    // Without a list there is nothing to suggest, and the failure stays as it is.
    let profiles = client.list_profiles().await.unwrap_or_default();
    let names = profiles.iter().map(|profile| profile.display_name.as_str());
    match suggestion::question(text, names) {
        Some(question) => error.next(format!("{question} cwic sandbox profile ls lists all")),
        None => error,
    }
}
