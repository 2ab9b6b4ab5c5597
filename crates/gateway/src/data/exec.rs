//! A command whose input and output are streamed.
//!
//! ```text
//! init ─► (sandbox reached) ─► ready ─► output … ─► exit | error
//!   │        └─► status          ▲
//!   └─ resume ─► (session) ──────┘ without ready; what may be lost once more
//!                    └─► error
//! ```
//!
//! Inputs: the client's frames, what comes out of the command. It ends with the
//! command, with the first frame that has no place where it came, or when the
//! client leaves; then the command is killed with all that it started, because
//! its [`Command`] is dropped. Only a client that was cut off without a word may
//! come back: its command stays for a while, see [`sessions`]. The end of the
//! client's frames is the end of input and never a cancellation.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use palisade_backend::{AttachError, Exec, ExecInput, ExecSpec};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{
    ExecRunning, ExecStart, exec_error, exec_exit, exec_input, exec_output, exec_ready, exec_start,
    init_missing,
};
use tokio::time::{self, Instant};
use tonic::Status;
use tracing::debug;

use super::Means;
use super::answers::{End, Sink};
use super::failure::{
    INVALID_REQUEST, REPLAY_GAP, SESSION_NOT_FOUND, SESSION_TAKEN_OVER, STREAM_BACKPRESSURE,
    STREAM_TRUNCATED, lost_command, not_started,
};
use super::ways::{Way, Ways};
use crate::context::Context;

mod budget;
mod command;
mod replay;
mod sessions;

use command::{Command, Input, LastWord, Output};
pub(super) use sessions::{ExecSessions, Kept};
use sessions::{Handed, Held};

/// How long a client may take for its first frame.
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(30);
/// How long a runner may take to begin: more than its connection allows for a turn,
/// for opening a stream and for the first word in it, each of which tells more.
pub(super) const START_LIMIT: Duration = Duration::from_secs(70);

/// The frames of a client.
type Frame = Result<pb::ExecStreamRequest, Status>;
type ExecEnd = End<pb::ExecStreamResponse>;

/// What one stream works with.
#[derive(Debug)]
pub(super) struct ExecStream<'a> {
    pub(super) means: &'a Means,
    pub(super) ways: &'a dyn Ways,
    pub(super) sessions: &'a ExecSessions,
    pub(super) context: &'a Context,
    pub(super) sink: &'a Sink<pb::ExecStreamResponse>,
}

/// How far a stream carried its command.
#[derive(Debug)]
enum Carried {
    /// To its end.
    Over(LastWord),
    /// Until another stream wanted it.
    Wanted,
    /// Not to its end, which nobody waits for any more.
    Broken(ExecEnd),
}

impl ExecStream<'_> {
    /// Serves the stream to its end.
    ///
    /// The command is in the slot whenever this waits: there it outlives a
    /// client that is cut off.
    pub(super) async fn serve(
        &self,
        frames: impl Stream<Item = Frame>,
        slot: &mut Option<Kept>,
    ) -> ExecEnd {
        let mut frames = pin!(frames);
        let first = first_frame(frames.as_mut(), self.context).await?;
        let start = exec_start(first).map_err(|refusal| self.context.status(&refusal.into()))?;
        let ExecStart { sandbox, running } = start;
        let found = match running {
            ExecRunning::New(spec) => self.begin(&sandbox, spec).await,
            ExecRunning::Resume { session } => self.resume(&sandbox, &session).await,
        };
        let kept = match found {
            Ok(kept) => slot.insert(kept),
            Err(end) => return end,
        };
        let carried = self.carry(frames, kept).await;
        let Some(kept) = slot.take() else {
            return Ok(lost_command(&AttachError::Lost));
        };
        self.conclude(carried, kept)
    }

    /// Starts a command in a new session.
    async fn begin(&self, sandbox: &str, spec: ExecSpec) -> Result<Kept, ExecEnd> {
        let caller = &self.context.caller;
        let way = self.ways.running(caller, sandbox).await;
        let way = way.map_err(|refusal| Err(self.context.status(&refusal)))?;
        let has_terminal = spec.terminal.is_some();
        debug!(sandbox.id = %way.at.id, has_terminal, "running a command");
        let exec = start(&way, spec).await;
        let exec = exec.map_err(|error| not_started(error, &way.at, self.context))?;
        let replay = self.sessions.replay(caller);
        Ok(Kept {
            held: self.sessions.begin(&*self.means.ids, caller, way.at.id),
            sandbox: way.at.id,
            command: Command::new(exec, way.at, has_terminal, replay),
            caller: caller.clone(),
        })
    }

    /// Takes up a command whose stream was lost, or not noticed to be lost yet.
    async fn resume(&self, sandbox: &str, session: &str) -> Result<Kept, ExecEnd> {
        let caller = &self.context.caller;
        let sandbox = sandbox.parse().map_err(|_| Ok(no_session()))?;
        let claimed = self.sessions.claim(session, caller, sandbox).await;
        let (held, handed) = claimed.ok_or_else(|| Ok(no_session()))?;
        let Handed {
            mut command,
            left_at,
        } = handed;
        let output = &mut command.output;
        if output.replay.has_gap(left_at) {
            return Err(Ok(gap(output.last.as_ref())));
        }
        output.replay.rewind();
        debug!(sandbox.id = %sandbox, "a command goes on in another stream");
        Ok(Kept {
            command,
            held,
            sandbox,
            caller: caller.clone(),
        })
    }

    /// Whichever ends first ends the other: input that is lost then was meant
    /// for a command that has ended, output for one that is killed.
    async fn carry(&self, frames: impl Stream<Item = Frame> + Unpin, kept: &mut Kept) -> Carried {
        let Kept { command, held, .. } = kept;
        let Command {
            at: _,
            input,
            output,
        } = command;
        tokio::select! {
            carried = self.pass_on(output, held) => carried,
            end = feed(frames, input) => Carried::Broken(end),
            () = held.asked() => Carried::Wanted,
        }
    }

    fn conclude(&self, carried: Carried, kept: Kept) -> ExecEnd {
        let is_started = kept.command.output.is_started;
        match carried {
            Carried::Over(LastWord::Lost(error)) if !is_started => {
                not_started(error, &kept.command.at, self.context)
            }
            Carried::Over(last) => {
                self.sessions.over(kept);
                Ok(told(&last))
            }
            Carried::Wanted => {
                let Kept { command, held, .. } = kept;
                let left_at = Instant::now();
                held.give(Handed { command, left_at });
                let text = "the session goes on in another stream, which took it over";
                Ok(exec_error(SESSION_TAKEN_OVER, text.to_owned()))
            }
            Carried::Broken(end) => end,
        }
    }

    /// Hands on what waits of the output; whether the client took it.
    async fn hand_over(&self, output: &mut Output) -> bool {
        while let Some(piece) = output.replay.next() {
            let frame = exec_output(piece.kind, piece.data.clone(), piece.at);
            if !self.sink.send_within(frame, self.means.unread_max).await {
                return false;
            }
            output.replay.pass(Instant::now());
        }
        true
    }

    /// Hands on what comes out of the command, each piece as it was read.
    async fn pass_on(&self, output: &mut Output, held: &Held) -> Carried {
        loop {
            if output.is_started && !output.is_announced {
                output.is_announced = true;
                let ready = exec_ready(self.means.clock.now(), held.name().to_owned());
                self.sink.send(ready).await;
            }
            if !self.hand_over(output).await {
                return Carried::Broken(Ok(unread(self.means.unread_max)));
            }
            if let Some(last) = &output.last {
                return Carried::Over(last.clone());
            }
            output.step(&*self.means.clock).await;
        }
    }
}

