//! `cwic sandbox run`: a sandbox from its start to its end.
//!
//! ```text
//! asked ─► starting ─► attached ─► over ─► (removed)
//!    └────────┴───────────┴─ signal ─► stopped or removed
//! ```
//!
//! Invariant: once a sandbox was asked for, every way out but `--detach` goes
//! through [`Owned::leave`]. A signal that comes while it is asked for waits for
//! the answer, because a sandbox may exist from then on.

use std::process::ExitCode;
use std::time::Duration;

use palisade_client::{CallError, Command, LogReading, Refused, Sandboxes};
use palisade_wire::proto::v1beta2::{GetSandboxResponse, SandboxStatus, StartSandboxResponse};
use serde_json::Value;
use tokio::time;

use super::session::{self, Outcome};
use super::signals::{Ending, Signals};
use super::waiting::{self, has_begun, is_over};
use super::{logs, request};
use crate::cli::RunArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::printable;

/// How long a sandbox may take to end that is left.
const GRACE: Duration = Duration::from_secs(10);
/// How long it is tried to leave nothing behind.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// How soon it is tried again.
const LEAVE_PAUSE: Duration = Duration::from_millis(500);
/// The codes of a main process that never ran, as shells have them; the reason is
/// in no log then.
const NOT_EXECUTABLE: i32 = 126;
const NO_SUCH_PROGRAM: i32 = 127;
/// How long the end of a sandbox whose output ended may take.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A sandbox that this program has to see to.
#[derive(Debug)]
struct Owned<'a> {
    sandboxes: &'a Sandboxes,
    id: String,
    is_removed: bool,
}

/// Runs a sandbox to its end, or until it runs if it is to be left.
pub(super) async fn run(args: RunArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    session::check(args.session)?;
    let mut signals = Signals::listen()?;
    let start = Box::pin(start(&args, sandboxes, &mut signals));
    let (started, early) = out.during("asking for a sandbox", start).await?;
    let owned = Owned {
        sandboxes,
        id: started.sandbox_id,
        is_removed: args.rm,
    };
    let ended = match early {
        Some(ending) => Ok(Outcome::Ended(ending)),
        None => owned.attach(&args, &mut signals, out).await,
    };
    match &ended {
        Ok(Outcome::Exit(0)) if args.detach => {
            out.line(&owned.id);
            return Ok(ExitCode::SUCCESS);
        }
        _ => owned.leave(&ended, &mut signals, out).await,
    }
    ended.map(Outcome::exit_code)
}

