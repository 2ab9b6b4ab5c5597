//! `cwic sandbox stop`: each sandbox is asked by itself.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::cli::StopArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;

/// Asks all of them; the exit code is that of the first that was not asked.
pub(super) async fn run(args: &StopArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let mut first = None;
    for id in &args.ids {
        match sandboxes.stop(id, args.grace).await {
            Ok(()) => out.line(format_args!("sandbox {id} stopping")),
            Err(error) => {
                let failure = failed(&format!("sandbox {id} was not stopped"), &error);
                out.error(&failure);
                first.get_or_insert(failure.exit());
            }
        }
    }
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}
