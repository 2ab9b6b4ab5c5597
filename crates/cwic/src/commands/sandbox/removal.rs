//! `cwic sandbox rm`: each sandbox by itself, after one question for all.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::cli::RemoveArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// Removes all of them; the exit code is that of the first that was not.
pub(super) async fn run(args: &RemoveArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let what = match args.ids.as_slice() {
        [one] => format!("sandbox {one}"),
        many => format!("{} sandboxes ({})", many.len(), many.join(", ")),
    };
    confirm(args.confirm, &format!("Remove {what} for good?"), out).await?;
    let mut report = Report::new(args.outcome.output);
    let mut first = None;
    for id in &args.ids {
        match out
            .during(&format!("removing {id}"), sandboxes.delete(id))
            .await
        {
            Ok(()) => {
                let line = format!("sandbox {id} removed");
                report.tell(Outcome::of("sandbox", id, "removed"), line, out);
            }
            Err(error) => {
                let failure = failed(&format!("sandbox {id} was not removed"), &error);
                report.fail(Outcome::of("sandbox", id, "refused"), &failure, out);
                first.get_or_insert(failure.exit());
            }
        }
    }
    report.finish(out);
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}
