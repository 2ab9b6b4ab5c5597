//! `cwic sandbox rm`: each sandbox by itself, after one question for all.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::cli::RemoveArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;

/// Removes all of them; the exit code is that of the first that was not.
pub(super) async fn run(args: &RemoveArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let what = match args.ids.as_slice() {
        [one] => format!("sandbox {one}"),
        many => format!("{} sandboxes ({})", many.len(), many.join(", ")),
    };
    confirm(args.confirm, &format!("Remove {what} for good?"), out).await?;
    let mut first = None;
    for id in &args.ids {
        match sandboxes.delete(id).await {
            Ok(()) => out.line(format_args!("sandbox {id} removed")),
            Err(error) => {
                let failure = failed(&format!("sandbox {id} was not removed"), &error);
                out.error(&failure);
                first.get_or_insert(failure.exit());
            }
        }
    }
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}
