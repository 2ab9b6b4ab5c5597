//! A command whose input and output are streamed.
//!
//! ```text
//! init ─► (sandbox reached) ─► ready ─► output … ─► exit | error
//!            └─► status
//! ```
//!
//! Inputs: the client's frames, what comes out of the command. It ends with the
//! command, with the first frame that has no place where it came, or when the
//! client leaves; then the command is killed with all that it started, because
//! its [`Exec`] is dropped. The end of the client's frames is the end of input
//! and never a cancellation.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use palisade_backend::{AttachError, Exec, ExecEvent, ExecInput, ExecSpec};
use palisade_model::clock::Timestamp;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{
    OutputKind, exec_error, exec_exit, exec_input, exec_output, exec_ready, exec_start,
    init_missing,
};
use tokio::sync::mpsc;
use tokio::time;
use tonic::Status;
use tracing::debug;

use super::Means;
use super::answers::{End, Sink, frames};
use super::failure::{INVALID_REQUEST, STREAM_BACKPRESSURE, lost_command, not_started};
use super::ways::{Way, Ways};
use crate::context::Context;

/// How long a client may take for its first frame.
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(30);
/// How long a runner may take to begin.
pub(super) const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a command waits for a client that does not read its output. Until
/// then it is only slowed down, and nothing is lost.
pub(super) const UNREAD_LIMIT: Duration = Duration::from_mins(10);
/// Input is handed on in pieces of this size at most, so that the queues on the
/// way hold a bounded number of bytes.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// The frames of a client.
type Frame = Result<pb::ExecStreamRequest, Status>;

/// What one stream works with.
#[derive(Debug)]
pub(super) struct ExecStream<'a> {
    pub(super) means: &'a Means,
    pub(super) ways: &'a dyn Ways,
    pub(super) context: &'a Context,
    pub(super) sink: &'a Sink<pb::ExecStreamResponse>,
}

impl ExecStream<'_> {
    /// Serves the stream to its end.
    pub(super) async fn serve(
        &self,
        frames: impl Stream<Item = Frame>,
    ) -> End<pb::ExecStreamResponse> {
        let mut frames = pin!(frames);
        let refused = |refusal| self.context.status(&refusal);
        let first = first_frame(frames.as_mut(), self.context).await?;
        let start = exec_start(first).map_err(|refusal| refused(refusal.into()))?;
        let way = self.ways.running(&self.context.caller, &start.sandbox);
        let way = way.await.map_err(refused)?;
        let has_terminal = start.spec.terminal.is_some();
        debug!(sandbox.id = %way.id, has_terminal, "running a command");
        let Exec { input, events } = match begin(&way, start.spec).await {
            Ok(exec) => exec,
            Err(error) => return not_started(error, self.context),
        };
        // Whichever ends first ends the other: input that is lost then was
        // meant for a command that has ended, output for one that is killed.
        tokio::select! {
            end = self.pass_on(events) => end,
            end = feed(frames, input, has_terminal) => end,
        }
    }

    /// Hands on what comes out of the command, each piece as it was read.
    async fn pass_on(&self, mut events: mpsc::Receiver<ExecEvent>) -> End<pb::ExecStreamResponse> {
        let (mut is_ready, mut is_read) = (false, true);
        while let Some(event) = events.recv().await {
            let now = self.means.clock.now();
            match event {
                ExecEvent::Started => {
                    is_ready = true;
                    let session = self.means.ids.uuid().to_string();
                    self.sink.send(exec_ready(now, session)).await;
                }
                ExecEvent::Stdout(data) => {
                    is_read = self.output(OutputKind::Stdout, data, now).await;
                }
                ExecEvent::Stderr(data) => {
                    is_read = self.output(OutputKind::Stderr, data, now).await;
                }
                ExecEvent::Exit(exit) => return Ok(exec_exit(exit, now)),
                ExecEvent::Failed(error) if is_ready => return Ok(lost_command(&error)),
                ExecEvent::Failed(error) => return not_started(error, self.context),
            }
            if !is_read {
                return Ok(unread());
            }
        }
        Ok(lost_command(&AttachError::Lost))
    }

    /// Whether the client took it.
    async fn output(&self, kind: OutputKind, data: Bytes, now: Timestamp) -> bool {
        for frame in frames(data) {
            let frame = exec_output(kind, frame, now);
            if !self.sink.send_within(frame, UNREAD_LIMIT).await {
                return false;
            }
        }
        true
    }
}

/// The last frame for a client that has not read for so long that it is not
/// waited for any more.
fn unread() -> pb::ExecStreamResponse {
    let text = format!(
        "nobody read the output for {} s; the command was killed, and its output is lost",
        UNREAD_LIMIT.as_secs()
    );
    exec_error(STREAM_BACKPRESSURE, text)
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

async fn begin(way: &Way, spec: ExecSpec) -> Result<Exec, AttachError> {
    let begun = time::timeout(START_LIMIT, way.attach.exec(way.id, spec)).await;
    begun.unwrap_or(Err(AttachError::Lost))
}

/// Hands on what the client sends; pending for ever once it has said all.
async fn feed(
    mut frames: impl Stream<Item = Frame> + Unpin,
    input: mpsc::Sender<ExecInput>,
    has_terminal: bool,
) -> End<pb::ExecStreamResponse> {
    let mut is_closed = false;
    while let Some(frame) = frames.next().await {
        let taken = match exec_input(frame?) {
            Ok(taken) => taken,
            Err(error) => return Ok(misplaced(error.to_string())),
        };
        match taken {
            ExecInput::Stdin(_) if is_closed => {
                return Ok(misplaced("stdin was sent after close".to_owned()));
            }
            ExecInput::Stdin(data) => write(data, &input).await,
            ExecInput::Close if is_closed => {}
            ExecInput::Close => {
                is_closed = true;
                hand_on(ExecInput::Close, &input).await;
            }
            ExecInput::Resize(_) if !has_terminal => {
                return Ok(misplaced(
                    "resize was sent to a command without a terminal".to_owned(),
                ));
            }
            ExecInput::Resize(size) => hand_on(ExecInput::Resize(size), &input).await,
            // Clients have no frame for a signal.
            ExecInput::Signal(number) => hand_on(ExecInput::Signal(number), &input).await,
        }
    }
    if !is_closed {
        hand_on(ExecInput::Close, &input).await;
    }
    std::future::pending().await
}

async fn write(mut data: Bytes, input: &mpsc::Sender<ExecInput>) {
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(INPUT_BYTES_MAX));
        hand_on(ExecInput::Stdin(piece), input).await;
    }
}

/// A command that has ended takes no input; its exit is on the way.
async fn hand_on(taken: ExecInput, input: &mpsc::Sender<ExecInput>) {
    let _ = input.send(taken).await;
}

fn misplaced(text: String) -> pb::ExecStreamResponse {
    exec_error(INVALID_REQUEST, text)
}
