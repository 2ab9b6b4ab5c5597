//! Where backends get what a sandbox is to be filled with.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_model::id::SandboxId;
use tokio::sync::mpsc;

/// Brings the archive of the snapshot that the launch of a sandbox names.
///
/// # Contract
///
/// * The archive comes piece by piece, in order, and no faster than it is taken.
/// * A channel that closes without an error has brought all of it; whether it is
///   the right one is for the receiver to find out.
/// * Nothing is kept: each call begins with the first byte.
#[async_trait]
pub trait SnapshotSource: Debug + Send + Sync + 'static {
    /// Begins to bring the archive for a sandbox that this runner holds.
    async fn fetch(
        &self,
        id: SandboxId,
    ) -> Result<mpsc::Receiver<Result<Bytes, FetchError>>, FetchError>;
}

/// Why an archive does not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Whoever keeps it does not give it.
    #[error("{message}")]
    Refused {
        /// Why, in words for a person.
        message: String,
    },
    /// The way there broke; it can be tried again.
    #[error("the connection over which the snapshot comes was lost")]
    Lost,
}
