//! Why a request fails.

use std::io;

use palisade_init_protocol::answer::{Answer, ConnectFailure, FileFailure};
use palisade_init_protocol::text::Reason;

use crate::connection::ANSWER_LIMIT;

/// Why process 1 did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no process 1.
    #[error("the sandbox is not running")]
    NotRunning,
    /// The main process has ended, and the rest is about to.
    #[error("the sandbox is ending")]
    Ending,
    /// Too much is under way. It may be tried again later.
    #[error("the sandbox already does {limit} of these at once")]
    Busy {
        /// How many are allowed at once.
        limit: u32,
    },
    /// The command could not be started.
    #[error("{0}")]
    Failed(Reason),
    /// The file could not be read or written.
    #[error("a file could not be read or written")]
    File(FileFailure),
    /// There is no connection to the port, or none any more.
    #[error("the port could not be connected to")]
    Connect(ConnectFailure),
    /// The request is longer than process 1 takes.
    #[error("the request is too long")]
    TooLong,
    /// Process 1 does not understand the request.
    #[error("process 1 refused the request: {0}")]
    Refused(Reason),
    /// Process 1 says what makes no sense, or has no place.
    #[error("process 1 answered nonsense")]
    Nonsense,
    /// Process 1 did not answer in time.
    #[error("process 1 did not answer within {} s", ANSWER_LIMIT.as_secs())]
    Silent,
    /// The rest of a file that was to be written never came.
    #[error("the rest of the file did not come")]
    Incomplete,
    /// The connection broke.
    #[error("the connection to process 1 was lost")]
    Lost(#[source] io::Error),
}

impl ClientError {
    /// What an answer means that is not the one that was hoped for.
    pub(crate) fn from_answer(answer: Answer) -> Self {
        match answer {
            Answer::Failed(reason) => Self::Failed(reason),
            Answer::Busy { limit } => Self::Busy { limit },
            Answer::Refused(reason) => Self::Refused(reason),
            Answer::Ending => Self::Ending,
            Answer::FileFailed(failure) => Self::File(failure),
            Answer::NotConnected(failure) => Self::Connect(failure),
            Answer::Hello { .. }
            | Answer::Pong
            | Answer::Started(_)
            | Answer::Output { .. }
            | Answer::Exit(_)
            | Answer::LogAdvanced { .. }
            | Answer::MainExited(_)
            | Answer::FileContent(_)
            | Answer::Connected
            | Answer::Received(_)
            | Answer::ReceivedAll
            | Answer::Done => Self::Nonsense,
        }
    }
}
