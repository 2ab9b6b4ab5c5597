//! Calls about snapshots of file systems.

use std::time::Duration;

use palisade_wire::proto::v1beta2 as pb;

use super::Sandboxes;
use super::calls::PAGE_SIZE;
use crate::call::CALL_TIME;
use crate::error::CallError;

/// How much longer than the server's own limit its answer is waited for.
const SLACK: Duration = Duration::from_secs(10);

impl Sandboxes {
    /// Takes a snapshot of the file system of a sandbox, and returns its id.
    ///
    /// With a time to wait it returns once the snapshot is ready. Tried once: with
    /// the same key it can be tried again.
    pub async fn create_snapshot(
        &self,
        sandbox: &str,
        key: &str,
        wait: Option<Duration>,
    ) -> Result<String, CallError> {
        let seconds = |wait: Duration| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        let request = pb::CreateFileSystemSnapshotRequest {
            sandbox_id: sandbox.to_owned(),
            idempotency_key: key.to_owned(),
            wait_for_ready: Some(wait.is_some()),
            max_timeout_seconds: wait.map(seconds),
        };
        let limit = wait.map_or(CALL_TIME, |wait| wait.saturating_add(SLACK));
        let mut gateway = self.gateway();
        let created = self.once(limit, gateway.create_file_system_snapshot(request));
        let created = created.await?;
        self.success(created.success, created.error_message)?;
        Ok(created.file_system_snapshot_id)
    }

    /// Returns one snapshot.
    pub async fn get_snapshot(&self, id: &str) -> Result<pb::FileSystemSnapshot, CallError> {
        self.read(async || {
            let request = pb::GetFileSystemSnapshotRequest {
                file_system_snapshot_id: id.to_owned(),
                max_timeout_seconds: 0,
            };
            self.gateway().get_file_system_snapshot(request).await
        })
        .await
    }

    /// Returns all snapshots of the organization, the newest first.
    pub async fn list_snapshots(&self) -> Result<Vec<pb::FileSystemSnapshot>, CallError> {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListFileSystemSnapshotsRequest {
                page_size: PAGE_SIZE,
                page_token,
                max_timeout_seconds: 0,
            };
            let page = self
                .read(async || {
                    let mut gateway = self.gateway();
                    gateway.list_file_system_snapshots(request.clone()).await
                })
                .await?;
            found.extend(page.file_system_snapshots);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Deletes a snapshot for good.
    pub async fn delete_snapshot(&self, id: &str) -> Result<(), CallError> {
        let request = pb::DeleteFileSystemSnapshotRequest {
            file_system_snapshot_id: id.to_owned(),
            max_timeout_seconds: 0,
        };
        let mut gateway = self.gateway();
        let deleted = self.once(CALL_TIME, gateway.delete_file_system_snapshot(request));
        let deleted = deleted.await?;
        self.success(deleted.success, deleted.error_message)
    }
}
