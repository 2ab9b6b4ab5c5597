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
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;

/// Picks the command.
pub(super) async fn run(command: ProfileCommand, client: &Client, out: &mut Out) -> Ended {
    match command {
        ProfileCommand::Create(args) => create::run(&args, client, out).await,
        ProfileCommand::Get(args) => get::run(&args, client, out).await,
        ProfileCommand::Describe(args) => describe::run(&args, client, out).await,
        ProfileCommand::Edit(args) => edit::run(&args, client, out).await,
        ProfileCommand::Revisions(args) => revisions::run(&args, client, out).await,
        ProfileCommand::Rollback(args) => rollback::run(&args, client, out).await,
        ProfileCommand::Lint(args) => lint::run(&args, Some(client), out).await,
        ProfileCommand::Explain(args) => explain::run(&args, client, out).await,
        ProfileCommand::Delete(args) => delete::run(&args, client, out).await,
    }
}

/// A profile by its id or display name.
async fn find(text: &str, client: &Client) -> Result<ProfileTemplate, CliError> {
    let found = client.get_profile(text).await;
    found.map_err(|error| CliError::call(&format!("profile {text} was not found"), &error))
}
