//! `cwic sandbox runner delete`: refused while sandboxes live there, unless they
//! are to end with it.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use crate::cli::DeleteRunnerArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::CliError;
use crate::out::Out;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &DeleteRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let DeleteRunnerArgs {
        runner: text,
        force,
        confirm: asking,
    } = args;
    let also = if *force {
        " and end all its sandboxes"
    } else {
        ""
    };
    confirm(*asking, &format!("Delete runner {text}{also}?"), out).await?;
    let left = client.delete_runner(text, *force, &Change::default()).await;
    let left =
        left.map_err(|error| CliError::call(&format!("runner {text} was not deleted"), &error))?;
    match left {
        None => out.line(format_args!("runner {text} deleted")),
        Some(_) => out.line(format_args!(
            "runner {text} is being deleted: its sandboxes are ended first"
        )),
    }
    Ok(ExitCode::SUCCESS)
}
