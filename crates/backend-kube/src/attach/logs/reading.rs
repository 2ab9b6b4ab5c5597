//! Passing a log on to its end, over as many streams of the server as that takes.
//!
//! A stream that follows ends with the container, but also when the server or the node
//! restarts, or something on the way finds that it took long enough; it does not say which. The
//! end of the log is therefore the end of a stream that was opened when the sandbox was known to
//! be over.
//!
//! ```text
//!  follow ─► ended ─► over? ── yes ─► read the rest ─► the end
//!    ▲                  │ no
//!    └── where it was ◄─┘
//! ```
//!
//! Invariant: every line is passed on once, and whole. What a node turned over while no stream
//! was open is not there any more, and nobody says so.

use std::time::Duration;

use futures_util::StreamExt as _;
use palisade_backend::AttachError;
use palisade_model::id::SandboxId;
use tokio::time::{self, Instant};
use tracing::debug;

use super::lines::{Cut, Lines, Mark};
use super::{Chunks, Stream, Target, read};

/// How many streams in a row may bring nothing before the log is lost.
const TRIES_MAX: u32 = 8;
/// How long the end of the sandbox is waited for before the next stream is opened, first and
/// at most. The cluster usually shows it within a second of the end of the stream.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// A stream that was silent for so long was no failure.
const LASTING: Duration = Duration::from_secs(10);

/// A log that is passed on.
#[derive(Debug)]
pub(super) struct Reading {
    target: Target,
    id: SandboxId,
    cut: Cut,
    follow: bool,
    lines: Lines,
    mark: Mark,
}

/// How a stream ended.
#[derive(Debug, Default)]
struct Ended {
    is_broken: bool,
    has_news: bool,
    /// A last line without an end: there may be more of it.
    rest: Vec<u8>,
}

impl Reading {
    /// Begins with what a stream brings first.
    pub(super) fn new(target: Target, id: SandboxId, cut: Cut, follow: bool) -> Self {
        Self {
            target,
            id,
            cut,
            follow,
            lines: Lines::default(),
            mark: Mark::default(),
        }
    }

    /// Passes on this stream, and what follows on it if that is wanted.
    pub(super) async fn pass_on(
        mut self,
        mut stream: Stream,
        chunks: &Chunks,
    ) -> Result<(), AttachError> {
        let (mut is_last, mut tries) = (!self.follow, 0);
        loop {
            let opened_at = Instant::now();
            let ended = self.drain(stream, chunks).await?;
            match (is_last, ended.is_broken) {
                (true, false) => return self.take_rest(&ended.rest, chunks).await,
                (true, true) if !self.follow => return Err(AttachError::Lost),
                (true | false, true | false) => {}
            }
            if ended.has_news || opened_at.elapsed() >= LASTING {
                tries = 0;
            }
            let Some(next) = self.next(&mut tries, ended.is_broken).await? else {
                return self.take_rest(&ended.rest, chunks).await;
            };
            (stream, is_last) = next;
        }
    }

    /// Passes on the whole lines of a stream that were not passed on before.
    async fn drain(&mut self, mut stream: Stream, chunks: &Chunks) -> Result<Ended, AttachError> {
        let mut known = self.mark.known();
        let mut ended = Ended::default();
        while let Some(line) = stream.next().await {
            let Ok(line) = line else {
                ended.is_broken = true;
                break;
            };
            if known.has(&line) {
                continue;
            }
            if line.ends_with(b"\n") {
                ended.has_news = true;
                self.take(&line, chunks).await?;
            } else {
                ended.rest = line;
            }
        }
        Ok(ended)
    }

    /// Passes a line on; a reader that left is as good as a log that is lost.
    async fn take(&mut self, line: &[u8], chunks: &Chunks) -> Result<(), AttachError> {
        self.mark.pass(line);
        let line = self.lines.read(line);
        if let Some(chunk) = self.cut.apply(line) {
            let sent = chunks.send(Ok(chunk)).await;
            sent.map_err(|_| AttachError::Lost)?;
        }
        Ok(())
    }

    async fn take_rest(&mut self, rest: &[u8], chunks: &Chunks) -> Result<(), AttachError> {
        if rest.is_empty() {
            return Ok(());
        }
        self.take(rest, chunks).await
    }

    /// The next stream, and whether it is the last one; `None` if there is none any more.
    async fn next(
        &self,
        tries: &mut u32,
        was_broken: bool,
    ) -> Result<Option<(Stream, bool)>, AttachError> {
        while *tries < TRIES_MAX {
            let pause = PAUSE.saturating_mul(1 << *tries).min(PAUSE_MAX);
            *tries += 1;
            let is_over = self.is_over_within(pause).await;
            let error = match read(&self.target, !is_over, self.mark).await {
                Ok(stream) => return Ok(Some((stream, is_over))),
                Err(error) => error,
            };
            let is_gone = matches!(error, AttachError::NotFound | AttachError::NotRunning);
            if is_gone && is_over && !was_broken {
                // The pod went after the stream had come to its end.
                return Ok(None);
            }
            debug!(sandbox.id = %self.id, %error, "a log cannot be read on now");
            if is_over {
                // It was not waited for above.
                time::sleep(pause).await;
            }
        }
        Err(AttachError::Lost)
    }

    /// Whether the sandbox is over, or is soon.
    async fn is_over_within(&self, limit: Duration) -> bool {
        let is_over = || self.target.is_over(self.id).then_some(());
        let hints = &self.target.shared.hints;
        hints.wait_for(self.id, limit, is_over).await.is_some()
    }
}
