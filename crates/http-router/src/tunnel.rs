//! Connections that changed their protocol, such as `WebSockets`: bytes both ways
//! until both have ended, or nothing moves for too long.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{self, Instant};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// When something last moved, on a clock of its own.
struct Activity {
    began: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn mark(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for so long.
    async fn silence(&self, pause: Duration) {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let end = self.began + last + pause;
            if Instant::now() >= end {
                return;
            }
            time::sleep_until(end).await;
        }
    }
}

/// Carries bytes both ways.
pub(crate) async fn carry<A, B>(one: A, other: B, pause: Duration) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let activity = Activity {
        began: Instant::now(),
        last_ms: AtomicU64::new(0),
    };
    let (one_in, one_out) = split(one);
    let (other_in, other_out) = split(other);
    let there = pump(one_in, other_out, &activity);
    let back = pump(other_in, one_out, &activity);
    tokio::select! {
        ended = async { tokio::try_join!(there, back) } => ended.map(|_| ()),
        () = activity.silence(pause) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = from.read(&mut chunk).await?;
        activity.mark();
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..len]).await?;
        to.flush().await?;
        activity.mark();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const PAUSE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (mut client, one) = duplex(8);
        let (mut server, other) = duplex(8);
        let carried = carry(one, other, PAUSE);
        let talk = async {
            client.write_all(b"ping").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            server.read_to_string(&mut heard).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            (heard, answer)
        };
        let (carried, (heard, answer)) = tokio::join!(carried, talk);
        carried.unwrap();
        assert_eq!((heard.as_str(), answer.as_str()), ("ping", "pong"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_bytes_put_that_off() {
        let (mut client, one) = duplex(8);
        let (mut server, other) = duplex(8);
        let began = Instant::now();
        let talk = async {
            time::sleep(PAUSE / 2).await;
            client.write_all(b"x").await.unwrap();
            server.read_u8().await.unwrap();
            // Both stay open until the other side ends it.
            assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
        };
        let (carried, ()) = tokio::join!(carry(one, other, PAUSE), talk);
        assert_eq!(carried.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PAUSE + PAUSE / 2);
    }
}
