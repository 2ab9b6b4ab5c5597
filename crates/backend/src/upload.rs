//! A file on its way into a sandbox.
//!
//! Its size is known from the beginning; its pieces come one by one, so that they can
//! be written before the last one is there. Invariant: who reads to the end has read
//! exactly as many bytes as were announced; everything else is an error, which is what
//! keeps half a file from taking the place of a whole one.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::attach::AttachError;

/// Pieces that may wait for whoever writes them.
const PIECES_MAX: usize = 4;

/// A file on its way into a sandbox.
#[derive(Debug)]
pub struct Upload {
    size_bytes: u64,
    left: u64,
    pieces: mpsc::Receiver<Bytes>,
}

impl Upload {
    /// A file whose pieces are sent as they come.
    pub fn coming(size_bytes: u64) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let upload = Self {
            size_bytes,
            left: size_bytes,
            pieces,
        };
        (sender, upload)
    }

    /// How large it is.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The next piece, or `None` once all of it was there.
    ///
    /// Fails if the rest never comes, or more than was announced.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AttachError> {
        if self.left == 0 {
            return Ok(None);
        }
        let piece = self.pieces.recv().await.ok_or(AttachError::Lost)?;
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or(AttachError::Lost)?;
        Ok(Some(piece))
    }

    /// All of it, in memory.
    pub async fn collect(mut self) -> Result<Bytes, AttachError> {
        let mut content = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if piece.len() as u64 == self.size_bytes {
                return Ok(piece);
            }
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }
}

impl From<Bytes> for Upload {
    /// A file that is there as a whole.
    fn from(content: Bytes) -> Self {
        let (sender, upload) = Self::coming(content.len() as u64);
        // The channel is new and empty, so that it always fits.
        let _ = sender.try_send(content);
        upload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_as_large_as_was_announced_or_an_error() {
        let whole = Upload::from(Bytes::from("12345"));
        assert_eq!(whole.size_bytes(), 5);
        assert_eq!(whole.collect().await.unwrap(), "12345");
        assert_eq!(Upload::from(Bytes::new()).collect().await.unwrap(), "");
        let cases = [
            (["12", "345"], Ok(Bytes::from("12345"))),
            (["12", "3"], Err(AttachError::Lost)),
            (["12", "3456"], Err(AttachError::Lost)),
        ];
        for ([first, second], outcome) in cases {
            let (sender, upload) = Upload::coming(5);
            sender.send(first.into()).await.unwrap();
            sender.send(second.into()).await.unwrap();
            drop(sender);
            assert_eq!(upload.collect().await, outcome);
        }
    }
}
