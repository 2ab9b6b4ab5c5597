//! `cwic sandbox runner upgrade`: asks the server to update what a runner runs,
//! and says what came of it.

use std::process::ExitCode;

use palisade_client::Client;

use crate::cli::UpgradeRunnerArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &UpgradeRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let text = &args.runner;
    let answer = out
        .during("waiting for the server", client.apply_update(text))
        .await;
    let answer = answer
        .map_err(|error| CliError::call(&format!("runner {text} was not updated"), &error))?;
    let name = &answer.runner.identity.runner_id;
    let (word, result) = if answer.update_started {
        ("is being updated", "updating")
    } else {
        ("was not updated", "unchanged")
    };
    let mut report = Report::new(args.outcome.output);
    let told = Outcome::of("runner", name, result)
        .with("id", answer.runner.id.as_str())
        .with("message", answer.message.as_str());
    let line = format!("runner {name} {word}: {}", answer.message);
    report.tell(told, line, out);
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}
