//! A command that runs in a sandbox, and its two directions.

use bytes::Bytes;
use palisade_init_protocol::answer::{Answer, Ended, Started};
use palisade_init_protocol::request::Input;
use palisade_init_protocol::text::{Data, Stream};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Answers, Asks};
use crate::error::ClientError;

/// How much input goes into one frame: little enough for a signal to get past.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// A command that runs. Dropping both of its directions kills it.
#[derive(Debug)]
pub struct Command<R, W> {
    started: Started,
    input: CommandInput<W>,
    output: CommandOutput<R>,
}

/// What goes into a command.
#[derive(Debug)]
pub struct CommandInput<W> {
    asks: Asks<W>,
}

/// What comes out of a command.
#[derive(Debug)]
pub struct CommandOutput<R> {
    answers: Answers<R>,
}

/// What comes out of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEvent {
    /// Bytes, as they were read.
    Output {
        /// Where they were written to.
        stream: Stream,
        /// The bytes; not empty.
        data: Bytes,
    },
    /// The command ended. Nothing follows.
    Exit(Ended),
}

impl<R, W> Command<R, W> {
    pub(crate) fn new(started: Started, asks: Asks<W>, answers: Answers<R>) -> Self {
        Self {
            started,
            input: CommandInput { asks },
            output: CommandOutput { answers },
        }
    }

    /// Since when it runs, and as what.
    pub fn started(&self) -> Started {
        self.started
    }

    /// Both directions, to be used side by side.
    pub fn split(self) -> (CommandInput<W>, CommandOutput<R>) {
        (self.input, self.output)
    }
}

impl<W: AsyncWrite + Unpin> CommandInput<W> {
    /// Sends bytes to standard input; waits while the command takes none.
    ///
    /// Must not be dropped before it is ready: half a frame would be sent.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let mut part = bytes.split_to(bytes.len().min(INPUT_BYTES_MAX));
            if let Some(data) = Data::split_from(&mut part) {
                self.send(Input::Data(data)).await?;
            }
        }
        Ok(())
    }

    /// Says something to the command; the same holds.
    pub async fn send(&mut self, input: Input) -> Result<(), ClientError> {
        self.asks.send(input.encode()).await
    }
}

impl<R: AsyncRead + Unpin> CommandOutput<R> {
    /// What comes next. Nothing is lost if this is dropped before it is ready.
    pub async fn next(&mut self) -> Result<CommandEvent, ClientError> {
        let answer = self.answers.next().await?;
        if let Answer::Output { stream, data } = &answer {
            let (stream, data) = (*stream, data.bytes().clone());
            return Ok(CommandEvent::Output { stream, data });
        }
        if let Answer::Exit(ended) = answer {
            return Ok(CommandEvent::Exit(ended));
        }
        Err(ClientError::from_answer(answer))
    }
}
