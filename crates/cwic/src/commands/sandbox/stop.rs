//! `cwic sandbox stop`: each sandbox is asked by itself, then all are waited for.
//!
//! The server sees to the end of a sandbox once that is recorded: whoever
//! interrupts the waiting does not interrupt the stop.

use std::process::ExitCode;

use palisade_client::Sandboxes;
use palisade_wire::proto::v1beta2::GetSandboxResponse;
use tokio::time::{self, Instant};

use super::waiting::{self, is_over};
use crate::cli::StopArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::outcome::{Outcome, Report};
use crate::present::sandbox::status_word;

/// Stops all of them; the exit code is that of the first that did not.
pub(super) async fn run(args: &StopArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let mut report = Report::new(args.outcome.output);
    let mut first = None;
    let mut fail = |id: &str, result, failure: &CliError, report: &mut Report, out: &mut Out| {
        report.fail(Outcome::of("sandbox", id, result), failure, out);
        first.get_or_insert(failure.exit());
    };
    let mut asked = Vec::new();
    for id in &args.ids {
        let stop = sandboxes.stop(id, args.grace);
        match out.during(&format!("stopping {id}"), stop).await {
            Ok(()) => asked.push(id.as_str()),
            Err(error) => {
                let failure = failed(&format!("sandbox {id} was not stopped"), &error);
                fail(id, "refused", &failure, &mut report, out);
            }
        }
    }
    let deadline = Instant::now() + args.grace.saturating_add(args.timeout);
    for id in asked {
        if args.no_wait {
            let line = format!("sandbox {id} stopping");
            report.tell(Outcome::of("sandbox", id, "stopping"), line, out);
            continue;
        }
        match end_of(id, deadline, sandboxes).await {
            Ok(seen) => {
                let line = format!("sandbox {id} stopped");
                report.tell(stopped(id, seen.as_ref()), line, out);
            }
            Err(failure) => fail(id, "stopping", &failure, &mut report, out),
        }
    }
    report.finish(out);
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}

fn stopped(id: &str, seen: Option<&GetSandboxResponse>) -> Outcome {
    let outcome = Outcome::of("sandbox", id, "stopped");
    match seen {
        None => outcome,
        Some(seen) => outcome
            .with("status", status_word(seen.sandbox_status()))
            .with("exitCode", seen.exit_code),
    }
}

/// Waits for the end of a sandbox; `None` if it was removed meanwhile.
async fn end_of(
    id: &str,
    deadline: Instant,
    sandboxes: &Sandboxes,
) -> Result<Option<GetSandboxResponse>, CliError> {
    let over = waiting::until(sandboxes, id, is_over);
    match time::timeout_at(deadline, over).await {
        Ok(Ok(seen)) => Ok(Some(seen)),
        Ok(Err(error)) if error.exit() == Exit::NotFound => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(
            CliError::new(Exit::TimedOut, format!("sandbox {id} is still stopping"))
                .because("it was not over in time; the server goes on with it")
                .next(format!("look again: cwic sandbox get {id}")),
        ),
    }
}
