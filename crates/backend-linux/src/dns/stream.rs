//! One connection of a sandbox to the resolver.
//!
//! Questions are answered one after the other. The connection ends after a
//! while of silence, after many questions, and at anything that a sandbox which
//! means well does not do.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer;
use super::question;
use super::service::{Decision, Service};
use super::tally::Cause;

/// How long a sandbox has for its next question.
const QUESTION_WAIT: Duration = Duration::from_secs(5);
/// How long it has to take an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const QUESTIONS_MAX: usize = 100;

/// How a connection went on.
enum Turn {
    Next,
    End,
}

/// Serves a connection to its end.
pub(super) async fn serve(service: &Service, mut stream: TcpStream, from: IpAddr) {
    for _ in 0..QUESTIONS_MAX {
        match take_turn(service, &mut stream, from).await {
            Ok(Turn::Next) => {}
            Ok(Turn::End) => return,
            Err(_) => {
                service.drop_for(Cause::Connection);
                return;
            }
        }
    }
}

async fn take_turn(service: &Service, stream: &mut TcpStream, from: IpAddr) -> io::Result<Turn> {
    let Some(packet) = timeout(QUESTION_WAIT, receive(stream)).await?? else {
        return Ok(Turn::End);
    };
    let answer = match service.decide(&packet, from) {
        Decision::Nothing => return Ok(Turn::End),
        Decision::Reply(_, answer) => *answer,
        Decision::Forward(forward) => service.forward(&forward).await,
    };
    let Some(bytes) = answer::stream(&answer) else {
        return Ok(Turn::End);
    };
    let len = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let framed = [&len.to_be_bytes(), bytes.as_slice()].concat();
    timeout(ANSWER_WAIT, stream.write_all(&framed)).await??;
    Ok(Turn::Next)
}

/// The next question, or `None` if the sandbox has none.
async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let len = match stream.read_u16().await {
        Ok(len) => usize::from(len),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if len > question::LEN_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; len];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}
