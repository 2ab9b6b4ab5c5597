//! One sealed connection to an agent, which ends when the agent does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use palisade_init_client::{Connection, Peer, SealedReader, SealedWriter, shake_hands};
use palisade_init_protocol::agent::Key;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Failure;

/// How long a connection and its handshake may take. A policy that closes the way
/// lets the first of them run into this.
const OPEN_LIMIT: Duration = Duration::from_secs(3);

/// A connection to an agent, for one request.
pub(crate) type Way =
    Connection<UntilGone<SealedReader<OwnedReadHalf>>, SealedWriter<OwnedWriteHalf>>;

/// Reads from an agent until it is known to be gone: a node that is lost says
/// nothing on its connections.
#[derive(Debug)]
pub(crate) struct UntilGone<R> {
    half: R,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Connects to whoever listens there and knows the key.
pub(super) async fn open(
    address: SocketAddr,
    key: &Key,
    gone: &CancellationToken,
) -> Result<Way, Failure> {
    let opened = time::timeout(OPEN_LIMIT, async {
        let stream = TcpStream::connect(address).await?;
        // Small pieces are somebody's typing; they must not wait.
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        shake_hands(reader, writer, key).await
    });
    let (reader, writer) = opened
        .await
        .map_err(|_| Failure::Silent)?
        .map_err(Failure::NotReached)?;
    let reader = UntilGone {
        half: reader,
        gone: Box::pin(gone.clone().cancelled_owned()),
    };
    Ok(Connection::new(reader, writer, Peer::Agent))
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilGone<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // What it said before it went is still heard.
        let read = Pin::new(&mut this.half).poll_read(context, buffer);
        if read.is_pending() && this.gone.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_ends_with_the_agent_and_not_before_all_was_heard() {
        let (near, mut far) = duplex(64);
        let gone = CancellationToken::new();
        let mut reader = UntilGone {
            half: near,
            gone: Box::pin(gone.clone().cancelled_owned()),
        };
        far.write_all(b"last words").await.unwrap();
        gone.cancel();
        let mut heard = Vec::new();
        let read = reader.read_to_end(&mut heard).await;
        let kind = read.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::ConnectionAborted));
        assert_eq!(heard, b"last words");
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gone = CancellationToken::new();
        let opened = open(address, &Key::new([1; Key::LEN]), &gone).await;
        assert!(matches!(opened, Err(Failure::Silent)), "{opened:?}");
    }
}
