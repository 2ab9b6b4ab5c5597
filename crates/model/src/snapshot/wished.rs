//! What a wish for a file system comes to. Pure: whoever starts sandboxes and
//! whoever explains what a start would come to decide alike.

use super::{FileSystem, MOUNT_BYTES_DEFAULT, Restore, Snapshot};
use crate::quantity::Quantity;
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::sandbox::FileSystemWish;

impl FileSystem {
    /// The file system that is wished, of at most so many bytes; filled with the
    /// snapshot that the wish names, if it names one.
    pub fn of(
        wish: &FileSystemWish,
        snapshot: Option<&Snapshot>,
        bytes_max: u64,
    ) -> Result<Self, Refusal> {
        let bytes = size(wish, snapshot);
        if bytes > bytes_max {
            return Err(too_large(bytes, bytes_max));
        }
        let restore = snapshot.map(|snapshot| restore(snapshot, bytes));
        Ok(Self {
            mount_path: wish.mount_path.clone(),
            bytes,
            restore: restore.transpose()?,
        })
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
