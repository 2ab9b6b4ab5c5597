//! Snapshots of file systems: taking, keeping and giving them back.
//!
//! The record is in the store, and the bytes are where [`Blobs`] has them; both
//! are of one organization. A snapshot is taken by a task of this gateway, which
//! says again and again that it lives; what nobody works on any more is ended by
//! whichever gateway sees that first.

mod buckets;
mod calls;
mod failure;
mod giving;
mod restoring;
mod taking;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use palisade_blob::{BlobName, Blobs};
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::snapshot::{Snapshot, SnapshotLimits};
use palisade_store::snapshot::Bucket;
use tokio::sync::Notify;

use crate::access::Access;
use crate::error::ApiResult;
use crate::hub::Hub;
use crate::tools::Tools;

pub use buckets::{BadBucket, Buckets};
pub(crate) use calls::limit;
pub(crate) use giving::Chunks;
pub(crate) use taking::Wanted;
pub(crate) use upkeep::SnapshotUpkeep;

/// How a gateway keeps snapshots.
#[derive(Clone, Debug)]
pub struct SnapshotSettings {
    /// The server's own store.
    pub own: Arc<dyn Blobs>,
    /// What that is called, if it is a bucket.
    pub own_bucket: Option<String>,
    /// The way to buckets of organizations, if this server has one.
    pub buckets: Option<Arc<dyn Buckets>>,
    /// The most that each organization may have.
    pub limits: SnapshotLimits,
    /// The largest file system of a sandbox.
    pub mount_bytes_max: u64,
    /// How long taking a snapshot may last that nobody set a limit for.
    pub take_time: Duration,
}

/// Serves everything about snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    tools: Tools,
    hub: Hub,
    access: Access,
    settings: Option<Arc<SnapshotSettings>>,
    /// Told whenever one of this gateway became ready or failed.
    news: Arc<Notify>,
}

impl Snapshots {
    pub(crate) fn new(tools: Tools, hub: Hub) -> Self {
        Self {
            access: Access::new(tools.clone(), hub.clone()),
            settings: tools.config.snapshots.clone().map(Arc::new),
            tools,
            hub,
            news: Arc::default(),
        }
    }

    pub(crate) fn settings(&self) -> ApiResult<&SnapshotSettings> {
        self.settings.as_deref().ok_or_else(|| {
            let message = "this server keeps no file-system snapshots";
            let refusal = Refusal::new(Reason::FssNotSupported, message);
            refusal.with("feature", "file_system_snapshots").into()
        })
    }

    /// Where the bytes of a snapshot lie.
    async fn blobs_of(&self, snapshot: &Snapshot) -> ApiResult<Arc<dyn Blobs>> {
        let settings = self.settings()?;
        if snapshot.bucket.is_empty() {
            return Ok(Arc::clone(&settings.own));
        }
        let current = self.current_bucket(&snapshot.organization).await?;
        match current {
            Some(bucket) if bucket.name == snapshot.bucket => {
                self.open_bucket(&snapshot.organization, &bucket).await
            }
            other => {
                let used = match &other {
                    Some(bucket) => format!("{:?}", bucket.name),
                    None => "the server's own store".to_owned(),
                };
                Err(Refusal::new(
                    Reason::FssBucketMismatch,
                    format!(
                        "the snapshot lies in bucket {:?}, and the organization uses {used} now; \
                         set the bucket back to reach it",
                        snapshot.bucket
                    ),
                )
                .with("object_bucket", snapshot.bucket.clone())
                .with("current_bucket", settings.effective(other.as_ref()))
                .into())
            }
        }
    }
}

impl SnapshotSettings {
    /// The bucket in which snapshots are kept where this one was chosen; empty where it
    /// is a directory of the server.
    fn effective(&self, chosen: Option<&Bucket>) -> String {
        let chosen = chosen.map(|bucket| &bucket.name);
        chosen
            .or(self.own_bucket.as_ref())
            .cloned()
            .unwrap_or_default()
    }
}

/// The name of what a snapshot consists of, if that is known.
fn blob_name(snapshot: &Snapshot) -> Option<BlobName> {
    let content = snapshot.content?;
    Some(BlobName {
        organization: OrganizationId::clone(&snapshot.organization),
        digest: content.digest,
    })
}
