//! The output of a main process, streamed.
//!
//! Inputs: the client's frames, the chunks of the log. It ends with the log,
//! when the client says that it is enough, or when the client leaves; then its
//! session stays for a while, so that another stream can go on where the client
//! was. Each chunk of the log is a frame of its own.

use std::pin::pin;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use palisade_backend::{AttachError, LogChunk, LogQuery, Logs};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{
    LogPiece, LogReading, is_log_close, log_complete, log_data, log_error, log_start,
};
use tokio::time;
use tonic::Status;

use super::Means;
use super::answers::{End, Sink, frames};
use super::exec::{START_LIMIT, first_frame};
use super::failure::{
    INVALID_REQUEST, INVALID_RESUME_OFFSET, SESSION_NOT_FOUND, SESSION_TAKEN_OVER, lost_log,
};
use super::lines::{Lines, Place};
use super::sessions::{Held, ResumeError, Resumed, Sessions, Subject};
use super::ways::{Way, Ways};
use crate::access::Whereabouts;
use crate::context::Context;

/// The frames of a client.
type Frame = Result<pb::LogStreamRequest, Status>;
type LogEnd = End<pb::LogStreamResponse>;

/// What one stream works with.
#[derive(Debug)]
pub(super) struct LogStream<'a> {
    pub(super) means: &'a Means,
    pub(super) ways: &'a dyn Ways,
    pub(super) sessions: &'a Sessions,
    pub(super) context: &'a Context,
    pub(super) sink: &'a Sink<pb::LogStreamResponse>,
}

/// A log that is being read for a session.
#[derive(Debug)]
struct Reading {
    held: Held,
    at: Whereabouts,
    logs: Logs,
    /// `None` until the first chunk says where the log begins.
    lines: Option<Lines>,
    is_stamped: bool,
    /// Bytes that the client already has.
    skip: u64,
}

impl LogStream<'_> {
    /// Serves the stream to its end.
    pub(super) async fn serve(&self, frames: impl Stream<Item = Frame>) -> LogEnd {
        let mut frames = pin!(frames);
        let first = first_frame(frames.as_mut(), self.context).await?;
        let start = log_start(first).map_err(|refusal| self.context.status(&refusal.into()))?;
        let opened = match start.reading {
            LogReading::New(query) => self.open(&start.sandbox, query, start.timestamps).await,
            LogReading::Resume { session, offset } => {
                self.reopen(&start.sandbox, &session, offset).await
            }
        };
        let mut reading = match opened {
            Ok(reading) => reading,
            Err(end) => return end,
        };
        let is_enough = tokio::select! {
            end = self.pass_on(&mut reading) => return end,
            enough = enough(frames) => enough,
        };
        let frame = is_enough?;
        reading.held.forget();
        Ok(frame)
    }

    /// Opens a log in a new session.
    async fn open(
        &self,
        sandbox: &str,
        query: LogQuery,
        is_stamped: bool,
    ) -> Result<Reading, LogEnd> {
        let way = self.way(sandbox).await?;
        let follow = query.follow;
        let logs = self.read(&way, query).await?;
        let subject = Subject {
            organization: self.context.caller.organization.clone(),
            user: self.context.caller.user.clone(),
            sandbox: way.at.id,
            is_stamped,
            follow,
        };
        let id = self.means.ids.uuid().to_string();
        Ok(Reading {
            held: self.sessions.begin(id, subject),
            at: way.at,
            logs,
            lines: None,
            is_stamped,
            skip: 0,
        })
    }

    /// Opens a log again for a session that lost its stream.
    async fn reopen(&self, sandbox: &str, session: &str, offset: u64) -> Result<Reading, LogEnd> {
        let caller = &self.context.caller;
        let resumed = self.sessions.resume(session, caller, sandbox, offset);
        let Resumed {
            held,
            subject,
            place,
            skip,
        } = resumed.map_err(|error| Ok(log_error(resume_code(error), error.to_string())))?;
        let way = self.way(sandbox).await?;
        let query = LogQuery {
            from_offset: Some(place.log_offset),
            follow: subject.follow,
            ..LogQuery::default()
        };
        Ok(Reading {
            held,
            logs: self.read(&way, query).await?,
            at: way.at,
            lines: Some(Lines::at(place, subject.is_stamped)),
            is_stamped: subject.is_stamped,
            skip,
        })
    }

    async fn way(&self, sandbox: &str) -> Result<Way, LogEnd> {
        let way = self.ways.logged(&self.context.caller, sandbox).await;
        way.map_err(|error| Err(self.context.status(&error)))
    }

    async fn read(&self, way: &Way, query: LogQuery) -> Result<Logs, LogEnd> {
        let opened = time::timeout(START_LIMIT, way.attach.logs(way.at.id, query)).await;
        match opened.unwrap_or(Err(AttachError::Lost)) {
            Ok(logs) => Ok(logs),
            // The record outlives what its runner kept.
            Err(AttachError::NotFound) if way.at.phase.is_terminal() => {
                Err(Err(self.context.status(&forgotten(&way.at).into())))
            }
            Err(error) => Err(lost_log(error, &way.at, self.context)),
        }
    }

    /// Hands on the log, chunk by chunk.
    async fn pass_on(&self, reading: &mut Reading) -> LogEnd {
        loop {
            let chunk = tokio::select! {
                biased;
                () = reading.held.taken_over() => {
                    let text = "the session goes on in another stream, which took it over";
                    return Ok(log_error(SESSION_TAKEN_OVER, text.to_owned()));
                }
                chunk = reading.logs.chunks.recv() => chunk,
            };
            match chunk {
                Some(Ok(chunk)) => self.deliver(reading, chunk).await,
                // What went with its sandbox has its end: nothing more will be written.
                Some(Err(AttachError::NotFound | AttachError::NotRunning)) | None => {
                    return Ok(log_complete());
                }
                Some(Err(error)) => return lost_log(error, &reading.at, self.context),
            }
        }
    }

    async fn deliver(&self, reading: &mut Reading, chunk: LogChunk) {
        let at = chunk.at;
        let Piece { data, end } = reading.piece(chunk);
        let mut offset = end.saturating_sub(data.len() as u64);
        for data in frames(data) {
            offset = offset.saturating_add(data.len() as u64);
            let session = reading.held.id().to_owned();
            let frame = LogPiece {
                data,
                at,
                session,
                offset,
            };
            self.sink.send(log_data(frame)).await;
        }
    }
}

