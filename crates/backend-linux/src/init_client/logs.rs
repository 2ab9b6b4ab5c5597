//! The output of a main process, as [`palisade_backend::Attach`] promises it.
//!
//! It is read from its files, whether the sandbox runs or not; process 1 is only
//! asked when there is more.

use palisade_backend::{AttachError, LogChunk, LogQuery, Logs};
use palisade_init_client::{ClientError, WatchEvent, attach_error};
use palisade_init_protocol::log::{Chunk, Cursor, Piece, ReadError, Reader};
use palisade_init_protocol::text::UnixMicros;
use palisade_model::clock::Timestamp;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::client::{Client, Watch};
use super::launch::Paths;

/// How many chunks wait to be taken.
const CHUNKS_MAX: usize = 16;

/// How many bytes one chunk has at most.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// A log and a place in it.
struct Position {
    reader: Reader,
    cursor: Cursor,
    /// What was written before is passed over, until something newer comes.
    since: Option<UnixMicros>,
}

impl Position {
    /// Whether a piece that comes next was written before what was asked for.
    fn is_too_old(&mut self, at: UnixMicros) -> bool {
        let is_too_old = self.since.is_some_and(|since| at < since);
        if !is_too_old {
            // The clock may be set back from here on.
            self.since = None;
        }
        is_too_old
    }
}

type Sender = mpsc::Sender<Result<LogChunk, AttachError>>;

/// Opens a log, and reads it on a task of `tasks`.
pub async fn logs(
    client: &Client,
    paths: &Paths,
    query: LogQuery,
    tasks: &TaskTracker,
) -> Result<Logs, AttachError> {
    // First, so that nothing falls between what is there and what is told.
    let watch = if query.follow {
        watch_if_running(client).await?
    } else {
        None
    };
    let position = position(paths, query).await?;
    Ok(read_on(tasks, async move |sender| {
        tell(position, watch, &sender).await
    }))
}

/// Opens a log to follow it, while process 1 does not answer: what is there is told at once,
/// and the rest from when `resumed` ends.
pub async fn logs_of_paused(
    client: Client,
    paths: &Paths,
    query: LogQuery,
    resumed: impl Future<Output = ()> + Send + 'static,
    tasks: &TaskTracker,
) -> Result<Logs, AttachError> {
    let position = position(paths, query).await?;
    Ok(read_on(tasks, async move |sender| {
        let position = tell_what_is_there(position, &sender).await?;
        resumed.await;
        let watch = watch_if_running(&client).await?;
        tell(position, watch, &sender).await
    }))
}

/// Reads on a task of `tasks` for as long as somebody listens.
fn read_on<F>(tasks: &TaskTracker, read: impl FnOnce(Sender) -> F) -> Logs
where
    F: Future<Output = Result<(), AttachError>> + Send + 'static,
{
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let told = read(sender.clone());
    tasks.spawn(async move {
        tokio::select! {
            told = told => {
                if let Err(error) = told {
                    let _ = sender.send(Err(error)).await;
                }
            }
            () = sender.closed() => {}
        }
    });
    Logs { chunks }
}

async fn watch_if_running(client: &Client) -> Result<Option<Watch>, AttachError> {
    match client.watch().await {
        Ok(watch) => Ok(Some(watch)),
        Err(ClientError::NotRunning | ClientError::Ending) => Ok(None),
        Err(error) => Err(attach_error(error)),
    }
}

async fn position(paths: &Paths, query: LogQuery) -> Result<Position, AttachError> {
    let paths = paths.clone();
    let opened = tokio::task::spawn_blocking(move || open(&paths, &query)).await;
    opened.map_err(|_| AttachError::Lost)?.map_err(log_error)
}

/// Whatever a query asks for holds at once: it begins at the latest of its places.
fn open(paths: &Paths, query: &LogQuery) -> Result<Position, ReadError> {
    let LogQuery {
        from_offset,
        tail_lines,
        since,
        follow: _,
    } = *query;
    let reader = paths.open_log()?;
    let since = since.map(micros);
    let places = [
        from_offset.map(|offset| reader.at_offset(offset)),
        tail_lines.map(|lines| reader.at_tail(lines)),
        since.map(|since| reader.at_time(since)),
    ];
    let mut latest = None;
    for place in places.into_iter().flatten() {
        let place = place?;
        latest = Some(latest.map_or(place, |latest: Cursor| latest.later(place)));
    }
    let cursor = match latest {
        Some(latest) => latest,
        None => reader.at_first_line()?,
    };
    Ok(Position {
        reader,
        cursor,
        since,
    })
}

async fn tell(
    mut position: Position,
    mut watch: Option<Watch>,
    chunks: &Sender,
) -> Result<(), AttachError> {
    loop {
        position = tell_what_is_there(position, chunks).await?;
        let Some(watching) = &mut watch else {
            return Ok(());
        };
        match watching.next().await {
            Ok(WatchEvent::Started(_) | WatchEvent::LogAdvanced { .. }) => {}
            // Whatever process 1 wrote before it went is read once more.
            Ok(WatchEvent::Exited(_)) | Err(_) => watch = None,
        }
    }
}

async fn tell_what_is_there(
    mut position: Position,
    chunks: &Sender,
) -> Result<Position, AttachError> {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let piece = position.reader.next(&mut position.cursor, CHUNK_BYTES_MAX);
            (position, piece)
        });
        let (returned, piece) = read.await.map_err(|_| AttachError::Lost)?;
        position = returned;
        match piece.map_err(log_error)? {
            None => return Ok(position),
            Some(Piece::Lost { bytes, .. }) => {
                warn!(bytes, "output of a sandbox could not be written to its log");
            }
            Some(Piece::Chunk(chunk)) if position.is_too_old(chunk.at) => {}
            Some(Piece::Chunk(chunk)) => {
                if chunks.send(Ok(log_chunk(chunk))).await.is_err() {
                    return Ok(position);
                }
            }
        }
    }
}

fn log_chunk(chunk: Chunk) -> LogChunk {
    // Both streams are one log.
    let Chunk {
        offset,
        at,
        stream: _,
        data,
    } = chunk;
    LogChunk {
        offset,
        at: Timestamp::from_micros(at.0),
        data,
    }
}

fn micros(at: Timestamp) -> UnixMicros {
    UnixMicros(at.as_micros())
}

fn log_error(error: ReadError) -> AttachError {
    match error {
        ReadError::Gap { first_kept } => AttachError::LogGap { first_kept },
        ReadError::PastEnd { end } => AttachError::LogOffset { end },
        // Before the first start there is no log.
        ReadError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            AttachError::NotRunning
        }
        ReadError::Damaged | ReadError::Io(_) => AttachError::Lost,
    }
}
