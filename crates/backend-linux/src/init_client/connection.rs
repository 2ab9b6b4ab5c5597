//! A connection to process 1, frame by frame.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BufMut as _};
use palisade_init_protocol::answer::Answer;
use palisade_init_protocol::frame::Assembler;
use palisade_init_protocol::request::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time;

use super::client::ClientError;

/// How long process 1 may take to answer what it does not have to work for.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How much is read at once of what is short.
const READ_BYTES: usize = 16 * 1024;

/// From how much on the rest of a frame is read by itself.
const LONG_BYTES: usize = 8 * 1024;

/// The longest path that a socket address holds.
const ADDRESS_BYTES_MAX: usize = 107;

/// What process 1 says.
#[derive(Debug)]
pub(super) struct Answers {
    half: OwnedReadHalf,
    frames: Assembler,
    buffer: Box<[u8]>,
    /// Which bytes of the buffer are still to be taken.
    unread: std::ops::Range<usize>,
}

/// What is said to process 1.
#[derive(Debug)]
pub(super) struct Asks {
    half: OwnedWriteHalf,
}

/// Connects, and asks.
pub(super) async fn ask(path: &Path, request: Request) -> Result<(Asks, Answers), ClientError> {
    let frame = request.encode().map_err(|_| ClientError::TooLong)?;
    let asked = time::timeout(ANSWER_LIMIT, async {
        let (reader, writer) = connect(path).await?.into_split();
        let mut asks = Asks { half: writer };
        asks.send(frame).await?;
        Ok((asks, Answers::new(reader)))
    });
    asked.await.map_err(|_| ClientError::Silent)?
}

async fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    let connected = if path.as_os_str().len() > ADDRESS_BYTES_MAX {
        connect_far(path).await
    } else {
        UnixStream::connect(path).await
    };
    connected.map_err(|error| {
        // The end of process 1 leaves the socket behind with nobody at it.
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        if nobody.contains(&error.kind()) {
            ClientError::NotRunning
        } else {
            ClientError::Lost(error)
        }
    })
}

/// Connects through a descriptor of the directory, which has a short name.
async fn connect_far(path: &Path) -> io::Result<UnixStream> {
    let (directory, name) = super::launch::directory_and_name(path)?;
    UnixStream::connect(super::launch::short_path(&directory, name)).await
}

impl Answers {
    fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            frames: Assembler::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            unread: 0..0,
        }
    }

    /// The next answer. Nothing is lost if this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Answer, ClientError> {
        loop {
            let mut unread = &self.buffer[self.unread.clone()];
            let body = self.frames.push(&mut unread);
            self.unread.start = self.unread.end - unread.len();
            let body = body.map_err(|_| ClientError::Nonsense)?;
            if let Some(body) = body {
                match Answer::decode(body) {
                    Ok(Some(answer)) => return Ok(answer),
                    // What only a later version says is passed over.
                    Ok(None) => continue,
                    Err(_) => return Err(ClientError::Nonsense),
                }
            }
            if self.read().await.map_err(ClientError::Lost)? == 0 {
                return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads the rest of a long frame to where it stays, and what is short by way of the
    /// buffer, several at a time. Everything unread was taken before.
    async fn read(&mut self) -> io::Result<usize> {
        if let Some((body, missing)) = self.frames.rest()
            && missing >= LONG_BYTES
        {
            return self.half.read_buf(&mut body.limit(missing)).await;
        }
        let read = self.half.read(&mut self.buffer).await?;
        self.unread = 0..read;
        Ok(read)
    }

    /// The next answer, if it comes in time.
    pub(super) async fn next_soon(&mut self) -> Result<Answer, ClientError> {
        let answer = time::timeout(ANSWER_LIMIT, self.next()).await;
        answer.map_err(|_| ClientError::Silent)?
    }
}

impl Asks {
    /// Sends a frame. Must not be dropped before it is ready.
    pub(super) async fn send(&mut self, mut frame: impl Buf) -> Result<(), ClientError> {
        let sent = self.half.write_all_buf(&mut frame).await;
        sent.map_err(ClientError::Lost)
    }
}
