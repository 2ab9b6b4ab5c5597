//! `cwic sandbox runner describe`: one runner, what it offers and what lives there.

use std::process::ExitCode;

use palisade_client::Client;
use serde_json::json;

use crate::cli::{DescribeRunnerArgs, OutcomeFormat};
use crate::commands::{Ended, living};
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &DescribeRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let runner = out
        .during("waiting for the server", super::find(&args.runner, client))
        .await?;
    let profiles = out
        .during("waiting for the server", super::profiles(client))
        .await?;
    let usage = out
        .during("waiting for the server", client.runner_usage(&runner.id))
        .await;
    let usage = usage.map_err(|error| CliError::call("live sandboxes were not counted", &error))?;
    if args.output.output == OutcomeFormat::Json {
        out.json(&json!({ "runner": runner, "usage": usage }));
        return Ok(ExitCode::SUCCESS);
    }
    present::runner::describe(&runner, &profiles, out);
    living::tell(&usage, out);
    if let Some(since) = &usage.deleting_since {
        let until = usage.drain_until.as_deref();
        let until = until.map(|at| format!("; its sandboxes may end by themselves until {at}"));
        out.line(format_args!(
            "\nIt is being deleted since {since}{}",
            until.unwrap_or_default()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
