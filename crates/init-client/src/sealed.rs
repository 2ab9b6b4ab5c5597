//! A sealed way over a connection that others can see: both ends know a key.
//!
//! What is written is held back until it is flushed or much of it waits, so that
//! a frame goes out as a whole. Invariant: nothing is read that somebody without
//! the key could have said, or changed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use palisade_init_channel::{Broken, GREETING_BYTES, Handshake, Opener, PLAIN_BYTES_MAX, Sealer};
use palisade_init_protocol::agent::Key;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// How much is read at once, and from how much on what was written goes out.
const BUFFER_BYTES: usize = 64 * 1024;

/// Reads what was sealed.
#[derive(Debug)]
pub struct SealedReader<R> {
    half: R,
    opener: Opener,
    plain: Vec<u8>,
    /// How much of that was taken.
    taken: usize,
    buffer: Box<[u8]>,
}

/// Seals what is written.
#[derive(Debug)]
pub struct SealedWriter<W> {
    half: W,
    sealer: Sealer,
    sealed: Vec<u8>,
    /// How much of that was sent.
    sent: usize,
}

/// Finds out whether the other end knows the key, and shows that this one does.
///
/// The caller limits how long that may take.
pub async fn shake_hands<R, W>(
    mut reader: R,
    mut writer: W,
    key: &Key,
) -> io::Result<(SealedReader<R>, SealedWriter<W>)>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut handshake = Handshake::caller(key.bytes()).map_err(broken)?;
    writer
        .write_all(&handshake.greet().map_err(broken)?)
        .await?;
    writer.flush().await?;
    let mut greeting = [0; GREETING_BYTES];
    reader.read_exact(&mut greeting).await?;
    handshake.hear(&greeting).map_err(broken)?;
    let (sealer, opener) = handshake.finish().map_err(broken)?;
    let reader = SealedReader {
        half: reader,
        opener,
        plain: Vec::new(),
        taken: 0,
        buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
    };
    let writer = SealedWriter {
        half: writer,
        sealer,
        sealed: Vec::new(),
        sent: 0,
    };
    Ok((reader, writer))
}

fn broken(error: Broken) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: AsyncRead + Unpin> AsyncRead for SealedReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let plain = &this.plain[this.taken..];
            if !plain.is_empty() {
                let taken = plain.len().min(buffer.remaining());
                buffer.put_slice(&plain[..taken]);
                this.taken += taken;
                return Poll::Ready(Ok(()));
            }
            this.plain.clear();
            this.taken = 0;
            if this.opener.next(&mut this.plain).map_err(broken)? {
                continue;
            }
            let mut sealed = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.half).poll_read(context, &mut sealed))?;
            if sealed.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.opener.push(sealed.filled());
        }
    }
}

impl<W: AsyncWrite + Unpin> SealedWriter<W> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.sealed.len() {
            let rest = &self.sealed[self.sent..];
            let sent = ready!(Pin::new(&mut self.half).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.sealed.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for SealedWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.sealed.len() >= BUFFER_BYTES {
            ready!(this.poll_send(context))?;
        }
        let bytes = &bytes[..bytes.len().min(PLAIN_BYTES_MAX)];
        this.sealer.seal(bytes, &mut this.sealed).map_err(broken)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.half).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.half).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

    use super::*;

    type Caller = (
        SealedReader<ReadHalf<DuplexStream>>,
        SealedWriter<WriteHalf<DuplexStream>>,
    );

    /// A caller, and what answers: bare, so that a test sees what is on the way.
    async fn connected(room: usize) -> (Caller, DuplexStream, Sealer, Opener) {
        let key = Key::new([9; Key::LEN]);
        let (near, mut far) = duplex(room);
        let (reader, writer) = split(near);
        let answer = async {
            let mut answerer = Handshake::answerer(&[9; Key::LEN]).unwrap();
            let mut greeting = [0; GREETING_BYTES];
            far.read_exact(&mut greeting).await.unwrap();
            answerer.hear(&greeting).unwrap();
            far.write_all(&answerer.greet().unwrap()).await.unwrap();
            answerer.finish().unwrap()
        };
        let (caller, (sealer, opener)) = tokio::join!(shake_hands(reader, writer, &key), answer);
        (caller.unwrap(), far, sealer, opener)
    }

    const LONG_LEN: usize = 300_000;

    /// Sends back what it is told, once it has all of it.
    async fn mirror(far: DuplexStream, mut sealer: Sealer, mut opener: Opener) {
        let (mut from, mut to) = split(far);
        let (mut buffer, mut plain) = ([0; 77], Vec::new());
        while plain.len() < LONG_LEN {
            let read = from.read(&mut buffer).await.unwrap();
            opener.push(&buffer[..read]);
            while opener.next(&mut plain).unwrap() {}
        }
        let mut records = Vec::new();
        sealer.seal(&plain, &mut records).unwrap();
        to.write_all(&records).await.unwrap();
    }

    #[tokio::test]
    async fn much_goes_both_ways_through_a_narrow_one() {
        let ((mut reader, mut writer), far, sealer, opener) = connected(100).await;
        let long: Vec<u8> = (0..=255).cycle().take(LONG_LEN).collect();
        let write = async {
            writer.write_all(&long).await.unwrap();
            writer.flush().await.unwrap();
        };
        let mut back = vec![0; long.len()];
        let mirror = mirror(far, sealer, opener);
        let (_, (), ()) = tokio::join!(reader.read_exact(&mut back), write, mirror);
        assert!(back == long, "it came back as it was");
    }

    #[tokio::test]
    async fn nothing_goes_out_before_it_is_flushed() {
        let ((_reader, mut writer), mut far, _, _) = connected(1000).await;
        writer.write_all(b"a").await.unwrap();
        writer.write_all(b"b").await.unwrap();
        let mut byte = [0; 1];
        let early = tokio::time::timeout(std::time::Duration::ZERO, far.read(&mut byte)).await;
        assert!(early.is_err(), "{early:?}");
        writer.flush().await.unwrap();
        assert_eq!(far.read(&mut byte).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_was_changed_on_the_way_is_no_answer() {
        let ((mut reader, _writer), mut far, mut sealer, _) = connected(1000).await;
        let mut record = Vec::new();
        sealer.seal(b"yes", &mut record).unwrap();
        record[5] ^= 1;
        far.write_all(&record).await.unwrap();
        let read = reader.read(&mut [0; 10]).await;
        let kind = read.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn somebody_without_the_key_is_found_out() {
        let (near, mut far) = duplex(1000);
        let (reader, writer) = split(near);
        far.write_all(&[0; GREETING_BYTES]).await.unwrap();
        let shaken = shake_hands(reader, writer, &Key::new([9; Key::LEN])).await;
        assert!(shaken.is_err());
    }
}