/// The last frame of a command that came to an end.
fn told(last: &LastWord) -> pb::ExecStreamResponse {
    match last {
        LastWord::Exit(exit, at) => exec_exit(*exit, *at),
        LastWord::Lost(error) => lost_command(error),
    }
}

/// The last frame for a client that has not read for so long that it is not
/// waited for any more.
fn unread(limit: Duration) -> pb::ExecStreamResponse {
    let text = format!(
        "nobody read the output for {} s; the command was killed, and its output is lost",
        limit.as_secs()
    );
    exec_error(STREAM_BACKPRESSURE, text)
}

/// The deadline of a command passed.
pub(super) fn ran_too_long() -> Refusal {
    let text = "the command ran past the deadline of its call and was killed";
    Refusal::new(Reason::CommandTimeout, text)
}

fn no_session() -> pb::ExecStreamResponse {
    let text = "there is no such session of yours in this sandbox, or no longer; \
                its command was ended";
    exec_error(SESSION_NOT_FOUND, text.to_owned())
}

/// The last frame for a client that more was sent to than is kept.
fn gap(last: Option<&LastWord>) -> pb::ExecStreamResponse {
    match last {
        Some(LastWord::Exit(exit, _)) => {
            let text = format!(
                "the command ended with exit code {}, and part of its output is lost",
                exit.0
            );
            exec_error(STREAM_TRUNCATED, text)
        }
        Some(LastWord::Lost(_)) | None => {
            let text = "more output was on its way than is kept for resuming, and part of it may \
                        be lost; the command was killed";
            exec_error(REPLAY_GAP, text.to_owned())
        }
    }
}

/// The frame that every stream begins with.
pub(super) async fn first_frame<T>(
    mut frames: impl Stream<Item = Result<T, Status>> + Unpin,
    context: &Context,
) -> Result<T, Status> {
    let refused = || context.status(&init_missing().into());
    match time::timeout(INIT_LIMIT, frames.next()).await {
        Ok(Some(frame)) => frame,
        Ok(None) | Err(_) => Err(refused()),
    }
}

async fn start(way: &Way, spec: ExecSpec) -> Result<Exec, AttachError> {
    let begun = time::timeout(START_LIMIT, way.attach.exec(way.at.id, spec)).await;
    begun.unwrap_or(Err(AttachError::Lost))
}

/// Hands on what the client sends; pending for ever once it has said all.
async fn feed(mut frames: impl Stream<Item = Frame> + Unpin, input: &mut Input) -> ExecEnd {
    input.flush().await;
    while let Some(frame) = frames.next().await {
        let taken = match exec_input(frame?) {
            Ok(taken) => taken,
            Err(error) => return Ok(misplaced(error.to_string())),
        };
        match taken {
            ExecInput::Stdin(_) if input.is_closed => {
                return Ok(misplaced("stdin was sent after close".to_owned()));
            }
            ExecInput::Close if input.is_closed => {}
            ExecInput::Close => {
                input.is_closed = true;
                input.hand_on(ExecInput::Close).await;
            }
            ExecInput::Resize(_) if !input.has_terminal => {
                return Ok(misplaced(
                    "resize was sent to a command without a terminal".to_owned(),
                ));
            }
            // Clients have no frame for a signal.
            taken @ (ExecInput::Stdin(_) | ExecInput::Resize(_) | ExecInput::Signal(_)) => {
                input.hand_on(taken).await;
            }
        }
    }
    if !input.is_closed {
        input.is_closed = true;
        input.hand_on(ExecInput::Close).await;
    }
    std::future::pending().await
}

fn misplaced(text: String) -> pb::ExecStreamResponse {
    exec_error(INVALID_REQUEST, text)
}
