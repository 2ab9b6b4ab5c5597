//! Snapshots of file systems, as the protocol tells of them.

use palisade_model::id::SnapshotId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::snapshot::{Snapshot, Status, Trigger};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use super::time::timestamp;
use crate::proto::v1beta2 as pb;

/// A snapshot as the protocol carries it. `own_bucket` is the server's own store, if
/// that is a bucket, and else empty.
pub fn snapshot_message(snapshot: &Snapshot, own_bucket: &str) -> pb::FileSystemSnapshot {
    let Snapshot {
        id,
        organization: _,
        user: _,
        source,
        mount_bytes: _,
        trigger,
        idempotency_key,
        bucket,
        status,
        content,
        stop_grace_ms: _,
        created_at,
        updated_at,
        completed_at,
    } = snapshot;
    let (phase, reason) = match status {
        Status::Creating => (pb::FileSystemSnapshotStatus::Creating, ""),
        Status::Ready => (pb::FileSystemSnapshotStatus::Ready, ""),
        Status::Failed(reason) => (pb::FileSystemSnapshotStatus::Failed, reason.as_str()),
        Status::Deleting => (pb::FileSystemSnapshotStatus::Deleting, ""),
    };
    let trigger = match trigger {
        Trigger::Manual => pb::FileSystemSnapshotTrigger::Manual,
        Trigger::Stop => pb::FileSystemSnapshotTrigger::Stop,
    };
    // Only what is ready has a size: before, nothing of it may be there.
    let bytes = content.filter(|_| *status == Status::Ready);
    let bytes = bytes.map_or(0, |content| content.bytes);
    pb::FileSystemSnapshot {
        file_system_snapshot_id: id.to_string(),
        status: phase.into(),
        status_reason: reason.to_owned(),
        size_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        created_at: Some(timestamp(*created_at)),
        updated_at: Some(timestamp(*updated_at)),
        completed_at: completed_at.map(timestamp),
        source_sandbox_id: source.to_string(),
        trigger: trigger.into(),
        idempotency_key: idempotency_key.clone(),
        object_bucket: if bucket.is_empty() {
            own_bucket.to_owned()
        } else {
            bucket.clone()
        },
    }
}

/// The id of a snapshot; a text that is none names one that does not exist.
pub fn snapshot_id(text: &str) -> Result<SnapshotId, Refusal> {
    if text.is_empty() {
        let path = FieldPath::root().key("file_system_snapshot_id");
        let violation = Violation::new(path, ViolationKind::Required, "is needed");
        return Err(Refusal::invalid(vec![violation]));
    }
    text.parse().map_err(|_| snapshot_not_found(text))
}

/// The refusal of a snapshot that the organization does not have.
pub fn snapshot_not_found(id: &str) -> Refusal {
    let shown: String = id.chars().take(128).collect();
    Refusal::new(
        Reason::FssNotFound,
        format!("there is no file-system snapshot {shown:?}; list them to see which there are"),
    )
    .with("file_system_snapshot_id", shown)
}

#[cfg(test)]
mod tests {
    use palisade_model::testing::sample_snapshot;

    use super::*;

    #[test]
    fn only_what_is_ready_has_a_size() {
        let ready = snapshot_message(&sample_snapshot(), "");
        assert_eq!(ready.size_bytes, 10);
        assert_eq!(ready.status(), pb::FileSystemSnapshotStatus::Ready);
        let failed = snapshot_message(
            &Snapshot {
                status: Status::Failed("why".into()),
                ..sample_snapshot()
            },
            "",
        );
        assert_eq!(
            (failed.size_bytes, failed.status_reason.as_str()),
            (0, "why")
        );
    }

    #[test]
    fn a_snapshot_lies_in_its_bucket_or_in_that_of_the_server() {
        let of = |bucket: &str, own| {
            let snapshot = Snapshot {
                bucket: bucket.to_owned(),
                ..sample_snapshot()
            };
            snapshot_message(&snapshot, own).object_bucket
        };
        assert_eq!(of("mine", "of-the-server"), "mine");
        assert_eq!(of("", "of-the-server"), "of-the-server");
        assert_eq!(of("", ""), "");
    }

    #[test]
    fn a_text_that_is_no_id_names_nothing() {
        let refusal = snapshot_id("fss-1").unwrap_err();
        assert_eq!(refusal.reason, Reason::FssNotFound);
        let refusal = snapshot_id("").unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidRequest);
    }
}
