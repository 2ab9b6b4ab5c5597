//! `cwic sandbox runner delete`: refused while sandboxes live there, unless they
//! are to end with it, at once or after a drain.
//!
//! The server does the work; here is only waited and told how it goes. Whoever
//! interrupts the waiting does not interrupt the deletion.

use std::process::ExitCode;
use std::time::Duration;

use palisade_client::{CallError, Change, Client, Ending};
use palisade_model::reason::Code;
use palisade_wire::rest::Usage;

use crate::cli::DeleteRunnerArgs;
use crate::commands::Ended;
use crate::commands::confirm::confirm;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// How often is looked whether it is gone.
const PERIOD: Duration = Duration::from_secs(1);

/// How much longer than a drain is waited, for sandboxes that take their time to
/// end and for runners that are away.
const SLACK: Duration = Duration::from_mins(7);

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &DeleteRunnerArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let text = &args.runner;
    let ending = match (args.drain, args.force) {
        (Some(most), _) => Ending::Drain(most),
        (None, true) => Ending::Force,
        (None, false) => Ending::Refuse,
    };
    let question = format!("Delete runner {text}{}?", consequence(ending));
    confirm(args.confirm, &question, out).await?;
    let change = Change::default();
    let delete = client.delete_runner(text, ending, &change);
    let left = out.during("waiting for the server", delete).await;
    let left =
        left.map_err(|error| CliError::call(&format!("runner {text} was not deleted"), &error))?;
    let mut report = Report::new(args.outcome.output);
    if left.is_some() && args.no_wait {
        let line = format!("runner {text} is being deleted{}", consequence(ending));
        report.tell(Outcome::of("runner", text, "deleting"), line, out);
    } else {
        if left.is_some() {
            wait(text, ending, client, out).await?;
        }
        let line = format!("runner {text} deleted");
        report.tell(Outcome::of("runner", text, "deleted"), line, out);
    }
    report.finish(out);
    Ok(ExitCode::SUCCESS)
}

/// What becomes of the sandboxes.
fn consequence(ending: Ending) -> String {
    match ending {
        Ending::Refuse => String::new(),
        Ending::Force => ", ending its sandboxes now".to_owned(),
        Ending::Drain(most) => format!(
            ", taking no new sandboxes, and ending after {} those that have not ended by then",
            words(most)
        ),
    }
}

/// A time in the largest unit that holds it exactly.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units
        .into_iter()
        .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", seconds / size),
        None => format!("{seconds}s"),
    }
}

/// Waits until the runner is gone, and tells how many sandboxes are left.
async fn wait(text: &str, ending: Ending, client: &Client, out: &mut Out) -> Result<(), CliError> {
    let limit = match ending {
        Ending::Drain(most) => most.saturating_add(SLACK),
        Ending::Refuse | Ending::Force => SLACK,
    };
    let gone = tokio::time::timeout(limit, watch(text, client, out)).await;
    gone.unwrap_or_else(|_| {
        let what = format!("runner {text} is still being deleted");
        let error = CliError::new(Exit::TimedOut, what);
        Err(error.next(format!("look again: cwic sandbox runner describe {text}")))
    })
}

async fn watch(text: &str, client: &Client, out: &mut Out) -> Result<(), CliError> {
    let mut told = None;
    loop {
        let Some(usage) = usage(text, client).await? else {
            return Ok(());
        };
        if usage.deleting_since.is_none() {
            let what = format!("runner {text} is kept");
            return Err(CliError::new(Exit::Conflict, what)
                .because("somebody took the drain back")
                .next(format!("look at it: cwic sandbox runner describe {text}")));
        }
        if told != Some(usage.live_sandboxes) {
            tell(text, &usage, told.is_none(), out);
            told = Some(usage.live_sandboxes);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What lives on the runner; `None` once it is gone.
async fn usage(text: &str, client: &Client) -> Result<Option<Usage>, CliError> {
    match client.runner_usage(text).await {
        Ok(usage) => Ok(Some(usage)),
        Err(CallError::Refused(refused)) if refused.code() == Some(Code::NotFound) => Ok(None),
        Err(error) => {
            let what = format!("runner {text} is being deleted, but was not watched");
            Err(CliError::call(&what, &error))
        }
    }
}

fn tell(text: &str, usage: &Usage, is_first: bool, out: &mut Out) {
    let left = usage.live_sandboxes;
    let plural = if left == 1 { "" } else { "es" };
    let until = usage.drain_until.as_ref().filter(|_| is_first);
    let until = until.map(|at| {
        format!(", which may take until {at}; take it back: cwic sandbox runner undrain {text}")
    });
    out.note(format_args!(
        "runner {text} waits for {left} sandbox{plural} to end{}",
        until.unwrap_or_default()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        let told = [0, 59, 60, 90, 7200, 86_400].map(|s| words(Duration::from_secs(s)));
        assert_eq!(told, ["0s", "59s", "1m", "90s", "2h", "1d"]);
    }
}
