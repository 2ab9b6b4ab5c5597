//! `cwic sandbox profile describe`: one profile and who offers it.

use std::process::ExitCode;

use palisade_client::{Client, RunnerFilter};
use palisade_wire::rest::ProfileTemplate;

use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(text: &str, client: &Client, out: &mut Out) -> Ended {
    let profile = find(text, client).await?;
    let runners = client.list_runners(&RunnerFilter::default()).await;
    let runners = runners.map_err(|error| CliError::call("runners were not listed", &error))?;
    present::profile::describe(&profile, &runners, out);
    Ok(ExitCode::SUCCESS)
}

/// A profile by its id or display name.
pub(super) async fn find(text: &str, client: &Client) -> Result<ProfileTemplate, CliError> {
    let found = client.get_profile(text).await;
    found.map_err(|error| CliError::call(&format!("profile {text} was not found"), &error))
}
