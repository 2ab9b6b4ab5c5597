//! A command, as its session holds it: its two ends, and what is kept of them.
//!
//! Invariant: what was taken from either end is either passed on or still here,
//! whatever is dropped while something is waited for. So a command can go from
//! one stream to another between any two steps.

use bytes::Bytes;
use palisade_backend::{AttachError, Exec, ExecEvent, ExecInput};
use palisade_model::clock::{Clock, Timestamp};
use palisade_model::sandbox::Exit;
use palisade_wire::v1beta2::OutputKind;
use tokio::sync::mpsc;

use super::super::answers::frames;
use super::replay::Replay;
use crate::access::Whereabouts;

/// Input is handed on in pieces of this size at most, so that the queues on the
/// way hold a bounded number of bytes.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// A command that runs, or that ended a moment ago; killed when dropped.
#[derive(Debug)]
pub(in crate::data) struct Command {
    /// Where it runs.
    pub(super) at: Whereabouts,
    pub(super) input: Input,
    pub(super) output: Output,
}

/// What goes into a command.
#[derive(Debug)]
pub(super) struct Input {
    /// `None` once nothing can go in any more.
    sender: Option<mpsc::Sender<ExecInput>>,
    /// Taken from a client and not handed on yet.
    waiting: Option<ExecInput>,
    /// Whether a client said that nothing follows.
    pub(super) is_closed: bool,
    pub(super) has_terminal: bool,
}

/// What comes out of a command.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` once nothing comes out any more.
    events: Option<mpsc::Receiver<ExecEvent>>,
    pub(super) replay: Replay,
    pub(super) is_started: bool,
    /// Whether a client was told that it started, and the session's name.
    pub(super) is_announced: bool,
    pub(super) last: Option<LastWord>,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(super) enum LastWord {
    /// By itself.
    Exit(Exit, Timestamp),
    /// It could not be started, or not be followed to its end.
    Lost(AttachError),
}

impl Command {
    pub(super) fn new(exec: Exec, at: Whereabouts, has_terminal: bool, replay: Replay) -> Self {
        let Exec { input, events } = exec;
        Self {
            at,
            input: Input {
                sender: Some(input),
                waiting: None,
                is_closed: false,
                has_terminal,
            },
            output: Output {
                events: Some(events),
                replay,
                is_started: false,
                is_announced: false,
                last: None,
            },
        }
    }

    /// Lets both ends go: what is kept of the output is all that is wanted.
    pub(super) fn let_go(&mut self) {
        self.input.sender = None;
        self.input.waiting = None;
        self.output.events = None;
    }
}

impl Input {
    /// Hands on what a client said; what it said before must be flushed.
    pub(super) async fn hand_on(&mut self, taken: ExecInput) {
        self.waiting = Some(taken);
        self.flush().await;
    }

    /// Hands on what a client said last, in pieces; a stream that ends
    /// meanwhile leaves the rest here.
    pub(super) async fn flush(&mut self) {
        while let (Some(sender), Some(_)) = (&self.sender, &self.waiting) {
            let Ok(permit) = sender.reserve().await else {
                // A command that has ended takes no input; its exit is on the way.
                self.sender = None;
                break;
            };
            let (piece, rest) = match self.waiting.take() {
                Some(ExecInput::Stdin(data)) => split(data),
                Some(other) => (other, None),
                None => return,
            };
            self.waiting = rest;
            permit.send(piece);
        }
        self.waiting = None;
    }
}

fn split(mut data: Bytes) -> (ExecInput, Option<ExecInput>) {
    let piece = data.split_to(data.len().min(INPUT_BYTES_MAX));
    let rest = (!data.is_empty()).then_some(ExecInput::Stdin(data));
    (ExecInput::Stdin(piece), rest)
}

impl Output {
    /// Waits for what comes out next, and takes it in.
    pub(super) async fn step(&mut self, clock: &dyn Clock) {
        let event = match &mut self.events {
            Some(events) => events.recv().await,
            None => None,
        };
        let now = clock.now();
        match event {
            Some(ExecEvent::Started) => self.is_started = true,
            Some(ExecEvent::Stdout(data)) => self.push(OutputKind::Stdout, data, now),
            Some(ExecEvent::Stderr(data)) => self.push(OutputKind::Stderr, data, now),
            Some(ExecEvent::Exit(exit)) => self.end(LastWord::Exit(exit, now)),
            Some(ExecEvent::Failed(error)) => self.end(LastWord::Lost(error)),
            None => self.end(LastWord::Lost(AttachError::Lost)),
        }
    }

    /// Takes in what comes out while nobody is there to hand it to, as long as
    /// there is room for it; then the command waits. Never ends.
    pub(super) async fn fill(&mut self, clock: &dyn Clock) {
        while self.last.is_none() && self.replay.takes_more() {
            self.step(clock).await;
        }
        std::future::pending::<()>().await;
    }

    fn push(&mut self, kind: OutputKind, data: Bytes, now: Timestamp) {
        for frame in frames(data) {
            self.replay.push(kind, frame, now);
        }
    }

    fn end(&mut self, last: LastWord) {
        self.last.get_or_insert(last);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn input(sender: mpsc::Sender<ExecInput>) -> Input {
        Input {
            sender: Some(sender),
            waiting: None,
            is_closed: false,
            has_terminal: false,
        }
    }

    #[tokio::test]
    async fn input_that_waits_survives_the_stream_that_brought_it() {
        let (sender, mut inputs) = mpsc::channel(1);
        let mut input = input(sender);
        let text: Vec<u8> = (0..=250).cycle().take(3 * INPUT_BYTES_MAX).collect();
        let sent = ExecInput::Stdin(text.clone().into());
        // There is room for one piece; then the stream ends.
        assert!(input.hand_on(sent).now_or_never().is_none());
        let mut seen = Vec::new();
        while let Ok(ExecInput::Stdin(data)) = inputs.try_recv() {
            seen.extend_from_slice(&data);
            // The next stream begins with what was left.
            let _ = input.flush().now_or_never();
        }
        assert!(seen == text, "all of it arrives, in order");
        assert_eq!(input.waiting, None);
    }

    #[tokio::test]
    async fn a_command_that_takes_no_input_any_more_holds_nobody_up() {
        let (sender, inputs) = mpsc::channel(1);
        drop(inputs);
        let done = input(sender).hand_on(ExecInput::Close).now_or_never();
        assert!(done.is_some());
    }
}
