//! Fetching one packed layer into a file, from where the last try ended.
//!
//! The file lies under the layer's digest and is hashed as it is written; what
//! is found there is hashed first. It may be anything, as nothing of it counts
//! before the digest of the whole is the expected one. A fetch that fails for a
//! while leaves it for the next; the store takes away what nobody continues.
//!
//! The caller holds the lock of the blob.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::session::{Ask, Attempts, Session};
use crate::digest::Hasher;
use crate::document::Descriptor;
use crate::error::ImageError;
use crate::progress::{Event, Progress};
use crate::store::{Inner, Piece};
use crate::stream::Watched;

/// Pieces of a layer that wait to be written; each is some ten kilobytes.
const QUEUE_LEN: usize = 16;

/// Bytes after which a connection that breaks has been of use.
const USEFUL_BYTES: u64 = 1 << 20;

/// One layer that is to be fetched.
pub(super) struct Fetch<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) session: &'a Session<'a>,
    pub(super) blob: Descriptor,
    pub(super) progress: &'a Progress,
}

/// What has been fetched so far.
struct Partial {
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Fetch<'_> {
    /// Fetches the layer, and gives its whole and verified content.
    pub(super) async fn run(&self) -> Result<Piece, ImageError> {
        let mut partial = self.open().await?;
        let mut is_new = partial.bytes == 0;
        loop {
            partial = self.fill(partial).await?;
            let Partial {
                file,
                hasher,
                bytes,
            } = partial;
            let actual = hasher.finish();
            if actual == self.blob.digest {
                return Ok(Piece::new(Arc::new(file), 0, bytes));
            }
            self.discard();
            if is_new {
                return Err(ImageError::DigestMismatch {
                    what: "a packed layer",
                    expected: self.blob.digest,
                    actual,
                });
            }
            // What lay there was damaged: once more, from the start.
            partial = self.open().await?;
            is_new = true;
        }
    }

    /// Forgets what was fetched.
    pub(super) fn discard(&self) {
        let removed = fs::remove_file(self.path());
        if let Err(error) = removed.or_else(unless_absent) {
            tracing::warn!(%error, "beginning of a layer remains in the image store");
        }
    }

    fn path(&self) -> PathBuf {
        self.inner.partial(&self.blob.digest)
    }

    async fn open(&self) -> Result<Partial, ImageError> {
        let (path, bytes_max) = (self.path(), self.blob.bytes);
        let opened = self
            .inner
            .blocking(move |_, cancel| Partial::open(&path, bytes_max, cancel).map_err(failed));
        opened.await
    }

    /// Fetches what is missing.
    async fn fill(&self, mut partial: Partial) -> Result<Partial, ImageError> {
        let mut attempts = Attempts::new(self.session.settings);
        while partial.bytes < self.blob.bytes {
            let before = partial.bytes;
            let (filled, ended) = self.attempt(partial).await?;
            partial = filled;
            let Err(error) = ended else { continue };
            if partial.bytes >= before.saturating_add(USEFUL_BYTES) {
                attempts = Attempts::new(self.session.settings);
            }
            attempts.after(error).await?;
        }
        Ok(partial)
    }

    /// One connection: what there is after it, and how it ended. The outer
    /// error is one of this machine.
    async fn attempt(
        &self,
        mut partial: Partial,
    ) -> Result<(Partial, Result<(), ImageError>), ImageError> {
        let ask = Ask {
            url: self.session.endpoint.at(
                self.session.reference,
                "blobs",
                &self.blob.digest.to_string(),
            ),
            accept: None,
            from: partial.bytes,
        };
        let limit = self.session.settings.answer_time;
        let answered = timeout(limit, self.session.get(&ask)).await;
        let response = match answered.unwrap_or_else(|_| Err(self.session.too_slow())) {
            Ok(response) => response,
            Err(error) => return Ok((partial, Err(error))),
        };
        if !continues(&response, partial.bytes) {
            partial.restart().map_err(failed)?;
        }
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let error = self
                .session
                .unreachable("it has not the range that was asked for");
            return Ok((partial, Err(error)));
        }
        let (sender, receiver) = mpsc::channel(QUEUE_LEN);
        let begin = partial.bytes;
        let writing = self.inner.blocking(move |_, _| partial.take_all(receiver));
        let (written, ended) = tokio::join!(writing, self.read(response, begin, sender));
        Ok((written?, ended))
    }

    /// Passes the body of an answer on, within the size that it must have.
    async fn read(
        &self,
        mut response: Response,
        begin: u64,
        writer: mpsc::Sender<Bytes>,
    ) -> Result<(), ImageError> {
        let too_long = || {
            let why = "a layer is longer than the manifest says";
            ImageError::malformed("the answer of the registry", why)
        };
        let mut done = begin;
        if response.content_length() > Some(self.blob.bytes - begin) {
            return Err(too_long());
        }
        let mut told = done;
        loop {
            let chunk = timeout(self.session.settings.idle_time, response.chunk()).await;
            let chunk = chunk.map_err(|_| self.session.too_slow())?;
            let Some(chunk) = chunk.map_err(|error| self.session.broken(error))? else {
                break;
            };
            done += chunk.len() as u64;
            if done > self.blob.bytes {
                return Err(too_long());
            }
            if writer.send(chunk).await.is_err() {
                // The writer's own error is the one that counts.
                return Err(ImageError::Cancelled);
            }
            if done >= told + Progress::STEP_BYTES || done == self.blob.bytes {
                told = done;
                self.tell(done);
            }
        }
        if done < self.blob.bytes {
            return Err(self.session.unreachable("the layer ended early"));
        }
        Ok(())
    }

    fn tell(&self, bytes_done: u64) {
        self.progress.tell(Event::Fetching {
            blob: self.blob.digest,
            bytes_done,
            bytes_total: self.blob.bytes,
        });
    }
}

/// Whether the answer goes on where we are; if not, it begins at the start.
fn continues(response: &Response, from: u64) -> bool {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return from == 0;
    }
    let range = response.headers().get(CONTENT_RANGE);
    let text = range.and_then(|value| value.to_str().ok());
    let begin = text.and_then(|text| text.strip_prefix("bytes ")?.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(from))
}

impl Partial {
    fn open(path: &Path, bytes_max: u64, cancel: &CancellationToken) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.mode(0o600).open(path)?;
        let mut partial = Self {
            hasher: Hasher::default(),
            bytes: 0,
            file: file.try_clone()?,
        };
        if file.metadata()?.len() > bytes_max {
            partial.restart()?;
        }
        let mut content = Watched::new(&mut file, cancel, &|_| {});
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                return Ok(partial);
            }
            partial.hasher.update(&buffer[..count]);
            partial.bytes += count as u64;
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.hasher = Hasher::default();
        self.bytes = 0;
        Ok(())
    }

    /// Writes what comes until nothing more does.
    fn take_all(mut self, mut chunks: mpsc::Receiver<Bytes>) -> Result<Self, ImageError> {
        while let Some(chunk) = chunks.blocking_recv() {
            self.file.write_all(&chunk).map_err(failed)?;
            self.hasher.update(&chunk);
            self.bytes += chunk.len() as u64;
        }
        Ok(self)
    }
}

fn unless_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

fn failed(error: io::Error) -> ImageError {
    ImageError::store("fetching a layer", error)
}
