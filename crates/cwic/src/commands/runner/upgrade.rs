//! `cwic sandbox runner upgrade`: asks the server to update what a runner runs,
//! and says what came of it.

use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::UpgradeRunnerArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &UpgradeRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let text = &args.runner;
    let answer = client.apply_update(text).await;
    let answer = answer
        .map_err(|error| CliError::call(&format!("runner {text} was not updated"), &error))?;
    let name = &answer.runner.identity.runner_id;
    let word = if answer.update_started {
        "is being updated"
    } else {
        "was not updated"
    };
    out.line(format_args!("runner {name} {word}: {}", answer.message));
    Ok(ExitCode::SUCCESS)
}
