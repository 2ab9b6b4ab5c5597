//! `cwic sandbox runner get`: all runners, or one.

use std::process::ExitCode;

use palisade_client::{Client, RunnerFilter};
use palisade_wire::rest::Runner;
use serde_json::Value;

use crate::cli::{Format, GetRunnersArgs};
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &GetRunnersArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let GetRunnersArgs {
        runner,
        cluster,
        zone,
        output,
    } = args;
    let filter = RunnerFilter {
        cluster: cluster.clone(),
        zone: zone.clone(),
    };
    let runners = if let Some(text) = runner {
        vec![super::find(text, client).await?]
    } else {
        let runners = client.list_runners(&filter).await;
        runners.map_err(|error| CliError::call("runners were not listed", &error))?
    };
    match (output.output, runner, runners.as_slice()) {
        (Format::Table, _, all) => {
            present::runner::table(all, &super::profiles(client).await?, out);
        }
        (Format::Name, _, all) => all.iter().for_each(|one| out.line(&one.identity.runner_id)),
        (Format::Json, Some(_), [one]) => out.json(&present::json(one)),
        (Format::Yaml, Some(_), [one]) => out.yaml(&present::runner::document(one)),
        (Format::Json, _, all) => out.json(&present::json(&all)),
        (Format::Yaml, _, all) => out.yaml(&list(all)),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(runners: &[Runner]) -> Value {
    runners.iter().map(present::runner::document).collect()
}
