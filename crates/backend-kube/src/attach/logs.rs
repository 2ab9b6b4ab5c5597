//! The output of the main process, as the node keeps it.
//!
//! The server knows lines and instants, not offsets; these are counted here, from
//! the first line that the node still has. A node that has turned a log over has
//! no earlier ones, and does not say so.

use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use palisade_backend::{AttachError, EXEC_QUEUE_MAX, LogChunk, LogQuery, Logs};
use palisade_model::id::SandboxId;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time;

use super::{Target, outcome};
use crate::naming;
use crate::view;
use lines::{Cut, Lines, Mark};
use reading::Reading;

mod lines;
mod reading;

/// How long the end of the backend waits for a reader to be told of it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a reader is told.
type Chunks = mpsc::Sender<Result<LogChunk, AttachError>>;

/// Opens the log of a sandbox.
pub(super) async fn open(
    target: Target,
    id: SandboxId,
    pod: Option<&Pod>,
    query: LogQuery,
) -> Result<Logs, AttachError> {
    let (sender, chunks) = mpsc::channel(EXEC_QUEUE_MAX);
    if !pod.is_some_and(has_log) {
        let is_over = target.is_over(id);
        return is_over
            .then_some(Logs { chunks })
            .ok_or(AttachError::NotRunning);
    }
    let cut = cut(&target, &query).await?;
    let stream = read(&target, query.follow, Mark::default()).await?;
    let closing = target.shared.closing.clone();
    let attached = target.shared.attached.clone();
    let reading = Reading::new(target, id, cut, query.follow);
    attached.spawn(async move {
        let read = tokio::select! {
            biased;
            () = closing.cancelled() => Err(AttachError::Draining),
            () = sender.closed() => return,
            read = reading.pass_on(stream, &sender) => read,
        };
        if let Err(error) = read {
            let _ = time::timeout(LAST_WORD, sender.send(Err(error))).await;
        }
    });
    Ok(Logs { chunks })
}

impl Target {
    /// Whether nothing more comes of the sandbox, as far as the cluster shows it.
    fn is_over(&self, id: SandboxId) -> bool {
        let now = self.shared.clock.now();
        let sandbox = self.shared.sandbox(id);
        sandbox.is_none_or(|sandbox| sandbox.seen().view(now).is_over())
    }
}

/// Whether the main container ever ran, so that the node has a log of it.
fn has_log(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let main = status.and_then(view::main_status);
    let state = main.and_then(|main| main.state.as_ref());
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

type Stream = futures_util::stream::BoxStream<'static, std::io::Result<Vec<u8>>>;

/// The lines of the log, each behind its instant, from a little before the mark.
async fn read(target: &Target, follow: bool, mark: Mark) -> Result<Stream, AttachError> {
    let parameters = LogParams {
        container: Some(naming::MAIN_CONTAINER.to_owned()),
        follow,
        timestamps: true,
        since_time: mark.since(),
        ..LogParams::default()
    };
    let opened = target.pods.log_stream(&target.name, &parameters).await;
    let reader = opened.map_err(|error| outcome::refused(&error))?;
    let lines = futures_util::stream::unfold(Box::pin(reader), |mut reader| async move {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(line), reader)),
            Err(error) => Some((Err(error), reader)),
        }
    });
    Ok(lines.boxed())
}

/// Where to begin. To know the end of the log, it is read once.
async fn cut(target: &Target, query: &LogQuery) -> Result<Cut, AttachError> {
    let mut cut = Cut {
        from_offset: query.from_offset.unwrap_or(0),
        since: query.since,
    };
    if query.from_offset.is_none() && query.tail_lines.is_none() {
        return Ok(cut);
    }
    let mut lines = Lines::default();
    let mut tail = lines::Tail::new(query.tail_lines);
    let mut stream = read(target, false, Mark::default()).await?;
    while let Some(line) = stream.next().await {
        let line = lines.read(&line.map_err(|_| AttachError::Lost)?);
        tail.push(&line);
    }
    let end = lines.end();
    if cut.from_offset > end {
        return Err(AttachError::LogOffset { end });
    }
    cut.from_offset = cut.from_offset.max(tail.start(end));
    Ok(cut)
}

#[cfg(test)]
mod tests;
