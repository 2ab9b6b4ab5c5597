//! `cwic sandbox profile get`: all profiles, or one.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_wire::rest::ProfileTemplate;
use serde_json::Value;

use crate::cli::{Format, GetProfilesArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &GetProfilesArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let format = args.output.output;
    match &args.profile {
        None => {
            let profiles = client.list_profiles().await;
            let profiles =
                profiles.map_err(|error| CliError::call("profiles were not listed", &error))?;
            write_all(&profiles, format, out);
        }
        Some(text) => write_one(&super::find(text, client).await?, format, out),
    }
    Ok(ExitCode::SUCCESS)
}

fn write_all(profiles: &[ProfileTemplate], format: Format, out: &mut Out) {
    match format {
        Format::Table => present::profile::table(profiles, out),
        Format::Json => out.json(&present::json(&profiles)),
        Format::Yaml => out.yaml(&Value::Array(
            profiles.iter().map(present::profile::document).collect(),
        )),
        Format::Name => profiles
            .iter()
            .for_each(|profile| out.line(&profile.display_name)),
    }
}

fn write_one(profile: &ProfileTemplate, format: Format, out: &mut Out) {
    match format {
        Format::Table => present::profile::table(std::slice::from_ref(profile), out),
        Format::Json => out.json(&present::json(profile)),
        Format::Yaml => out.yaml(&present::profile::document(profile)),
        Format::Name => out.line(&profile.display_name),
    }
}
