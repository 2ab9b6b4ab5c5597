//! Snapshots, and generators of file systems.

use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{SandboxId, SnapshotId};
use crate::snapshot::{
    Content, ContentDigest, FileSystem, MountPath, Restore, Snapshot, Status, Trigger,
};

/// A snapshot with nothing special about it; it is ready.
pub fn sample_snapshot() -> Snapshot {
    let at = Timestamp::from_micros(1_000_000);
    Snapshot {
        id: SnapshotId::new(Uuid::from_u128(3)),
        organization: "acme".parse().expect("the sample uses valid names"),
        user: Some("ada".parse().expect("the sample uses valid names")),
        source: SandboxId::new(Uuid::from_u128(1)),
        mount_bytes: 1 << 30,
        trigger: Trigger::Manual,
        idempotency_key: String::new(),
        bucket: String::new(),
        status: Status::Ready,
        content: Some(Content {
            digest: ContentDigest::new([7; 32]),
            bytes: 10,
            file_bytes: 20,
        }),
        stop_grace_ms: None,
        created_at: at,
        updated_at: at,
        completed_at: Some(at),
    }
}

/// Any file system of a sandbox.
pub fn file_system() -> impl Strategy<Value = FileSystem> {
    let path = "/[a-c]{1,3}(/[x-z]{1,3})?";
    let path = path.prop_map(|text| MountPath::new(&text).expect("the path is valid"));
    let content = (any::<[u8; 32]>(), any::<u64>(), any::<u64>());
    let restore = (any::<u128>(), content).prop_map(|(id, (digest, bytes, file_bytes))| Restore {
        snapshot: SnapshotId::new(Uuid::from_u128(id)),
        content: Content {
            digest: ContentDigest::new(digest),
            bytes,
            file_bytes,
        },
    });
    (path, any::<u64>(), option::of(restore)).prop_map(|(mount_path, bytes, restore)| FileSystem {
        mount_path,
        bytes,
        restore,
    })
}
