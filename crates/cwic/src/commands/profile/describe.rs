//! `cwic sandbox profile describe`: one profile and who offers it.

use std::process::ExitCode;

use palisade_client::{Client, RunnerFilter};

use super::standing;
use crate::cli::{DescribeProfileArgs, OutcomeFormat};
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &DescribeProfileArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let find = super::find(&args.profile, client);
    let profile = out.during("waiting for the server", find).await?;
    let filter = RunnerFilter::default();
    let list = client.list_runners(&filter);
    let runners = out.during("waiting for the server", list).await;
    let runners = runners.map_err(|error| CliError::call("runners were not listed", &error))?;
    let standing = standing::find(&profile, client);
    let standing = out.during("waiting for the server", standing).await?;
    match args.output.output {
        OutcomeFormat::Text => {
            present::profile::describe(&profile, &runners, out);
            standing.tell(out);
        }
        OutcomeFormat::Json => out.json(&standing.to_json(&profile, &runners)),
    }
    Ok(ExitCode::SUCCESS)
}
