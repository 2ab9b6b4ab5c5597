//! A connection to the program in a sandbox, frame by frame.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut as _};
use palisade_init_protocol::answer::Answer;
use palisade_init_protocol::frame::Assembler;
use palisade_init_protocol::request::Request;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time;

use crate::error::ClientError;

/// How long the other end may take to answer what it does not have to work for.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How much is read at once of what is short.
const READ_BYTES: usize = 16 * 1024;

/// From how much on the rest of a frame is read by itself.
const LONG_BYTES: usize = 8 * 1024;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Process 1: it says how everything ended before it lets go of it, so that one
    /// that is lost is gone, and the sandbox with it.
    ProcessOne,
    /// An agent, or the way to it, may be lost while the sandbox goes on.
    Agent,
}

/// A connection that nothing has been asked on.
#[derive(Debug)]
pub struct Connection<R, W> {
    reader: R,
    writer: W,
    pub(crate) peer: Peer,
}

/// What the other end says.
#[derive(Debug)]
pub(crate) struct Answers<R> {
    half: R,
    frames: Assembler,
    buffer: Box<[u8]>,
    /// Which bytes of the buffer are still to be taken.
    unread: std::ops::Range<usize>,
}

/// What is said to the other end.
#[derive(Debug)]
pub(crate) struct Asks<W> {
    half: W,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// A connection to whoever that is, in its two directions.
    pub fn new(reader: R, writer: W, peer: Peer) -> Self {
        Self {
            reader,
            writer,
            peer,
        }
    }

    /// Says what is wanted.
    pub(crate) async fn ask(self, request: Request) -> Result<(Asks<W>, Answers<R>), ClientError> {
        let frame = request.encode().map_err(|_| ClientError::TooLong)?;
        let mut asks = Asks { half: self.writer };
        let asked = time::timeout(ANSWER_LIMIT, asks.send(frame)).await;
        asked.map_err(|_| ClientError::Silent)??;
        Ok((asks, Answers::new(self.reader)))
    }
}

impl<R: AsyncRead + Unpin> Answers<R> {
    fn new(half: R) -> Self {
        Self {
            half,
            frames: Assembler::default(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            unread: 0..0,
        }
    }

    /// The next answer. Nothing is lost if this is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Answer, ClientError> {
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
    pub(crate) async fn next_soon(&mut self) -> Result<Answer, ClientError> {
        let answer = time::timeout(ANSWER_LIMIT, self.next()).await;
        answer.map_err(|_| ClientError::Silent)?
    }
}

impl<W: AsyncWrite + Unpin> Asks<W> {
    /// Sends a frame. Must not be dropped before it is ready.
    pub(crate) async fn send(&mut self, mut frame: impl Buf) -> Result<(), ClientError> {
        let sent = self.half.write_all_buf(&mut frame).await;
        sent.map_err(ClientError::Lost)?;
        // One that holds something back sends it now; the others have nothing to do.
        self.half.flush().await.map_err(ClientError::Lost)
    }
}
