//! The task that ends what nobody works on any more.
//!
//! Inputs: the clock and the store. Outputs: snapshots whose gateway is gone are
//! ready if their bytes are there, and failed if not; what is being deleted goes;
//! sandboxes that should end after their snapshot are asked to. It ends when it
//! is cancelled, at any point without harm.

use std::time::Duration;

use palisade_blob::BlobError;
use palisade_model::clock::Timestamp;
use palisade_model::reason::Reason;
use palisade_model::snapshot::{Snapshot, SnapshotChange, Status};
use palisade_store::PageSize;
use tokio::time;
use tracing::{info, warn};

use super::taking::{TOUCH, remove_content};
use super::{Snapshots, blob_name};
use crate::error::{ApiError, ApiResult};

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(5);
/// What was not touched for so long has nobody who works on it.
const LEASE: Duration = Duration::from_secs(20);
/// What somebody may be about to do himself is left to him for so long.
const LEAVE: Duration = Duration::from_secs(10);

const _: () = assert!(LEASE.as_secs() >= 3 * TOUCH.as_secs());

/// Keeps snapshots from being half-way for ever.
#[derive(Debug)]
pub(crate) struct SnapshotUpkeep(pub(crate) Snapshots);

impl SnapshotUpkeep {
    /// Runs until the gateway stops.
    pub(crate) async fn run(self) {
        let Self(snapshots) = self;
        let stop = snapshots.tools.stop.clone();
        // Dropped half way, a pass leaves work that the next one finds.
        while stop.run_until_cancelled(snapshots.round()).await.is_some() {}
    }
}

impl Snapshots {
    async fn round(&self) {
        match self.tools.store.unfinished_snapshots(PageSize::MAX).await {
            Ok(unfinished) => {
                for snapshot in unfinished {
                    self.finish(&snapshot).await;
                }
            }
            Err(error) => warn!(%error, "could not look for unfinished snapshots"),
        }
        time::sleep(PERIOD).await;
    }

    async fn finish(&self, snapshot: &Snapshot) {
        let now = self.tools.now();
        let is_left = |for_long: Duration| now.saturating_since(snapshot.updated_at) >= for_long;
        let done = match snapshot.status {
            Status::Creating if is_left(LEASE) => self.end(snapshot, now).await,
            Status::Deleting if is_left(LEAVE) => self.forget(snapshot).await,
            Status::Ready if is_left(LEAVE) => self.ask_to_stop(snapshot).await,
            Status::Creating | Status::Deleting | Status::Ready | Status::Failed(_) => Ok(()),
        };
        if let Err(error) = done {
            let cause = error.chain();
            let why = error.refusal.message;
            warn!(snapshot.id = %snapshot.id, cause, why, "a snapshot is still unfinished");
        }
    }

    /// Nobody takes it any more.
    async fn end(&self, snapshot: &Snapshot, now: Timestamp) -> ApiResult<()> {
        let is_there = match (blob_name(snapshot), snapshot.content) {
            (Some(name), Some(content)) => {
                let blobs = self.blobs_of(snapshot).await?;
                match blobs.size(&name).await {
                    Ok(bytes) => bytes == Some(content.bytes),
                    // It may be there; the next round asks again.
                    Err(error @ (BlobError::Throttled | BlobError::Unreachable(_))) => {
                        return Err(ApiError::internal(error));
                    }
                    Err(_) => false,
                }
            }
            (None, _) | (_, None) => false,
        };
        let change = if is_there {
            SnapshotChange::Stored
        } else {
            SnapshotChange::Failed(format!(
                "{}: the server that took it ended before it was ready; take it again",
                Reason::FssCreateFailed
            ))
        };
        info!(snapshot.id = %snapshot.id, is_ready = is_there, "an abandoned snapshot is ended");
        let store = &self.tools.store;
        let changed = store.change_snapshot(&snapshot.organization, snapshot.id, change, now);
        match changed.await {
            Ok(_) | Err(palisade_store::GetError::NotFound) => Ok(()),
            Err(palisade_store::GetError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Removes the bytes of what is being deleted, and then the record.
    pub(super) async fn forget(&self, snapshot: &Snapshot) -> ApiResult<()> {
        let blobs = self.blobs_of(snapshot).await?;
        let removed = remove_content(&*blobs, snapshot).await;
        removed.map_err(ApiError::internal)?;
        let store = &self.tools.store;
        Ok(store
            .finish_deletion(&snapshot.organization, snapshot.id)
            .await?)
    }
}
