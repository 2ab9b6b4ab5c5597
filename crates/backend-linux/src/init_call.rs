//! Short calls to process 1 of a sandbox.

use std::io;
use std::path::Path;
use std::time::Duration;

use palisade_init_protocol::answer::Answer;
use palisade_init_protocol::frame::Assembler;
use palisade_init_protocol::request::{Request, Stop};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time;

/// How long process 1 may take to answer a short call.
const LIMIT: Duration = Duration::from_secs(5);

/// Has the main process asked to end, and everything killed after the grace.
pub(crate) async fn stop(socket: &Path, grace: Duration) -> io::Result<()> {
    let stop = Stop {
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        signal: None,
    };
    let answer = time::timeout(LIMIT, call(socket, Request::Stop(stop)));
    match answer.await?? {
        // It has ended already, or is about to: that is as good.
        Some(Answer::Done | Answer::Ending) | None => Ok(()),
        Some(other) => Err(io::Error::other(format!("unexpected answer {other:?}"))),
    }
}

/// Sends a request and takes the first answer, if there is one.
async fn call(socket: &Path, request: Request) -> io::Result<Option<Answer>> {
    let frame = request.encode().map_err(io::Error::other)?;
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&frame).await?;
    let mut frames = Assembler::default();
    let mut buffer = vec![0; 4_096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(None);
        }
        let mut rest = &buffer[..count];
        while let Some(body) = frames.push(&mut rest).map_err(io::Error::other)? {
            // Kinds of a later version are passed over.
            if let Some(answer) = Answer::decode(body).map_err(io::Error::other)? {
                return Ok(Some(answer));
            }
        }
    }
}
