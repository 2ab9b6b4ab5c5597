//! Commands in a sandbox, with their input and output as streams.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_output::StreamType;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as Sent;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Received;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::failure::{call_error, cut};
use super::{FRAME_BYTES_MAX, FRAMES_MAX, Sandboxes};
use crate::error::CallError;

/// A command to run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; no shell is added.
    pub words: Vec<String>,
    /// Variables on top of those of the sandbox.
    pub environment: BTreeMap<String, String>,
    /// The terminal to give it; pipes without one.
    pub terminal: Option<Terminal>,
}

impl fmt::Debug for Command {
    /// Leaves out what users typed: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("words", &self.words.len())
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// A command that was asked for. Dropping both of its halves kills it.
#[derive(Debug)]
pub struct Exec {
    /// What goes in.
    pub input: ExecInput,
    /// What comes out.
    pub output: ExecOutput,
}

/// What goes into a command. Dropping it is the end of input, and no
/// cancellation.
#[derive(Clone, Debug)]
pub struct ExecInput(mpsc::Sender<pb::ExecStreamRequest>);

/// What comes out of a command. Dropping it kills the command.
#[derive(Debug)]
pub struct ExecOutput {
    answers: Streaming<pb::ExecStreamResponse>,
    server: String,
}

/// The command has ended, or its connection; its output says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes input any more")]
pub struct ClosedInput;

/// What comes out of a command.
#[derive(Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// The command runs.
    Started,
    /// Bytes from standard output, or from the terminal.
    Stdout(Bytes),
    /// Bytes from standard error.
    Stderr(Bytes),
    /// The command ended with this code. Nothing follows.
    Exit(i32),
    /// The command could not be started, or not be followed to its end. Nothing
    /// follows.
    Failed {
        /// What happened, for programs.
        code: String,
        /// What happened, for people.
        message: String,
    },
}

impl fmt::Debug for ExecEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Stdout(data) => write!(f, "Stdout({} bytes)", data.len()),
            Self::Stderr(data) => write!(f, "Stderr({} bytes)", data.len()),
            Self::Exit(code) => write!(f, "Exit({code})"),
            Self::Failed { code, message } => write!(f, "Failed({code}: {message})"),
        }
    }
}

impl Sandboxes {
    /// Runs a command in a sandbox that runs.
    pub async fn exec(&self, id: &str, command: Command) -> Result<Exec, CallError> {
        let Command {
            words,
            environment,
            terminal,
        } = command;
        let size = |side: fn(Terminal) -> u16| terminal.map_or(0, side).into();
        let init = pb::ExecStreamInit {
            sandbox_id: id.to_owned(),
            command: words,
            tty: terminal.is_some(),
            tty_width: size(|terminal| terminal.width),
            tty_height: size(|terminal| terminal.height),
            env: environment.into_iter().collect(),
            resume_session_id: String::new(),
        };
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        let input = ExecInput(frames);
        // The channel is new and empty, so that the first frame always fits.
        let _ = input.0.try_send(frame(Sent::Init(init)));
        let mut streaming = self.streaming();
        let opened = self
            .opened(streaming.stream_exec(ReceiverStream::new(waiting)))
            .await?;
        let output = ExecOutput {
            answers: opened,
            server: self.server.clone(),
        };
        Ok(Exec { input, output })
    }
}

impl ExecInput {
    /// Sends bytes to standard input; waits while the command takes none.
    pub async fn write(&self, mut data: Bytes) -> Result<(), ClosedInput> {
        while !data.is_empty() {
            let data = data.split_to(data.len().min(FRAME_BYTES_MAX));
            self.send(Sent::Stdin(pb::ExecStreamData { data })).await?;
        }
        Ok(())
    }

    /// Says that there is no more input.
    pub async fn close(&self) -> Result<(), ClosedInput> {
        self.send(Sent::Close(pb::ExecStreamClose {})).await
    }

    /// Gives the terminal another size.
    pub async fn resize(&self, size: Terminal) -> Result<(), ClosedInput> {
        let Terminal { width, height } = size;
        let (width, height) = (width.into(), height.into());
        self.send(Sent::Resize(pb::ExecStreamResize { width, height }))
            .await
    }

    async fn send(&self, sent: Sent) -> Result<(), ClosedInput> {
        self.0.send(frame(sent)).await.map_err(|_| ClosedInput)
    }
}

impl ExecOutput {
    /// What comes next. Nothing is lost if this is dropped before it is ready.
    pub async fn next(&mut self) -> Result<ExecEvent, CallError> {
        loop {
            let answer = self.answers.message().await;
            let answer = answer.map_err(|status| call_error(&self.server, status))?;
            let answer = answer.ok_or_else(|| cut(&self.server))?;
            // What only a later version says is passed over.
            if let Some(received) = answer.response {
                return Ok(event(received));
            }
        }
    }
}

fn event(received: Received) -> ExecEvent {
    match received {
        Received::Ready(_) => ExecEvent::Started,
        Received::Output(output) => match output.stream_type() {
            StreamType::Stderr => ExecEvent::Stderr(output.data),
            StreamType::Stdout | StreamType::Unspecified => ExecEvent::Stdout(output.data),
        },
        Received::Exit(exit) => ExecEvent::Exit(exit.exit_code),
        Received::Error(pb::ExecStreamError { message, code }) => {
            ExecEvent::Failed { code, message }
        }
    }
}

fn frame(sent: Sent) -> pb::ExecStreamRequest {
    pb::ExecStreamRequest {
        request: Some(sent),
    }
}
