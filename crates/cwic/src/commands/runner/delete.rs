//! `cwic sandbox runner delete`: refused while sandboxes live there, unless they
//! are to end with it.

use std::process::ExitCode;

use palisade_client::{Change, Client};

use crate::cli::ConfirmArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::CliError;
use crate::out::Out;

/// Runs the command.
pub(in crate::commands) async fn run(
    text: &str,
    is_forced: bool,
    args: ConfirmArgs,
    (client, out): (&Client, &mut Out),
) -> Ended {
    let also = if is_forced {
        " and end all its sandboxes"
    } else {
        ""
    };
    confirm(args, &format!("Delete runner {text}{also}?"), out)?;
    let left = client
        .delete_runner(text, is_forced, &Change::default())
        .await;
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
