//! What a wish for a file system comes to, when a sandbox is admitted.

use palisade_model::name::OrganizationId;
use palisade_model::quantity::Quantity;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::FileSystemWish;
use palisade_model::snapshot::{FileSystem, MOUNT_BYTES_DEFAULT, Restore, Snapshot};
use palisade_store::GetError;
use palisade_wire::v1beta2::snapshot_not_found;

use super::Snapshots;
use crate::error::ApiResult;

impl Snapshots {
    /// The file system that a sandbox gets.
    pub(crate) async fn file_system(
        &self,
        organization: &OrganizationId,
        wish: Option<&FileSystemWish>,
    ) -> ApiResult<Option<FileSystem>> {
        let Some(wish) = wish else {
            return Ok(None);
        };
        let settings = self.settings()?;
        let snapshot = match wish.snapshot {
            Some(id) => {
                let found = self.tools.store.get_snapshot(organization, id).await;
                let snapshot = found.map_err(|error| match error {
                    GetError::NotFound => snapshot_not_found(&id.to_string()).into(),
                    GetError::Fault(fault) => crate::error::ApiError::from(fault),
                })?;
                // What cannot be reached is refused now, and not in the sandbox.
                self.blobs_of(&snapshot).await?;
                Some(snapshot)
            }
            None => None,
        };
        let bytes = size(wish, snapshot.as_ref());
        if bytes > settings.mount_bytes_max {
            return Err(too_large(bytes, settings.mount_bytes_max).into());
        }
        let restore = snapshot.map(|snapshot| restore(&snapshot, bytes));
        Ok(Some(FileSystem {
            mount_path: wish.mount_path.clone(),
            bytes,
            restore: restore.transpose()?,
        }))
    }
}

/// As asked, or as large as what is restored was, or what everybody gets.
fn size(wish: &FileSystemWish, snapshot: Option<&Snapshot>) -> u64 {
    let asked = wish.size.as_ref();
    let asked = asked.map(|size| Quantity::to_units(size).unwrap_or(u64::MAX));
    let before = snapshot.map(|snapshot| snapshot.mount_bytes);
    asked.or(before).unwrap_or(MOUNT_BYTES_DEFAULT)
}

fn restore(snapshot: &Snapshot, bytes: u64) -> Result<Restore, Refusal> {
    let id = snapshot.id.to_string();
    let Some(restore) = snapshot.restore() else {
        let status = snapshot.status.as_str();
        return Err(Refusal::new(
            Reason::FssNotReady,
            format!("the file-system snapshot is {status}; only one that is ready can be restored"),
        )
        .with("file_system_snapshot_id", id)
        .with("status", status));
    };
    let needed = restore.content.file_bytes;
    // Files with holes need less; whether they fit is seen when they are written.
    let is_full = needed > bytes && snapshot.mount_bytes > bytes;
    if is_full {
        return Err(Refusal::new(
            Reason::FssSizeExceeded,
            format!(
                "the files of the snapshot hold {needed} bytes, and the file system would have \
                 {bytes}; ask for a larger size, or for none"
            ),
        )
        .with("file_system_snapshot_id", id)
        .with("size_bytes", bytes.to_string())
        .with("needed_bytes", needed.to_string()));
    }
    Ok(restore)
}

fn too_large(bytes: u64, most: u64) -> Refusal {
    Refusal::new(
        Reason::FssSizeExceeded,
        format!("file_system.size is {bytes} bytes; at most {most} are allowed"),
    )
    .with("size_bytes", bytes.to_string())
    .with("max_size_bytes", most.to_string())
}
