//! `cwic auth`.

pub(super) mod login;
pub(super) mod logout;
pub(super) mod status;

use palisade_client::Client;

use crate::error::CliError;

/// Checks that a token works, by a call that every role may make.
async fn check(client: &Client, what: &str) -> Result<(), CliError> {
    let listed = client.list_profiles_page(1, "").await;
    listed
        .map(drop)
        .map_err(|error| CliError::call(what, &error))
}
