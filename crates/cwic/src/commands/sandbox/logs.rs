//! `cwic sandbox logs`: what the main process wrote.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use palisade_client::{LogPiece, LogReading, Logs, Sandboxes};

use super::session::{Outcome, Sink, unwritten};
use super::signals::Signals;
use crate::cli::LogsArgs;
use crate::clock;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};
use crate::words::Instant;

/// Prints the log, and goes on if that is wanted.
pub(super) async fn run(args: &LogsArgs, sandboxes: &Sandboxes) -> Ended {
    let reading = LogReading {
        follows: args.follow,
        tail_lines: args.tail,
        since: args.since.map(|since| match since {
            Instant::Ago(ago) => clock::ago(ago),
            Instant::At(at) => at,
        }),
        has_timestamps: args.timestamps,
    };
    let mut signals = Signals::listen()?;
    tokio::select! {
        outcome = print(sandboxes, &args.sandbox.id, &reading) => match outcome? {
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
) -> Result<Option<Outcome>, CliError> {
    let not_read = |error| failed("the log was not read", &error);
    let mut logs: Logs = sandboxes.logs(id, reading).await.map_err(not_read)?;
    let mut stdout = Sink::new(tokio::io::stdout(), io::stdout().is_terminal(), false);
    loop {
        let piece = logs.next().await;
        let piece = piece.map_err(|error| failed("the log was cut off", &error))?;
        let written = match piece {
            LogPiece::Data(data) => stdout.write(&data).await,
            LogPiece::End => {
                let _ = stdout.finish().await;
                return Ok(None);
            }
            LogPiece::Failed { code: _, message } => {
                let _ = stdout.finish().await;
                let what = "the log could not be read to its end";
                return Err(CliError::new(Exit::Failure, what).because(message));
            }
        };
        if let Err(error) = written {
            return unwritten(&error).map(Some);
        }
    }
}
