//! The calls about snapshots, from what was asked to what is answered.

use std::time::Duration;

use palisade_model::snapshot::{Snapshot, Status, Trigger};
use palisade_model::tenant::Principal;
use palisade_store::snapshot::Deletion;
use palisade_store::{GetError, PageRequest};
use palisade_wire::page_token::Listing;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::v1beta2::{call_limit, snapshot_id, snapshot_message, snapshot_not_found};
use tracing::{info, warn};

use super::{Snapshots, Wanted};
use crate::error::{ApiError, ApiResult};
use crate::page;

/// How long is waited for a snapshot if nobody says.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_mins(10);
/// The longest wait that can be asked for.
const WAIT_MAX: Duration = Duration::from_hours(1);

impl Snapshots {
    pub(crate) async fn create(
        &self,
        caller: &Principal,
        request: pb::CreateFileSystemSnapshotRequest,
    ) -> ApiResult<pb::CreateFileSystemSnapshotResponse> {
        let pb::CreateFileSystemSnapshotRequest {
            sandbox_id,
            idempotency_key,
            wait_for_ready,
            max_timeout_seconds,
        } = request;
        self.settings()?;
        let limit = limit(max_timeout_seconds.unwrap_or(0))?;
        let sandbox = self.access.sandbox(caller, &sandbox_id).await?;
        let wanted = Wanted {
            sandbox,
            trigger: Trigger::Manual,
            idempotency_key,
            stop_grace: None,
            limit: None,
            is_waited_for: false,
        };
        let mut snapshot = self.take_or_find(wanted).await?;
        if wait_for_ready == Some(true) {
            let organization = &caller.organization;
            snapshot = self.until_ready(organization, snapshot.id, limit).await?;
        }
        Ok(pb::CreateFileSystemSnapshotResponse {
            success: true,
            error_message: String::new(),
            file_system_snapshot_id: snapshot.id.to_string(),
        })
    }

    /// A repeated request finds its snapshot, whatever became of the sandbox.
    pub(crate) async fn take_or_find(&self, wanted: Wanted) -> ApiResult<Snapshot> {
        let (organization, key) = (&wanted.sandbox.owner.organization, &wanted.idempotency_key);
        let known = self.tools.store.snapshot_by_key(organization, key).await?;
        // Nothing is recorded of what cannot be done, so that the key is still good.
        if known.is_none() && wanted.sandbox.launch.file_system.is_some() {
            self.can_archive(&wanted.sandbox)?;
        }
        self.take(wanted).await
    }

    pub(crate) async fn get(
        &self,
        caller: &Principal,
        request: pb::GetFileSystemSnapshotRequest,
    ) -> ApiResult<pb::FileSystemSnapshot> {
        let pb::GetFileSystemSnapshotRequest {
            file_system_snapshot_id,
            // The whole call has it.
            max_timeout_seconds: _,
        } = request;
        let settings = self.settings()?;
        let snapshot = self.find(caller, &file_system_snapshot_id).await?;
        Ok(snapshot_message(&snapshot, &settings.effective(None)))
    }

    async fn find(&self, caller: &Principal, text: &str) -> ApiResult<Snapshot> {
        let id = snapshot_id(text)?;
        let found = self.tools.store.get_snapshot(&caller.organization, id);
        found.await.map_err(|error| missing(text, error))
    }

    pub(crate) async fn list(
        &self,
        caller: &Principal,
        request: pb::ListFileSystemSnapshotsRequest,
    ) -> ApiResult<pb::ListFileSystemSnapshotsResponse> {
        let pb::ListFileSystemSnapshotsRequest {
            page_size,
            page_token,
            // The whole call has it.
            max_timeout_seconds: _,
        } = request;
        let own_bucket = self.settings()?.effective(None);
        let listing = Listing::new("file-system-snapshots", &caller.organization);
        let page = PageRequest {
            after: page::after(&listing, &page_token)?,
            size: page::size(page_size)?,
        };
        let listed = self.tools.store.list_snapshots(&caller.organization, page);
        let listed = listed.await?;
        let told = listed.items.iter();
        let told = told.map(|snapshot| snapshot_message(snapshot, &own_bucket));
        Ok(pb::ListFileSystemSnapshotsResponse {
            file_system_snapshots: told.collect(),
            next_page_token: listing.token(listed.next),
        })
    }

    pub(crate) async fn delete(
        &self,
        caller: &Principal,
        request: pb::DeleteFileSystemSnapshotRequest,
    ) -> ApiResult<pb::DeleteFileSystemSnapshotResponse> {
        let pb::DeleteFileSystemSnapshotRequest {
            file_system_snapshot_id: text,
            // The whole call has it.
            max_timeout_seconds: _,
        } = request;
        self.settings()?;
        let snapshot = self.find(caller, &text).await?;
        // What lies where this server cannot reach would be left there.
        if matches!(snapshot.status, Status::Ready | Status::Deleting) {
            self.blobs_of(&snapshot).await?;
        }
        let store = &self.tools.store;
        let begun = store.begin_deletion(&caller.organization, snapshot.id, self.tools.now());
        let begun = begun.await.map_err(|error| missing(&text, error))?;
        info!(snapshot.id = %snapshot.id, "snapshot deleted");
        if let Deletion::Remove(snapshot) = begun
            && let Err(error) = self.forget(&snapshot).await
        {
            // It is being deleted all the same, and tried again.
            let cause = error.chain();
            warn!(snapshot.id = %snapshot.id, cause, "the bytes of a snapshot are still there");
        }
        self.news.notify_waiters();
        Ok(pb::DeleteFileSystemSnapshotResponse {
            success: true,
            error_message: String::new(),
        })
    }
}

/// How long to wait, or to let a snapshot of a sandbox that is to end last.
pub(crate) fn limit(seconds: i32) -> ApiResult<Duration> {
    let limit = call_limit(seconds)?;
    Ok(limit.map_or(WAIT_DEFAULT, |limit| limit.min(WAIT_MAX)))
}

/// The refusal of a snapshot that was named like this and could not be read.
pub(super) fn missing(text: &str, error: GetError) -> ApiError {
    match error {
        GetError::NotFound => snapshot_not_found(text).into(),
        GetError::Fault(fault) => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_the_usual_one_and_less_than_none_is_refused() {
        assert_eq!(limit(0).unwrap(), WAIT_DEFAULT);
        assert_eq!(limit(7).unwrap(), Duration::from_secs(7));
        assert_eq!(limit(i32::MAX).unwrap(), WAIT_MAX);
        assert!(limit(-1).is_err());
    }
}
