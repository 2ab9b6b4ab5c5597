//! What can be asked, a request to a connection.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use palisade_backend::Upload;
use palisade_init_protocol::answer::{Answer, ExitRecord, Started};
use palisade_init_protocol::request::{
    Connect, Exec, FileMode, Input, PROTOCOL_VERSION, ReadFile, Request, Stop, WriteFile,
};
use palisade_init_protocol::text::{AbsolutePath, Data};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::command::Command;
use crate::connection::{ANSWER_LIMIT, Answers, Asks, Connection};
use crate::error::ClientError;

/// How much of a file goes into one frame: little enough for memory that is used again.
const PART_BYTES: usize = 64 * 1024;

/// How the main process does.
#[derive(Debug)]
pub struct Watch<R, W> {
    answers: Answers<R>,
    /// Held open: without it nobody would watch.
    _asks: Asks<W>,
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

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Which version of the protocol process 1 speaks.
    pub async fn hello(self) -> Result<u32, ClientError> {
        let version = PROTOCOL_VERSION;
        let answer = self.ask_once(Request::Hello { version }).await?;
        let Answer::Hello { version } = answer else {
            return Err(ClientError::from_answer(answer));
        };
        Ok(version)
    }

    /// Whether process 1 answers.
    pub async fn ping(self) -> Result<(), ClientError> {
        let answer = self.ask_once(Request::Ping).await?;
        if answer == Answer::Pong {
            return Ok(());
        }
        Err(ClientError::from_answer(answer))
    }

    /// Asks the main process to end, and has everything killed after a grace.
    ///
    /// Returns once that is under way. That it is ending already is no error.
    pub async fn stop(self, stop: Stop) -> Result<(), ClientError> {
        let answer = self.ask_once(Request::Stop(stop)).await?;
        if matches!(answer, Answer::Done | Answer::Ending) {
            return Ok(());
        }
        Err(ClientError::from_answer(answer))
    }

    /// Starts a command, and returns once it runs.
    pub async fn exec(self, exec: Exec) -> Result<Command<R, W>, ClientError> {
        let (asks, mut answers) = self.ask(Request::Exec(exec)).await?;
        let answer = answers.next_soon().await?;
        let Answer::Started(started) = answer else {
            return Err(ClientError::from_answer(answer));
        };
        Ok(Command::new(started, asks, answers))
    }

    /// Follows the main process.
    pub async fn watch(self) -> Result<Watch<R, W>, ClientError> {
        let (asks, answers) = self.ask(Request::Watch).await?;
        Ok(Watch {
            answers,
            _asks: asks,
        })
    }

    /// Writes a file, making the directories above it; without a mode it keeps
    /// the one that it has.
    pub async fn write_file(
        self,
        path: AbsolutePath,
        mode: Option<FileMode>,
        content: Upload,
    ) -> Result<(), ClientError> {
        let request = Request::WriteFile(WriteFile {
            path,
            size_bytes: content.size_bytes(),
            mode,
        });
        let (mut asks, mut answers) = self.ask(request).await?;
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
    pub async fn read_file(self, path: AbsolutePath, bytes_max: u64) -> Result<Bytes, ClientError> {
        let request = Request::ReadFile(ReadFile { path, bytes_max });
        let (_asks, mut answers) = self.ask(request).await?;
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
    pub(crate) async fn connect(
        self,
        port: NonZeroU16,
    ) -> Result<(Asks<W>, Answers<R>), ClientError> {
        let request = Request::Connect(Connect { port });
        let (asks, mut answers) = self.ask(request).await?;
        let answer = answers.next_soon().await?;
        if answer == Answer::Connected {
            return Ok((asks, answers));
        }
        Err(ClientError::from_answer(answer))
    }

    async fn ask_once(self, request: Request) -> Result<Answer, ClientError> {
        let (_asks, mut answers) = self.ask(request).await?;
        answers.next_soon().await
    }
}

async fn send_content<W: AsyncWrite + Unpin>(
    asks: &mut Asks<W>,
    mut content: Upload,
) -> Result<(), ClientError> {
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

impl<R: AsyncRead + Unpin, W> Watch<R, W> {
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
