//! `cwic sandbox runner`.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod describe;
pub(super) mod edit;
pub(super) mod get;

use palisade_client::Client;
use palisade_wire::rest::{ProfileTemplate, Runner};

use crate::error::CliError;

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
