//! A command in a sandbox, connected to the streams of this program.
//!
//! Inputs: standard input, the size of the terminal, signals. It ends with the
//! command, with a signal, or when nobody reads the output any more; in the last
//! two cases the command is killed, because its [`Exec`] is dropped. A terminal
//! is given back in every case.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use bytes::{Bytes, BytesMut};
use palisade_client::{Command, Exec, ExecEvent, ExecInput, ExecOutput, Sandboxes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use super::filter::Filter;
use super::signals::{Ending, Signals};
use super::terminal::{self, Raw};
use crate::cli::SessionArgs;
use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};

/// How much is read of standard input at once.
const INPUT_BYTES: usize = 256 * 1024;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command ended with this code.
    Exit(i32),
    /// This program was asked to end.
    Ended(Ending),
    /// Nobody reads what the command writes.
    Unread,
}

impl Outcome {
    /// What this program ends with.
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            // Beyond what a process can end with there is nothing to pass on.
            Self::Exit(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
            Self::Ended(ending) => ending.exit_code(),
            // Whoever closed the pipe has read enough.
            Self::Unread => ExitCode::SUCCESS,
        }
    }
}

/// Whether what was asked for can be had.
pub(super) fn check(session: SessionArgs) -> Result<(), CliError> {
    if session.terminal && session.interactive && !terminal::is_input() {
        return Err(
            CliError::new(Exit::Usage, "the command cannot be given a terminal")
                .because("standard input is no terminal")
                .next("leave out -t"),
        );
    }
    Ok(())
}

/// Runs a command to its end.
pub(super) async fn run(
    sandboxes: &Sandboxes,
    id: &str,
    mut command: Command,
    session: SessionArgs,
    signals: &mut Signals,
) -> Result<Outcome, CliError> {
    if session.terminal {
        command.terminal = Some(terminal::size());
        command
            .environment
            .entry("TERM".to_owned())
            .or_insert_with(terminal::kind);
    }
    let not_run = |error| failed("the command was not run", &error);
    let exec = tokio::select! {
        exec = sandboxes.exec(id, command) => exec.map_err(not_run)?,
        ending = signals.next() => return Ok(Outcome::Ended(ending)),
    };
    let is_raw = session.terminal && session.interactive;
    // Not before the command was asked for: what fails until then is told on a
    // terminal as it was.
    let raw = is_raw.then(Raw::enter).transpose().map_err(|error| {
        CliError::new(Exit::Failure, "the terminal cannot be used").because(error.to_string())
    })?;
    let outcome = drive(exec, session, signals).await;
    drop(raw);
    outcome
}

async fn drive(
    exec: Exec,
    session: SessionArgs,
    signals: &mut Signals,
) -> Result<Outcome, CliError> {
    let Exec { input, output } = exec;
    tokio::select! {
        outcome = pass_output(output, session.terminal) => outcome,
        ending = signals.next() => Ok(Outcome::Ended(ending)),
        never = pass_size(input.clone(), session.terminal) => never,
        never = pass_input(input, session.interactive) => never,
    }
}

/// Passes on what the command writes, up to its end.
async fn pass_output(mut output: ExecOutput, has_terminal: bool) -> Result<Outcome, CliError> {
    let mut stdout = Sink::new(
        tokio::io::stdout(),
        io::stdout().is_terminal(),
        has_terminal,
    );
    let mut stderr = Sink::new(
        tokio::io::stderr(),
        io::stderr().is_terminal(),
        has_terminal,
    );
    let mut what = "the command was not run";
    loop {
        let event = output.next().await;
        let event = event.map_err(|error| failed(what, &error))?;
        let written = match event {
            ExecEvent::Started => {
                what = "the command was cut off";
                Ok(())
            }
            ExecEvent::Stdout(data) => stdout.write(&data).await,
            ExecEvent::Stderr(data) => stderr.write(&data).await,
            ExecEvent::Exit(code) => {
                let _ = tokio::join!(stdout.finish(), stderr.finish());
                return Ok(Outcome::Exit(code));
            }
            ExecEvent::Failed { code, message } => {
                let _ = tokio::join!(stdout.finish(), stderr.finish());
                return Err(not_followed(&code, message));
            }
        };
        if let Err(error) = written {
            return unwritten(&error);
        }
    }
}

fn not_followed(code: &str, message: String) -> CliError {
    let what = if code == "EXEC_FAILED" {
        "the command could not be started"
    } else {
        "the command could not be followed to its end"
    };
    CliError::new(Exit::Failure, what)
        .because(message)
        .next("look at the sandbox: cwic sandbox describe SANDBOX-ID")
}

/// What to make of output that could not be written.
pub(super) fn unwritten(error: &io::Error) -> Result<Outcome, CliError> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(Outcome::Unread);
    }
    let what = "the output could not be written in full";
    Err(CliError::new(Exit::Failure, what)
        .because(error.to_string())
        .next("make room, or write it elsewhere"))
}

/// Where output goes.
#[derive(Debug)]
pub(super) struct Sink<W> {
    writer: W,
    /// For a terminal that is not the command's own.
    filter: Option<Filter>,
}

impl<W: AsyncWrite + Unpin> Sink<W> {
    /// Writes there, through a filter if it is a terminal that is not lent.
    pub(super) fn new(writer: W, is_terminal: bool, is_lent: bool) -> Self {
        let filter = (is_terminal && !is_lent).then(Filter::default);
        Self { writer, filter }
    }

    /// Writes at once all that can be.
    pub(super) async fn write(&mut self, data: &Bytes) -> io::Result<()> {
        match &mut self.filter {
            Some(filter) => self.writer.write_all(&filter.pass(data)).await?,
            None => self.writer.write_all(data).await?,
        }
        self.writer.flush().await
    }

    /// Writes what was held back.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        if let Some(filter) = &mut self.filter {
            self.writer.write_all(&filter.finish()).await?;
        }
        self.writer.flush().await
    }
}

/// Passes standard input on; never ends, as the end of input is not that of the
/// command.
async fn pass_input(input: ExecInput, is_passed: bool) -> Result<Outcome, CliError> {
    if is_passed {
        pass_all(tokio::io::stdin(), &input).await;
    }
    let _ = input.close().await;
    std::future::pending().await
}

/// Input that cannot be read has ended; a command that takes none has ended, or
/// its output tells why.
pub(super) async fn pass_all(mut from: impl AsyncRead + Unpin, input: &ExecInput) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(INPUT_BYTES);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if input.write(buffer.split().freeze()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Tells the size of the terminal whenever it changes; never ends.
async fn pass_size(input: ExecInput, has_terminal: bool) -> Result<Outcome, CliError> {
    if has_terminal && let Ok(mut changes) = signal(SignalKind::window_change()) {
        // It may have changed before it was listened to.
        let mut told = None;
        loop {
            let size = terminal::size();
            if told != Some(size) && input.resize(size).await.is_err() {
                break;
            }
            told = Some(size);
            if changes.recv().await.is_none() {
                break;
            }
        }
    }
    drop(input);
    std::future::pending().await
}
