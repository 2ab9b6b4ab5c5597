//! What a wish for a file system comes to, when a sandbox is admitted.

use palisade_model::name::OrganizationId;
use palisade_model::sandbox::FileSystemWish;
use palisade_model::snapshot::FileSystem;

use super::Snapshots;
use super::calls::missing;
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
                let snapshot = found.map_err(|error| missing(&id.to_string(), error))?;
                // What cannot be reached is refused now, and not in the sandbox.
                self.blobs_of(&snapshot).await?;
                Some(snapshot)
            }
            None => None,
        };
        let made = FileSystem::of(wish, snapshot.as_ref(), settings.mount_bytes_max);
        Ok(Some(made?))
    }
}
