//! The seam, and what is promised at it.

use std::fmt;
use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use palisade_model::name::OrganizationId;
use palisade_model::snapshot::ContentDigest;

/// What bytes are found under: whose they are, and what they are.
///
/// Two organizations with the same bytes have each their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobName {
    /// Whose.
    pub organization: OrganizationId,
    /// The SHA-256 of the bytes.
    pub digest: ContentDigest,
}

impl fmt::Display for BlobName {
    /// As a path of two parts; both consist of letters, digits, `.`, `_` and `-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "org-{}/{}", self.organization, self.digest)
    }
}

/// Keeps bytes under the name of their content.
///
/// # Contract
///
/// * Bytes are found only once their upload was finished, and then whole, whatever
///   happens to this process or the machine afterwards.
/// * An upload that is dropped, or that does not have as many bytes as announced,
///   leaves nothing that could be found.
/// * The same bytes can be put again, also at the same time.
/// * A download brings the bytes in order, and no faster than they are taken. A
///   channel that closes without an error has brought all that were announced.
/// * What was removed is not found any more; removing what is not there succeeds.
/// * Bytes are given out as they lie there: whether they are what their name says
///   is for the reader to find out.
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// Begins to put as many bytes as announced.
    async fn put(&self, name: &BlobName, bytes: u64) -> Result<Box<dyn Upload>, BlobError>;

    /// Begins to bring bytes.
    async fn get(&self, name: &BlobName) -> Result<Download, BlobError>;

    /// How many bytes there are under a name, if any.
    async fn size(&self, name: &BlobName) -> Result<Option<u64>, BlobError>;

    /// Removes bytes.
    async fn remove(&self, name: &BlobName) -> Result<(), BlobError>;
}

/// Bytes on their way in.
#[async_trait]
pub trait Upload: Debug + Send {
    /// Takes the next piece; returns when there is room for another one.
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError>;

    /// Makes the bytes durable and lets them be found.
    async fn finish(self: Box<Self>) -> Result<(), BlobError>;
}

/// Bytes on their way out.
pub struct Download {
    /// How many there are.
    pub bytes: u64,
    /// The pieces, in order, and an error if they end too early.
    pub chunks: BoxStream<'static, Result<Bytes, BlobError>>,
}

impl Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({} bytes)", self.bytes)
    }
}

/// Why bytes could not be put, brought or removed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There are none under this name.
    #[error("the bytes of the snapshot are not where they were put")]
    NotFound,
    /// There are fewer or more than announced.
    #[error("{found} bytes came, and {announced} were announced")]
    Length {
        /// How many came.
        found: u64,
        /// How many should have come.
        announced: u64,
    },
    /// There is no place for them.
    #[error("there is no place left for snapshots")]
    Full,
    /// The store does not let this server in, or does not exist.
    #[error("the store refuses this server: {0}")]
    Denied(String),
    /// The store does not take the key of this server.
    #[error("the store does not take the key of this server: {0}")]
    KeyRefused(String),
    /// The store has too much to do for now, and said so again and again.
    #[error("the store has too much to do for now")]
    Throttled,
    /// The store could not be reached, or the connection to it broke.
    #[error("the store could not be reached, or the connection to it broke")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed; trying again may help.
    #[error("the store of snapshots failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Counts what comes against what was announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    announced: u64,
    found: u64,
}

impl Count {
    pub(crate) fn of(announced: u64) -> Self {
        Self {
            announced,
            found: 0,
        }
    }

    /// Takes a piece in; more than announced is an error.
    pub(crate) fn add(&mut self, len: usize) -> Result<(), BlobError> {
        self.found = self
            .found
            .saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if self.found > self.announced {
            return Err(self.wrong());
        }
        Ok(())
    }

    /// Takes the next piece in, or the end.
    pub(crate) fn next(&mut self, piece: Option<Bytes>) -> Result<Option<Bytes>, BlobError> {
        match &piece {
            Some(piece) => self.add(piece.len())?,
            None => self.check()?,
        }
        Ok(piece)
    }

    /// Whether all came.
    pub(crate) fn check(&self) -> Result<(), BlobError> {
        if self.found == self.announced {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn wrong(&self) -> BlobError {
        let Self { announced, found } = *self;
        BlobError::Length { found, announced }
    }
}
