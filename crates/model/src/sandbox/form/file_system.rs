//! The file system of a sandbox, as a part of its launch.

use serde_json::{Value, json};

use crate::document::{Node, Reader};
use crate::snapshot::{Content, FileSystem, Restore};

pub(super) fn encode(file_system: &FileSystem) -> Value {
    let FileSystem {
        mount_path,
        bytes,
        restore,
    } = file_system;
    json!({
        "mount_path": mount_path.as_str(),
        "bytes": bytes,
        "restore": restore.as_ref().map(encode_restore),
    })
}

fn encode_restore(restore: &Restore) -> Value {
    let Restore {
        snapshot,
        content: Content {
            digest,
            bytes,
            file_bytes,
        },
    } = restore;
    json!({
        "snapshot": snapshot.to_string(),
        "sha256": digest.to_string(),
        "bytes": bytes,
        "file_bytes": file_bytes,
    })
}

pub(super) fn read(reader: &mut Reader, node: &Node<'_>) -> Option<FileSystem> {
    let fields = reader.fields(node, &["mount_path", "bytes", "restore"])?;
    let restore = match fields.get("restore") {
        Some(node) => Some(read_restore(reader, &node)?),
        None => None,
    };
    Some(FileSystem {
        mount_path: reader.parsed(&fields.get("mount_path")?)?,
        bytes: read_bytes(reader, &fields.get("bytes")?)?,
        restore,
    })
}

fn read_restore(reader: &mut Reader, node: &Node<'_>) -> Option<Restore> {
    let known = ["snapshot", "sha256", "bytes", "file_bytes"];
    let fields = reader.fields(node, &known)?;
    Some(Restore {
        snapshot: reader.parsed(&fields.get("snapshot")?)?,
        content: Content {
            digest: reader.parsed(&fields.get("sha256")?)?,
            bytes: read_bytes(reader, &fields.get("bytes")?)?,
            file_bytes: read_bytes(reader, &fields.get("file_bytes")?)?,
        },
    })
}

fn read_bytes(reader: &mut Reader, node: &Node<'_>) -> Option<u64> {
    let bytes = node.value().as_u64();
    if bytes.is_none() {
        reader.wrong_type(node, "a whole number");
    }
    bytes
}
