//! `cwic sandbox runner undrain`: keeps a runner that is being deleted after a
//! drain, as long as the end of the drain has not come.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_wire::rest::InstallStatus;

use crate::cli::UndrainRunnerArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &UndrainRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let text = &args.runner;
    let before = out
        .during("waiting for the server", super::find(text, client))
        .await?;
    let kept = out
        .during("waiting for the server", client.undrain_runner(text))
        .await;
    let kept = kept.map_err(|error| {
        CliError::call(&format!("the drain of {text} was not taken back"), &error)
    })?;
    let name = &kept.identity.runner_id;
    let (result, line) = match before.install_status {
        InstallStatus::Deleting => ("configured", format!("runner {name} takes sandboxes again")),
        InstallStatus::Pending | InstallStatus::Ready | InstallStatus::Unknown => {
            ("unchanged", format!("runner {name} was not being deleted"))
        }
    };
    let mut report = Report::new(args.outcome.output);
    let told = Outcome::of("runner", name, result).with("id", kept.id.as_str());
    report.tell(told, line, out);
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}
