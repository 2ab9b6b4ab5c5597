//! The output of a main process.

use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::log_stream_request::Request as Sent;
use palisade_wire::proto::v1beta2::log_stream_response::Response as Received;
use palisade_wire::v1beta2::{from_timestamp, timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::failure::{call_error, cut};
use super::{FRAMES_MAX, Sandboxes};
use crate::error::{CallError, Refused};

/// Which part of a log to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReading {
    /// Go on with what is written later, until the main process ends.
    pub follows: bool,
    /// Begin this many lines before the end.
    pub tail_lines: Option<u32>,
    /// Begin with what was written at or after this instant.
    pub since: Option<Timestamp>,
    /// Put the instant before each line.
    pub has_timestamps: bool,
    /// Go on behind this place, whatever chose the beginning of the reading
    /// that it is of.
    pub resume: Option<LogPlace>,
}

/// How far a reading of a log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The reading, as the server calls it.
    session: String,
    /// How many bytes it delivered.
    pub offset: u64,
    /// When the last of them were read.
    pub at: Option<Timestamp>,
}

/// A log that is read.
#[derive(Debug)]
pub struct Logs {
    answers: Streaming<pb::LogStreamResponse>,
    server: String,
    place: Option<LogPlace>,
    /// Held open: without it nobody would read.
    _frames: mpsc::Sender<pb::LogStreamRequest>,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPiece {
    /// Bytes, as they were written.
    Data(Bytes),
    /// All was read. Nothing follows.
    End,
    /// The rest cannot be read. Nothing follows.
    Failed {
        /// What happened, for programs.
        code: String,
        /// What happened, for people.
        message: String,
    },
}

impl Sandboxes {
    /// Opens the log of a sandbox.
    pub async fn logs(&self, id: &str, reading: &LogReading) -> Result<Logs, CallError> {
        let LogReading {
            follows,
            tail_lines,
            since,
            has_timestamps,
            resume,
        } = reading;
        let tail_lines = tail_lines.map_or(0, |lines| i32::try_from(lines).unwrap_or(i32::MAX));
        let init = pb::LogStreamInit {
            sandbox_id: id.to_owned(),
            follow: *follows,
            tail_lines,
            since_time: since.map(timestamp),
            timestamps: *has_timestamps,
            resume_session_id: resume
                .as_ref()
                .map(|place| place.session.clone())
                .unwrap_or_default(),
            resume_offset: resume.as_ref().map_or(0, |place| place.offset),
        };
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        let first = pb::LogStreamRequest {
            request: Some(Sent::Init(init)),
        };
        // The channel is new and empty, so that the first frame always fits.
        let _ = frames.try_send(first);
        let mut streaming = self.streaming();
        let answers = self
            .opened(streaming.stream_logs(ReceiverStream::new(waiting)))
            .await?;
        Ok(Logs {
            answers,
            server: self.server.clone(),
            place: resume.clone(),
            _frames: frames,
        })
    }
}

impl Logs {
    /// How far the reading has come, for a stream that is lost.
    pub fn place(&self) -> Option<&LogPlace> {
        self.place.as_ref()
    }

    /// What comes next. Nothing is lost if this is dropped before it is ready.
    pub async fn next(&mut self) -> Result<LogPiece, CallError> {
        loop {
            let answer = self.answers.message().await;
            let answer = answer.map_err(|status| call_error(&self.server, status))?;
            let answer = answer.ok_or_else(|| cut(&self.server))?;
            match answer.response {
                Some(Received::Data(piece)) => {
                    let pb::LogStreamData {
                        data,
                        timestamp,
                        session_id,
                        offset,
                    } = piece;
                    self.place = Some(LogPlace {
                        session: session_id,
                        offset,
                        at: timestamp.map(from_timestamp),
                    });
                    return Ok(LogPiece::Data(data));
                }
                Some(Received::Complete(pb::LogStreamComplete {})) => return Ok(LogPiece::End),
                Some(Received::Error(pb::LogStreamError { message, code })) => {
                    return Ok(LogPiece::Failed { code, message });
                }
                // What only a later version says is passed over.
                None => {}
            }
        }
    }
}

impl Refused {
    /// Whether the sandbox is not, or not any more, in a state for what was
    /// asked.
    pub fn is_not_running(&self) -> bool {
        self.reason() == Some(palisade_model::reason::Reason::SandboxNotRunning.as_str())
    }
}
