//! Sandboxes, as they are read one by one.

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::{RunnerUid, SandboxId};
use palisade_model::name::{OrganizationId, UserId};
use palisade_model::quota::Usage;
use palisade_model::sandbox::{Launch, MountedFile, Owner, Sandbox};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::sandbox_count::occupancy;
use super::sandbox_list::{list, list_of_runner};
use super::sandbox_quota::usage;
use super::sandbox_write::{change, purge, standing};
use super::{Columns as _, SqliteStore, fault};
use crate::error::{Fault, GetError};
use crate::form::{Record, read_record, read_status};
use crate::page::{Page, PageRequest, PageSize};
use crate::sandbox::{
    Basis, InsertError, LaunchError, ListError, Occupancy, OccupancyOf, SandboxFilter, Sandboxes,
    Standing, StatusChange, StatusChanged,
};

const GET: &str = "SELECT * FROM sandboxes WHERE organization = $1 AND id = $2";
const FILES: &str = "SELECT path, content FROM sandbox_files WHERE sandbox = $1 ORDER BY position";

#[async_trait]
impl Sandboxes for SqliteStore {
    async fn insert_sandbox(&self, sandbox: Sandbox, basis: Basis) -> Result<(), InsertError> {
        self.admission.add(sandbox, basis).await
    }

    async fn get_sandbox(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Sandbox, GetError> {
        let query = sqlx::query(GET)
            .bind(organization.as_str())
            .bind(id.to_string());
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(sandbox(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn get_standing(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Standing, GetError> {
        let row = standing(&self.readers, organization, id).await?;
        let row = row.ok_or(GetError::NotFound)?;
        Ok(Standing {
            runner: row.parsed("runner_uid")?,
            status: read_status(&row.text("status")?)?,
        })
    }

    async fn get_launch(
        &self,
        organization: &OrganizationId,
        id: SandboxId,
    ) -> Result<Launch, LaunchError> {
        let mut read = self.read().await?;
        let query = sqlx::query(GET)
            .bind(organization.as_str())
            .bind(id.to_string());
        let row = query.fetch_optional(&mut *read).await.map_err(fault)?;
        let sandbox = sandbox(&row.ok_or(LaunchError::NotFound)?)?;
        if sandbox.status.state.is_terminal() {
            return Err(LaunchError::Over);
        }
        Ok(Launch {
            mounted_files: files(&mut read, id).await?,
            ..sandbox.launch
        })
    }

    async fn list_sandboxes(
        &self,
        organization: &OrganizationId,
        filter: SandboxFilter,
        page: PageRequest<SandboxId>,
    ) -> Result<Page<Sandbox, SandboxId>, ListError> {
        let terms = filter.terms();
        if terms > SandboxFilter::TERMS_MAX {
            return Err(ListError::TooManyTerms { terms });
        }
        Ok(list(&self.readers, organization, &filter, page).await?)
    }

    async fn list_sandboxes_of_runner(
        &self,
        organization: &OrganizationId,
        runner: RunnerUid,
        page: PageRequest<SandboxId>,
    ) -> Result<Page<Sandbox, SandboxId>, Fault> {
        list_of_runner(&self.readers, organization, runner, page).await
    }

    async fn quota_usage(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Usage, Fault> {
        let mut read = self.read().await?;
        usage(&mut read, organization, user, now).await
    }

    async fn occupancy(
        &self,
        organization: &OrganizationId,
        of: OccupancyOf,
        named_max: PageSize,
    ) -> Result<Vec<Occupancy>, Fault> {
        let mut read = self.read().await?;
        occupancy(&mut read, organization, of, named_max).await
    }

    async fn change_statuses(
        &self,
        organization: &OrganizationId,
        changes: Vec<(SandboxId, StatusChange)>,
    ) -> Result<Vec<Option<StatusChanged>>, Fault> {
        let mut write = self.write().await?;
        let mut answers = Vec::with_capacity(changes.len());
        for (id, wanted) in changes {
            answers.push(change(&mut write, organization, id, wanted).await?);
        }
        write.commit().await?;
        Ok(answers)
    }

    async fn purge_sandboxes(
        &self,
        ended_before: Timestamp,
        limit: PageSize,
    ) -> Result<usize, Fault> {
        let mut write = self.write().await?;
        let purged = purge(&mut write, ended_before, limit).await?;
        write.commit().await?;
        Ok(purged)
    }
}

async fn files(
    connection: &mut SqliteConnection,
    id: SandboxId,
) -> Result<Vec<MountedFile>, Fault> {
    let query = sqlx::query(FILES).bind(id.to_string());
    let rows = query.fetch_all(connection).await.map_err(fault)?;
    rows.iter().map(file).collect()
}

fn file(row: &SqliteRow) -> Result<MountedFile, Fault> {
    Ok(MountedFile {
        path: row.text("path")?,
        content: row.bytes("content")?,
    })
}

/// The sandbox without the contents of its files.
pub(super) fn sandbox(row: &SqliteRow) -> Result<Sandbox, Fault> {
    let Record {
        tags,
        placement,
        asked,
        launch,
        resolved,
    } = read_record(&row.text("record")?)?;
    Ok(Sandbox {
        id: row.parsed("id")?,
        owner: Owner {
            organization: row.parsed("organization")?,
            user: row.parsed("user_id")?,
        },
        tags,
        placement,
        asked,
        launch,
        resolved,
        status: read_status(&row.text("status")?)?,
        created_at: row.instant("created_at")?,
    })
}
