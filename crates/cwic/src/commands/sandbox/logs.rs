//! `cwic sandbox logs`: what the main process wrote.
//!
//! A stream that is lost is opened again behind the last byte that was printed:
//! by the session that the server keeps for a while, or, if it knows that no
//! more, by the instant of the last piece. For a minute nothing may come of
//! that; then it is a failure.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use palisade_client::{CallError, LogPiece, LogPlace, LogReading, Logs, Sandboxes};
use palisade_model::clock::Timestamp;
use tokio::io::Stdout;
use tokio::time::{self, Instant as Moment};

use super::session::{Outcome, Sink, unwritten};
use super::signals::Signals;
use crate::cli::LogsArgs;
use crate::clock;
use crate::commands::Ended;
use crate::commands::sandbox::failure::{failed, may_pass};
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::words::Instant;

/// How long it is tried to go on with a log whose stream was lost.
const PATIENCE: Duration = Duration::from_mins(1);
/// How soon, at first and at last.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LAST: Duration = Duration::from_secs(5);
/// A session that the server does not know any more.
const FORGOTTEN: &str = "SESSION_NOT_FOUND";

/// Prints the log, and goes on if that is wanted.
pub(super) async fn run(args: &LogsArgs, sandboxes: &Sandboxes, out: &mut Out) -> Ended {
    let reading = LogReading {
        follows: args.follow,
        tail_lines: args.tail,
        since: args.since.map(|since| match since {
            Instant::Ago(ago) => clock::ago(ago),
            Instant::At(at) => at,
        }),
        has_timestamps: args.timestamps,
        resume: None,
    };
    let mut signals = Signals::listen()?;
    tokio::select! {
        outcome = print(sandboxes, &args.sandbox.id, &reading, out) => match outcome? {
            None | Some(Outcome::Exit(_)) => Ok(ExitCode::SUCCESS),
            Some(other) => Ok(other.exit_code()),
        },
        ending = signals.next() => Ok(ending.exit_code()),
    }
}

/// Prints a log to its end; an outcome if it was left before.
pub(super) async fn print(
    sandboxes: &Sandboxes,
    id: &str,
    reading: &LogReading,
    out: &mut Out,
) -> Result<Option<Outcome>, CliError> {
    let logs = sandboxes.logs(id, reading).await;
    let logs = logs.map_err(|error| failed("the log was not read", &error))?;
    let mut printing = Printing {
        sandboxes,
        id,
        reading: reading.clone(),
        stdout: Sink::new(tokio::io::stdout(), io::stdout().is_terminal(), false),
        printed: Printed::default(),
        skipped: 0,
    };
    let ended = printing.all(logs, out).await;
    let _ = printing.stdout.finish().await;
    ended
}

/// A log on its way to standard output.
struct Printing<'a> {
    sandboxes: &'a Sandboxes,
    id: &'a str,
    reading: LogReading,
    stdout: Sink<Stdout>,
    printed: Printed,
    /// What is still to be left out, because it was printed already.
    skipped: u64,
}

/// How far the printing has come.
#[derive(Debug, Default)]
struct Printed {
    place: Option<LogPlace>,
    /// How many bytes have the instant of the last ones.
    at_instant: u64,
}

/// Why a stream ended.
enum Cut {
    /// All was read, or nobody reads what is printed.
    Done(Option<Outcome>),
    /// The connection was lost, which may pass.
    Lost(CallError),
    /// The server does not know any more how far it was.
    Forgotten,
}

impl Printing<'_> {
    async fn all(&mut self, mut logs: Logs, out: &mut Out) -> Result<Option<Outcome>, CliError> {
        loop {
            match self.stream(&mut logs).await? {
                Cut::Done(outcome) => return Ok(outcome),
                Cut::Forgotten => self.begin_at_instant(out),
                Cut::Lost(error) => {
                    self.reading.resume.clone_from(&self.printed.place);
                    logs = self.reopen(error, out).await?;
                    continue;
                }
            }
            let opened = self.sandboxes.logs(self.id, &self.reading).await;
            logs = match opened {
                Ok(logs) => logs,
                Err(error) if may_pass(&error) => self.reopen(error, out).await?,
                Err(error) => return Err(failed("the log was cut off", &error)),
            };
        }
    }

    /// Prints one stream to its end.
    async fn stream(&mut self, logs: &mut Logs) -> Result<Cut, CliError> {
        loop {
            let data = match logs.next().await {
                Ok(LogPiece::Data(data)) => data,
                Ok(LogPiece::End) => return Ok(Cut::Done(None)),
                Ok(LogPiece::Failed { code, .. })
                    if code == FORGOTTEN && self.reading.resume.is_some() =>
                {
                    return Ok(Cut::Forgotten);
                }
                Ok(LogPiece::Failed { code: _, message }) => {
                    let what = "the log could not be read to its end";
                    return Err(CliError::new(Exit::Failure, what)
                        .because(message)
                        .next(format!("read what is there: cwic sandbox logs {}", self.id)));
                }
                Err(error) if may_pass(&error) => return Ok(Cut::Lost(error)),
                Err(error) if self.printed.place.is_none() => {
                    return Err(failed("the log was not read", &error));
                }
                Err(error) => return Err(failed("the log was cut off", &error)),
            };
            self.printed.advance(logs.place(), data.len() as u64);
            let data = self.behind_skipped(data);
            if let Err(error) = self.stdout.write(&data).await {
                return unwritten(&error).map(|outcome| Cut::Done(Some(outcome)));
            }
        }
    }

    /// What of a piece was not printed yet.
    fn behind_skipped(&mut self, mut data: Bytes) -> Bytes {
        let skipped = self.skipped.min(data.len() as u64);
        self.skipped -= skipped;
        data.advance(usize::try_from(skipped).unwrap_or(data.len()));
        data
    }

    /// Has the next stream begin with the instant of the last bytes, and those
    /// left out.
    fn begin_at_instant(&mut self, out: &mut Out) {
        let Printed { place, at_instant } = std::mem::take(&mut self.printed);
        let at = place.and_then(|place| place.at);
        out.note("the server does not know any more how far the log was read; lines may repeat");
        self.reading = LogReading {
            since: at.or(self.reading.since),
            tail_lines: self.reading.tail_lines.filter(|_| at.is_none()),
            resume: None,
            ..self.reading
        };
        self.skipped = if at.is_some() { at_instant } else { 0 };
    }

    /// Opens the log again, as soon as the server takes it.
    async fn reopen(&self, mut error: CallError, out: &mut Out) -> Result<Logs, CliError> {
        let deadline = Moment::now() + PATIENCE;
        let mut pause = PAUSE_FIRST;
        let mut is_told = false;
        while Moment::now() < deadline {
            time::sleep(pause).await;
            match self.sandboxes.logs(self.id, &self.reading).await {
                Ok(logs) => return Ok(logs),
                Err(again) if may_pass(&again) => error = again,
                Err(last) => return Err(failed("the log was cut off", &last)),
            }
            if !is_told {
                out.note(format_args!("{error}; trying to go on with the log"));
                is_told = true;
            }
            pause = (pause * 2).min(PAUSE_LAST);
        }
        Err(failed("the log was cut off", &error))
    }
}

impl Printed {
    fn advance(&mut self, place: Option<&LogPlace>, bytes: u64) {
        let instant = |place: Option<&LogPlace>| -> Option<Timestamp> { place?.at };
        let is_same = instant(place) == instant(self.place.as_ref());
        self.at_instant = if is_same {
            self.at_instant + bytes
        } else {
            bytes
        };
        self.place = place.cloned();
    }
}
