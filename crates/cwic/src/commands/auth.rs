//! `cwic auth`.

mod login;
mod logout;
mod status;

use palisade_client::Client;

use crate::cli::AuthCommand;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::settings::Settings;

/// Picks the command.
pub(super) async fn run(command: AuthCommand, settings: Settings, out: &mut Out) -> Ended {
    match command {
        AuthCommand::Login(args) => login::run(args, settings, out).await,
        AuthCommand::Status(args) => status::run(&args, &settings, out).await,
        AuthCommand::Logout => logout::run(settings, out),
    }
}

/// Checks that a token works, by a call that every role may make.
async fn check(client: &Client, what: &str) -> Result<(), CliError> {
    let listed = client.list_profiles_page(1, "").await;
    listed
        .map(drop)
        .map_err(|error| CliError::call(what, &error))
}
