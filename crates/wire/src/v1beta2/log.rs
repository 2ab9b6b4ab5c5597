//! Logs: what clients ask for and what they are told.

use palisade_backend::LogQuery;
use palisade_model::clock::Timestamp;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::bytes::Bytes;

use super::exec::init_missing;
use super::time::checked_timestamp;
use crate::proto::v1beta2 as pb;
use crate::proto::v1beta2::log_stream_request::Request as LogFrame;
use crate::proto::v1beta2::log_stream_response::Response as LogAnswer;

/// A stream of logs to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// What to read.
    pub reading: LogReading,
    /// Put the instant before each line.
    pub timestamps: bool,
}

/// What to read of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogReading {
    /// A part of it, in a new session.
    New(LogQuery),
    /// What follows on a place of an earlier session.
    Resume {
        /// The session, as the client named it.
        session: String,
        /// How many bytes of it the client has.
        offset: u64,
    },
}

/// A piece of a log, as a session delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// The bytes.
    pub data: Bytes,
    /// When they were read.
    pub at: Timestamp,
    /// The session.
    pub session: String,
    /// How many bytes the session delivered, this piece included.
    pub offset: u64,
}

/// Reads the first frame of a stream.
///
/// When a session is resumed, the fields that chose its beginning have done
/// their work and are not looked at.
pub fn log_start(frame: pb::LogStreamRequest) -> Result<LogStart, Refusal> {
    let Some(LogFrame::Init(init)) = frame.request else {
        return Err(init_missing());
    };
    // No `..`: a field added to the protocol must be dealt with here.
    let pb::LogStreamInit {
        sandbox_id,
        follow,
        tail_lines,
        since_time,
        timestamps,
        resume_session_id,
        resume_offset,
    } = init;
    let reading = if resume_session_id.is_empty() {
        LogReading::New(log_query(follow, tail_lines, since_time)?)
    } else {
        LogReading::Resume {
            session: resume_session_id,
            offset: resume_offset,
        }
    };
    Ok(LogStart {
        sandbox: sandbox_id,
        reading,
        timestamps,
    })
}

fn log_query(
    follow: bool,
    tail_lines: i32,
    since_time: Option<prost_types::Timestamp>,
) -> Result<LogQuery, Refusal> {
    let mut violations = Vec::new();
    let tail_lines = u32::try_from(tail_lines).unwrap_or_else(|_| {
        let text = format!("is {tail_lines}; it must not be negative");
        let path = FieldPath::root().key("tail_lines");
        violations.push(Violation::new(path, ViolationKind::Invalid, text));
        0
    });
    let since = since_time.and_then(|at| {
        let since = checked_timestamp(at);
        if since.is_none() {
            let text = "must have nanos from 0 to 999999999";
            let path = FieldPath::root().key("since_time");
            violations.push(Violation::new(path, ViolationKind::Invalid, text));
        }
        since
    });
    if !violations.is_empty() {
        return Err(Refusal::invalid(violations));
    }
    Ok(LogQuery {
        from_offset: None,
        // Zero is how the protocol leaves it out.
        tail_lines: (tail_lines > 0).then_some(tail_lines),
        since,
        follow,
    })
}

/// Whether a later frame ends the stream; nothing else has a place there.
pub fn is_log_close(frame: &pb::LogStreamRequest) -> bool {
    match frame.request {
        Some(LogFrame::Close(pb::LogStreamClose {})) => true,
        Some(LogFrame::Init(_)) | None => false,
    }
}

/// A frame of log.
pub fn log_data(piece: LogPiece) -> pb::LogStreamResponse {
    let LogPiece {
        data,
        at,
        session,
        offset,
    } = piece;
    answer(LogAnswer::Data(pb::LogStreamData {
        data,
        timestamp: Some(super::timestamp(at)),
        session_id: session,
        offset,
    }))
}

/// The last frame of a log that was read to its end.
pub fn log_complete() -> pb::LogStreamResponse {
    answer(LogAnswer::Complete(pb::LogStreamComplete {}))
}

/// The last frame of a log that could not be read to its end.
pub fn log_error(code: &str, message: String) -> pb::LogStreamResponse {
    answer(LogAnswer::Error(pb::LogStreamError {
        message,
        code: code.to_owned(),
    }))
}

fn answer(answer: LogAnswer) -> pb::LogStreamResponse {
    pb::LogStreamResponse {
        response: Some(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(init: pb::LogStreamInit) -> pb::LogStreamRequest {
        pb::LogStreamRequest {
            request: Some(LogFrame::Init(init)),
        }
    }

    #[test]
    fn a_reading_says_which_part_it_wants() {
        let start = log_start(init(pb::LogStreamInit {
            sandbox_id: "a".into(),
            follow: true,
            tail_lines: 7,
            since_time: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 500_000,
            }),
            timestamps: true,
            ..Default::default()
        }));
        let expected = LogStart {
            sandbox: "a".into(),
            reading: LogReading::New(LogQuery {
                from_offset: None,
                tail_lines: Some(7),
                since: Some(Timestamp::from_micros(1_000_500)),
                follow: true,
            }),
            timestamps: true,
        };
        assert_eq!(start, Ok(expected));
    }

    #[test]
    fn nothing_chosen_is_the_whole_log() {
        let start = log_start(init(pb::LogStreamInit::default())).unwrap();
        assert_eq!(start.reading, LogReading::New(LogQuery::default()));
    }

    #[test]
    fn resuming_looks_only_at_the_session() {
        let start = log_start(init(pb::LogStreamInit {
            tail_lines: -1,
            resume_session_id: "s".into(),
            resume_offset: 9,
            ..Default::default()
        }));
        let expected = LogReading::Resume {
            session: "s".into(),
            offset: 9,
        };
        assert_eq!(start.unwrap().reading, expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_fields() {
        let refusal = log_start(init(pb::LogStreamInit {
            tail_lines: -1,
            since_time: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: -1,
            }),
            ..Default::default()
        }))
        .unwrap_err();
        let fields: Vec<_> = refusal
            .violations
            .iter()
            .map(|v| v.path.to_string())
            .collect();
        assert_eq!(fields, ["tail_lines", "since_time"]);
        let frame = pb::LogStreamRequest { request: None };
        assert!(log_start(frame).is_err());
    }
}