/// Asks for the sandbox, and returns a signal that came meanwhile.
async fn start(
    args: &RunArgs,
    sandboxes: &Sandboxes,
    signals: &mut Signals,
) -> Result<(StartSandboxResponse, Option<Ending>), CliError> {
    let mut asked = std::pin::pin!(sandboxes.start(request::start(args)));
    let (answer, early) = tokio::select! {
        answer = &mut asked => (answer, None),
        ending = signals.next() => (asked.await, Some(ending)),
    };
    match answer {
        Ok(started) => Ok((started, early)),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &CallError) -> CliError {
    let failure = failed("no sandbox was started", error);
    let CallError::Refused(refused) = error else {
        return failure;
    };
    match refused.metadata("closest").and_then(request::closest) {
        Some(closest) => failure.next(closest),
        None if is_without_image(refused) => failure.next("name an image: --image IMAGE"),
        None => failure,
    }
}

/// Whether the candidate that came closest has no image.
fn is_without_image(refused: &Refused) -> bool {
    let violations = refused.metadata("violations").unwrap_or_default();
    let violations: Vec<Value> = serde_json::from_str(violations).unwrap_or_default();
    let first = violations.first();
    first.is_some_and(|violation| violation["constraint"] == "image")
}

impl Owned<'_> {
    /// Everything up to the end; waiting for it ends with a signal.
    async fn attach(
        &self,
        args: &RunArgs,
        signals: &mut Signals,
        out: &mut Out,
    ) -> Result<Outcome, CliError> {
        let seen = tokio::select! {
            seen = waiting::until(self.sandboxes, &self.id, has_begun) => seen?,
            ending = signals.next() => return Ok(Outcome::Ended(ending)),
        };
        let is_talked_to = args.session.interactive || args.session.terminal;
        if args.detach || is_talked_to {
            self.check_running(&seen, is_talked_to)?;
        }
        if args.detach {
            return Ok(Outcome::Exit(0));
        }
        if is_talked_to {
            return self.talk(args, signals).await;
        }
        tokio::select! {
            ended = self.follow(out) => ended,
            ending = signals.next() => Ok(Outcome::Ended(ending)),
        }
    }

    fn check_running(&self, seen: &GetSandboxResponse, is_idle: bool) -> Result<(), CliError> {
        if !is_over(seen.sandbox_status()) {
            return Ok(());
        }
        // A command that was left and has ended well did what it was asked to.
        if !is_idle && seen.sandbox_status() == SandboxStatus::Completed {
            return Ok(());
        }
        let failure = self.failed(seen);
        Err(if is_idle {
            failure.next("without -i and -t the command itself is the main process; those need /bin/sh in the image")
        } else {
            failure
        })
    }

    fn failed(&self, seen: &GetSandboxResponse) -> CliError {
        let what = format!("sandbox {} did not run", self.id);
        let reason = match (seen.status_reason.as_str(), seen.exit_code) {
            ("", Some(code)) => format!("its main process ended with {code}"),
            ("", None) => "the server does not say why".to_owned(),
            (reason, _) => printable(reason),
        };
        let failure = CliError::new(Exit::Failure, what).because(reason);
        failure.next(if self.is_removed {
            "start it without --rm, and look at its log".to_owned()
        } else {
            format!("look at its log: cwic sandbox logs {}", self.id)
        })
    }

    /// Runs the command beside an idle main process.
    async fn talk(&self, args: &RunArgs, signals: &mut Signals) -> Result<Outcome, CliError> {
        let words = if args.command.is_empty() {
            vec!["/bin/sh".to_owned()]
        } else {
            args.command.clone()
        };
        let command = Command {
            words,
            ..Command::default()
        };
        session::run(self.sandboxes, &self.id, command, args.session, signals).await
    }

    /// Prints what the main process writes, up to its end.
    async fn follow(&self, out: &mut Out) -> Result<Outcome, CliError> {
        let reading = LogReading {
            follows: true,
            ..LogReading::default()
        };
        let printed = logs::print(self.sandboxes, &self.id, &reading, out).await;
        match printed {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            // Without a main process there is no log, and a reason for it.
            Err(error) => {
                let seen = self.sandboxes.get(&self.id).await;
                let seen = seen.ok().filter(|seen| is_over(seen.sandbox_status()));
                return Err(seen.map_or(error, |seen| self.failed(&seen)));
            }
        }
        let over = waiting::until(self.sandboxes, &self.id, is_over);
        let over = time::timeout(END_LIMIT, over).await.map_err(|_| {
            CliError::new(
                Exit::TimedOut,
                "the end of the sandbox was not told in time",
            )
            .next(format!("look again: cwic sandbox get {}", self.id))
        })??;
        match over.exit_code {
            Some(code) => {
                // A program that ended by itself has its say in the log.
                let is_told = matches!(code, NOT_EXECUTABLE | NO_SUCH_PROGRAM)
                    || over.sandbox_status() != SandboxStatus::Completed;
                if is_told && !over.status_reason.is_empty() {
                    out.note(printable(&over.status_reason));
                }
                Ok(Outcome::Exit(code))
            }
            None if over.sandbox_status() == SandboxStatus::Completed => Ok(Outcome::Exit(0)),
            None => Err(self.failed(&over)),
        }
    }

    /// Leaves nothing that nobody knows of: removes the sandbox, or has it stop.
    /// Another signal ends the attempt, unless it is the terminal's end.
    async fn leave(&self, ended: &Result<Outcome, CliError>, signals: &mut Signals, out: &mut Out) {
        let left = tokio::select! {
            left = time::timeout(LEAVE_LIMIT, self.remove_or_stop()) => left.unwrap_or(false),
            _ = signals.haste() => false,
        };
        let id = &self.id;
        if !left {
            out.error(
                &CliError::new(Exit::Failure, format!("sandbox {id} may still run"))
                    .because("the server did not take in time that it is to end")
                    .next(format!("end it: cwic sandbox rm {id} --yes")),
            );
        } else if !self.is_removed && !matches!(ended, Ok(Outcome::Exit(_))) {
            out.note(format_args!(
                "sandbox {id} is left; its log: cwic sandbox logs {id}"
            ));
        }
    }

    async fn remove_or_stop(&self) -> bool {
        loop {
            let done = if self.is_removed {
                self.sandboxes.delete(&self.id).await
            } else {
                self.sandboxes.stop(&self.id, GRACE).await
            };
            match done {
                Ok(()) => return true,
                Err(CallError::Refused(refused)) if refused.retry_after().is_none() => {
                    // What is not there any more needs no end.
                    return refused.http_status() == 404;
                }
                Err(_) => time::sleep(LEAVE_PAUSE).await,
            }
        }
    }
}