/// What the client has not yet of a chunk.
struct Piece {
    data: Bytes,
    /// How far the session has come with it.
    end: u64,
}

impl Reading {
    fn piece(&mut self, chunk: LogChunk) -> Piece {
        let first = Place {
            delivered: 0,
            log_offset: chunk.offset,
            begins_line: true,
        };
        let is_stamped = self.is_stamped;
        let lines = self
            .lines
            .get_or_insert_with(|| Lines::at(first, is_stamped));
        let from = lines.place();
        let mut data = lines.text(chunk);
        let end = lines.place().delivered;
        let known = usize::try_from(self.skip).map_or(data.len(), |skip| skip.min(data.len()));
        data.advance(known);
        self.skip -= known as u64;
        if !data.is_empty() {
            self.held.deliver(from, end);
        }
        Piece { data, end }
    }
}

/// Waits until the client says that it is enough, or something that has no
/// place here; pending for ever once it has said all.
async fn enough(mut frames: impl Stream<Item = Frame> + Unpin) -> LogEnd {
    match frames.next().await {
        Some(Ok(frame)) if is_log_close(&frame) => Ok(log_complete()),
        Some(Ok(_)) => {
            let text = "only close can follow init on a stream of logs";
            Ok(log_error(INVALID_REQUEST, text.to_owned()))
        }
        Some(Err(status)) => Err(status),
        None => std::future::pending().await,
    }
}

fn resume_code(error: ResumeError) -> &'static str {
    match error {
        ResumeError::Unknown => SESSION_NOT_FOUND,
        ResumeError::Offset { .. } => INVALID_RESUME_OFFSET,
    }
}

fn forgotten(at: &Whereabouts) -> Refusal {
    let text = "the sandbox is over, and its runner no longer keeps the log";
    Refusal::new(Reason::ResourceNotFound, text).with("sandbox_id", at.id.to_string())
}
