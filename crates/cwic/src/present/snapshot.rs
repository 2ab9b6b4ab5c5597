//! How snapshots look to people and to programs.

use std::collections::BTreeMap;

use palisade_wire::proto::v1beta2::{FileSystemSnapshot, FileSystemSnapshotStatus};
use palisade_wire::timestamp;
use palisade_wire::v1beta2::from_timestamp;
use serde_json::{Value, json};

use super::{minute, or_dash, printable};
use crate::listing::Item;
use crate::out::Column;

/// What a table of snapshots shows.
pub(crate) const COLUMNS: [Column; 7] = [
    Column::name("SNAPSHOT", 9),
    Column::whole("STATUS", 8),
    Column::name("SANDBOX", 6),
    Column::whole("BYTES", 5),
    Column::whole("CREATED", 4),
    Column::whole("TRIGGER", 3),
    Column::soft("REASON", 2),
];

/// The state in one word.
fn status_word(status: FileSystemSnapshotStatus) -> &'static str {
    let name = status.as_str_name();
    name.strip_prefix("FILE_SYSTEM_SNAPSHOT_STATUS_")
        .unwrap_or(name)
}

/// A snapshot in every form that it can be shown in.
pub(crate) fn item(told: &FileSystemSnapshot) -> Item {
    let instant = |at| timestamp::format(from_timestamp(at));
    let (status, trigger) = (told.status(), told.trigger());
    let FileSystemSnapshot {
        file_system_snapshot_id,
        status: _,
        status_reason,
        size_bytes,
        created_at,
        updated_at,
        completed_at,
        source_sandbox_id,
        trigger: _,
        idempotency_key,
        object_bucket,
    } = told;
    let created = created_at.map(instant);
    let answer: Value = json!({
        "fileSystemSnapshotId": file_system_snapshot_id,
        "status": status.as_str_name(),
        "statusReason": status_reason,
        "sizeBytes": size_bytes.to_string(),
        "createdAt": created,
        "updatedAt": updated_at.map(instant),
        "completedAt": completed_at.map(instant),
        "sourceSandboxId": source_sandbox_id,
        "trigger": trigger.as_str_name(),
        "idempotencyKey": idempotency_key,
        "objectBucket": object_bucket,
    });
    let trigger = trigger.as_str_name().to_lowercase();
    let trigger = trigger.trim_start_matches("file_system_snapshot_trigger_");
    let is_ready = status == FileSystemSnapshotStatus::Ready;
    let bytes = is_ready.then(|| size_bytes.to_string());
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Item {
        name: file_system_snapshot_id.clone(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([
            label("status", status_word(status)),
            label("sandbox", source_sandbox_id),
            label("trigger", trigger),
        ]),
        cells: vec![
            printable(file_system_snapshot_id),
            status_word(status).to_owned(),
            or_dash(&printable(source_sandbox_id)),
            or_dash(&bytes.unwrap_or_default()),
            minute(&created.unwrap_or_default()),
            trigger.to_owned(),
            or_dash(&printable(status_reason)),
        ],
    }
}
