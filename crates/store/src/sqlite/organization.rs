//! Organizations.

use async_trait::async_trait;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::tenant::Organization;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::row::{limit, page};
use super::{Columns as _, SqliteStore, fault};
use crate::change::Subject;
use crate::error::{Fault, GetError};
use crate::form::{read_quota, write_quota};
use crate::organization::{CreateOrganizationError, Organizations, UpdateQuotaError};
use crate::page::{Page, PageRequest};

const EXISTS: &str = "SELECT 1 FROM organizations WHERE id = $1";
const INSERT: &str = "INSERT INTO organizations (id, quota, revision, created_at)
    VALUES ($1, $2, $3, $4)";
const GET: &str = "SELECT id, quota, revision, created_at FROM organizations WHERE id = $1";
const LIST: &str = "SELECT id, quota, revision, created_at FROM organizations
    WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE_QUOTA: &str = "UPDATE organizations SET quota = $2, revision = $3 WHERE id = $1
    RETURNING id, quota, revision, created_at";

#[async_trait]
impl Organizations for SqliteStore {
    async fn create_organization(
        &self,
        organization: Organization,
    ) -> Result<(), CreateOrganizationError> {
        let Organization {
            id,
            quota,
            revision,
            created_at,
        } = organization;
        let mut write = self.write().await?;
        if exists(write.connection(), &id).await? {
            return Err(CreateOrganizationError::IdTaken);
        }
        sqlx::query(INSERT)
            .bind(id.as_str())
            .bind(write_quota(&quota))
            .bind(i64::from(revision.0))
            .bind(created_at.as_micros())
            .execute(write.connection())
            .await
            .map_err(fault)?;
        write.changed(&id, Subject::Organization);
        Ok(write.commit().await?)
    }

    async fn get_organization(&self, id: &OrganizationId) -> Result<Organization, GetError> {
        let query = sqlx::query(GET).bind(id.as_str());
        let row = query.fetch_optional(&self.readers).await.map_err(fault)?;
        Ok(organization(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_organizations(
        &self,
        request: PageRequest<OrganizationId>,
    ) -> Result<Page<Organization, OrganizationId>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST)
            .bind(after.as_ref().map_or("", OrganizationId::as_str))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, organization, |organization| {
            organization.id.clone()
        })
    }

    async fn update_quota(
        &self,
        id: &OrganizationId,
        quota: Quota,
        expected: Option<Revision>,
    ) -> Result<Organization, UpdateQuotaError> {
        let mut write = self.write().await?;
        let present = sqlx::query(GET).bind(id.as_str());
        let present = present.fetch_optional(write.connection()).await;
        let present = present.map_err(fault)?.ok_or(UpdateQuotaError::NotFound)?;
        let current = present.revision("revision")?;
        if expected.is_some_and(|expected| expected != current) {
            return Err(UpdateQuotaError::RevisionMismatch { current });
        }
        let row = sqlx::query(UPDATE_QUOTA)
            .bind(id.as_str())
            .bind(write_quota(&quota))
            .bind(i64::from(current.next().0))
            .fetch_one(write.connection())
            .await
            .map_err(fault)?;
        let changed = organization(&row)?;
        write.changed(id, Subject::Organization);
        write.commit().await?;
        Ok(changed)
    }
}

/// Whether there is such an organization.
pub(super) async fn exists(
    connection: &mut SqliteConnection,
    id: &OrganizationId,
) -> Result<bool, Fault> {
    let query = sqlx::query(EXISTS).bind(id.as_str());
    let row = query.fetch_optional(connection).await.map_err(fault)?;
    Ok(row.is_some())
}

/// What an organization and its users may have; nothing is limited in one that
/// does not exist.
pub(super) async fn quota(
    connection: &mut SqliteConnection,
    id: &OrganizationId,
) -> Result<Quota, Fault> {
    let query = sqlx::query(GET).bind(id.as_str());
    match query.fetch_optional(connection).await.map_err(fault)? {
        Some(row) => read_quota(&row.text("quota")?),
        None => Ok(Quota::default()),
    }
}

fn organization(row: &SqliteRow) -> Result<Organization, Fault> {
    Ok(Organization {
        id: row.parsed("id")?,
        quota: read_quota(&row.text("quota")?)?,
        revision: row.revision("revision")?,
        created_at: row.instant("created_at")?,
    })
}
