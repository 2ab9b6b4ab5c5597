//! What a request has a sandbox keep or be given: files, secrets and storage.
//!
//! Of what this server does not have only the presence is read: the call refuses
//! it whatever it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::violation::ViolationKind;

use super::{ITEMS_MAX, text};
use crate::proto::v1beta2 as pb;

/// The items of a list, each read by `read`.
fn list<T>(
    fields: &Fields<'_>,
    key: &str,
    reader: &mut Reader,
    mut read: impl FnMut(&Place<'_>, &mut Reader) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let items = reader.items(&node, ITEMS_MAX).unwrap_or_default();
    let items = items.iter();
    items.filter_map(|item| read(item, reader)).collect()
}

/// Files; what they hold is base64, as in JSON of the call.
pub(super) fn mounted_files(fields: &Fields<'_>, reader: &mut Reader) -> Vec<pb::MountedFile> {
    list(fields, "mounted_files", reader, |item, reader| {
        let fields = reader.fields(item, &["mount_path", "file_content"])?;
        let content = match fields.get("file_content") {
            None => Vec::new(),
            Some(node) => {
                let decoded = STANDARD.decode(reader.text(&node)?);
                if decoded.is_err() {
                    reader.refuse(&node, ViolationKind::Invalid, "must be base64");
                }
                decoded.ok()?
            }
        };
        Some(pb::MountedFile {
            mount_path: text(&fields, "mount_path", reader),
            file_content: content,
        })
    })
}

pub(super) fn file_system(
    fields: &Fields<'_>,
    reader: &mut Reader,
) -> Option<pb::SandboxFileSystemMount> {
    use pb::sandbox_file_system_mount::Source;
    let node = fields.get("file_system")?;
    let known = ["mount_path", "size", "file_system_snapshot"];
    let fields = reader.fields(&node, &known)?;
    let source = fields.get("file_system_snapshot").and_then(|node| {
        let fields = reader.fields(&node, &["file_system_snapshot_id"])?;
        Some(Source::FileSystemSnapshot(pb::FileSystemSnapshotSource {
            file_system_snapshot_id: text(&fields, "file_system_snapshot_id", reader),
        }))
    });
    Some(pb::SandboxFileSystemMount {
        mount_path: text(&fields, "mount_path", reader),
        size: text(&fields, "size", reader),
        source,
    })
}

pub(super) fn secret_stores(
    fields: &Fields<'_>,
    reader: &mut Reader,
) -> Vec<pb::SecretStoreReference> {
    list(fields, "secret_stores", reader, |item, reader| {
        let fields = reader.fields(item, &["store_name", "secrets"])?;
        Some(pb::SecretStoreReference {
            store_name: text(&fields, "store_name", reader),
            secrets: list(&fields, "secrets", reader, |item, reader| {
                let fields = reader.fields(item, &["path", "field", "env_var"])?;
                Some(pb::SecretMapping {
                    path: text(&fields, "path", reader),
                    field: text(&fields, "field", reader),
                    env_var: text(&fields, "env_var", reader),
                })
            }),
        })
    })
}

pub(super) fn runner_cluster_secrets(
    fields: &Fields<'_>,
    reader: &mut Reader,
) -> Vec<pb::RunnerClusterSecretReference> {
    use pb::runner_cluster_secret_reference::Source;
    list(fields, "runner_cluster_secrets", reader, |item, reader| {
        let fields = reader.fields(item, &["kubernetes", "env_var"])?;
        let source = fields.get("kubernetes").and_then(|node| {
            let fields = reader.fields(&node, &["secret_name", "secret_key"])?;
            Some(Source::Kubernetes(pb::KubernetesSecretSource {
                secret_name: text(&fields, "secret_name", reader),
                secret_key: text(&fields, "secret_key", reader),
            }))
        });
        Some(pb::RunnerClusterSecretReference {
            env_var: text(&fields, "env_var", reader),
            source,
        })
    })
}

pub(super) fn s3_mount(fields: &Fields<'_>) -> Option<pb::S3Mount> {
    fields.get("s3_mount").map(|_| pb::S3Mount::default())
}

pub(super) fn object_storage_access(fields: &Fields<'_>) -> Option<pb::ObjectStorageAccess> {
    let node = fields.get("object_storage_access");
    node.map(|_| pb::ObjectStorageAccess::default())
}

pub(super) fn volumes(fields: &Fields<'_>) -> Vec<pb::VolumeAttachment> {
    let node = fields.get("volumes");
    node.map(|_| pb::VolumeAttachment::default())
        .into_iter()
        .collect()
}
