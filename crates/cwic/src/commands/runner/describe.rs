//! `cwic sandbox runner describe`: one runner and what it offers.

use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::DescribeRunnerArgs;
use crate::commands::Ended;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &DescribeRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let runner = super::find(&args.runner, client).await?;
    present::runner::describe(&runner, &super::profiles(client).await?, out);
    Ok(ExitCode::SUCCESS)
}
