//! One request after the other, and why they fail.

use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use palisade_backend::Upload;
use palisade_init_protocol::answer::{Answer, ConnectFailure, ExitRecord, FileFailure, Started};
use palisade_init_protocol::request::{
    Connect, Exec, FileMode, Input, PROTOCOL_VERSION, ReadFile, Request, Stop, WriteFile,
};
use palisade_init_protocol::text::{AbsolutePath, Data, Reason};

use super::connection::{ANSWER_LIMIT, Answers, Asks, ask};
use super::exec::Command;

/// How much of a file goes into one frame: little enough for memory that is used again.
const PART_BYTES: usize = 64 * 1024;

/// Talks to process 1 of one sandbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

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

/// How the main process does.
#[derive(Debug)]
pub struct Watch {
    answers: Answers,
    /// Held open: without it nobody would watch.
    _asks: Asks,
}

/// News of the main process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// It runs.
    Started(Started),
    /// So much has been written to its log.
    LogAdvanced {
        /// The offset of its end.
        end: u64,
    },
    /// It ended, or never ran. Nothing follows.
    Exited(ExitRecord),
}

impl Client {
    /// Talks to whoever listens there.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        Self { socket }
    }

    /// Which version of the protocol process 1 speaks.
    pub async fn hello(&self) -> Result<u32, ClientError> {
        let version = PROTOCOL_VERSION;
        let answer = self.ask_once(Request::Hello { version }).await?;
        let Answer::Hello { version } = answer else {
            return Err(ClientError::from_answer(answer));
        };
        Ok(version)
    }

    /// Whether process 1 answers.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let answer = self.ask_once(Request::Ping).await?;
        if answer == Answer::Pong {
            return Ok(());
        }
        Err(ClientError::from_answer(answer))
    }

    /// Asks the main process to end, and has everything killed after a grace.
    ///
    /// Returns once that is under way. That it is ending already is no error.
    pub async fn stop(&self, stop: Stop) -> Result<(), ClientError> {
        let answer = self.ask_once(Request::Stop(stop)).await?;
        if matches!(answer, Answer::Done | Answer::Ending) {
            return Ok(());
        }
        Err(ClientError::from_answer(answer))
    }

    /// Starts a command, and returns once it runs.
    pub async fn exec(&self, exec: Exec) -> Result<Command, ClientError> {
        let (asks, mut answers) = ask(&self.socket, Request::Exec(exec)).await?;
        let answer = answers.next_soon().await?;
        let Answer::Started(started) = answer else {
            return Err(ClientError::from_answer(answer));
        };
        Ok(Command::new(started, asks, answers))
    }

    /// Follows the main process.
    pub async fn watch(&self) -> Result<Watch, ClientError> {
        let (asks, answers) = ask(&self.socket, Request::Watch).await?;
        Ok(Watch {
            answers,
            _asks: asks,
        })
    }

    /// Writes a file, making the directories above it; without a mode it keeps
    /// the one that it has.
    pub async fn write_file(
        &self,
        path: AbsolutePath,
        mode: Option<FileMode>,
        content: Upload,
    ) -> Result<(), ClientError> {
        let request = Request::WriteFile(WriteFile {
            path,
            size_bytes: content.size_bytes(),
            mode,
        });
        let (mut asks, mut answers) = ask(&self.socket, request).await?;
        // A failure is told before all was taken, and then nobody takes the rest.
        let answer = tokio::select! {
            answer = answers.next() => answer?,
            sent = send_content(&mut asks, content) => match sent {
                Ok(()) | Err(ClientError::Lost(_)) => answers.next_soon().await?,
                Err(error) => return Err(error),
            },
        };
        if answer == Answer::Done {
            return Ok(());
        }
        Err(ClientError::from_answer(answer))
    }

    /// Reads a file of at most so many bytes.
    pub async fn read_file(
        &self,
        path: AbsolutePath,
        bytes_max: u64,
    ) -> Result<Bytes, ClientError> {
        let request = Request::ReadFile(ReadFile { path, bytes_max });
        let (_asks, mut answers) = ask(&self.socket, request).await?;
        let mut content = BytesMut::new();
        loop {
            let answer = answers.next_soon().await?;
            if answer == Answer::Done {
                return Ok(content.freeze());
            }
            let Answer::FileContent(data) = &answer else {
                return Err(ClientError::from_answer(answer));
            };
            content.extend_from_slice(data.bytes());
            // Not trusted to hold to what was asked for.
            if content.len() as u64 > bytes_max {
                return Err(ClientError::Nonsense);
            }
        }
    }

    /// Connects to a port of the sandbox's loopback.
    pub(super) async fn connect(&self, port: NonZeroU16) -> Result<(Asks, Answers), ClientError> {
        let request = Request::Connect(Connect { port });
        let (asks, mut answers) = ask(&self.socket, request).await?;
        let answer = answers.next_soon().await?;
        if answer == Answer::Connected {
            return Ok((asks, answers));
        }
        Err(ClientError::from_answer(answer))
    }

    async fn ask_once(&self, request: Request) -> Result<Answer, ClientError> {
        let (_asks, mut answers) = ask(&self.socket, request).await?;
        answers.next_soon().await
    }
}

async fn send_content(asks: &mut Asks, mut content: Upload) -> Result<(), ClientError> {
    while let Some(mut piece) = content.next().await.map_err(|_| ClientError::Incomplete)? {
        while !piece.is_empty() {
            let mut part = piece.split_to(piece.len().min(PART_BYTES));
            if let Some(data) = Data::split_from(&mut part) {
                let sent =
                    tokio::time::timeout(ANSWER_LIMIT, asks.send(Input::Data(data).encode()));
                sent.await.map_err(|_| ClientError::Silent)??;
            }
        }
    }
    Ok(())
}

impl Watch {
    /// The next news. Nothing is lost if this is dropped before it is ready.
    pub async fn next(&mut self) -> Result<WatchEvent, ClientError> {
        let answer = self.answers.next().await?;
        if let Answer::Started(started) = answer {
            return Ok(WatchEvent::Started(started));
        }
        if let Answer::LogAdvanced { end } = answer {
            return Ok(WatchEvent::LogAdvanced { end });
        }
        if let Answer::MainExited(record) = &answer {
            return Ok(WatchEvent::Exited(record.clone()));
        }
        Err(ClientError::from_answer(answer))
    }
}

impl ClientError {
    /// What an answer means that is not the one that was hoped for.
    pub(super) fn from_answer(answer: Answer) -> Self {
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
