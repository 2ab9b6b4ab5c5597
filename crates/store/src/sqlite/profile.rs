//! Profiles and their revisions, as they are read.

use async_trait::async_trait;
use palisade_model::id::ProfileId;
use palisade_model::name::{DisplayName, OrganizationId};
use palisade_model::profile::{Profile, Revision};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::profile_write::{create, delete, update};
use super::row::{limit, page};
use super::{Columns as _, SqliteStore, fault};
use crate::error::{Fault, GetError};
use crate::form::{read_labels, read_spec};
use crate::page::{Page, PageRequest};
use crate::profile::{
    CreateError, DeleteError, NewProfile, ProfileRevision, ProfileUpdate, Profiles, UpdateError,
};
use crate::reference::ProfileRef;
use crate::store::Stamp;

const GET: &str = "SELECT * FROM profiles WHERE organization = $1 AND id = $2";
const FIND: &str = "SELECT * FROM profiles
    WHERE organization = $1 AND (id = $2 OR display_name = $3)
    ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1";
const LIST: &str = "SELECT * FROM profiles WHERE organization = $1 AND display_name > $2
    ORDER BY display_name LIMIT $3";
const GET_REVISION: &str = "SELECT * FROM profile_revisions
    WHERE organization = $1 AND id = $2 AND revision = $3";
const LIST_REVISIONS: &str = "SELECT * FROM profile_revisions
    WHERE organization = $1 AND id = $2 AND revision < $3
    ORDER BY revision DESC LIMIT $4";

#[async_trait]
impl Profiles for SqliteStore {
    async fn create_profile(
        &self,
        organization: &OrganizationId,
        profile: NewProfile,
        stamp: Stamp,
    ) -> Result<Profile, CreateError> {
        let mut write = self.write().await?;
        let profile = create(&mut write, organization, profile, stamp).await?;
        write.commit().await?;
        Ok(profile)
    }

    async fn get_profile(
        &self,
        organization: &OrganizationId,
        reference: &ProfileRef,
    ) -> Result<Profile, GetError> {
        let row = sqlx::query(FIND)
            .bind(organization.as_str())
            .bind(reference.id().map(|id| id.to_string()))
            .bind(reference.name().map(DisplayName::as_str))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        Ok(profile(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_profiles(
        &self,
        organization: &OrganizationId,
        request: PageRequest<DisplayName>,
    ) -> Result<Page<Profile, DisplayName>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(after.as_ref().map_or("", DisplayName::as_str))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, profile, |profile| profile.display_name.clone())
    }

    async fn update_profile(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        change: ProfileUpdate,
        stamp: Stamp,
    ) -> Result<Profile, UpdateError> {
        let mut write = self.write().await?;
        let profile = update(&mut write, (organization, id), change, stamp).await?;
        write.commit().await?;
        Ok(profile)
    }

    async fn delete_profile(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        expected: Option<Revision>,
    ) -> Result<(), DeleteError> {
        let mut write = self.write().await?;
        delete(&mut write, organization, id, expected).await?;
        Ok(write.commit().await?)
    }

    async fn get_profile_revision(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        revision: Revision,
    ) -> Result<ProfileRevision, GetError> {
        let row = sqlx::query(GET_REVISION)
            .bind(organization.as_str())
            .bind(id.to_string())
            .bind(i64::from(revision.0))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        Ok(profile_revision(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_profile_revisions(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
        request: PageRequest<Revision>,
    ) -> Result<Page<ProfileRevision, Revision>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST_REVISIONS)
            .bind(organization.as_str())
            .bind(id.to_string())
            .bind(after.map_or(i64::MAX, |revision| i64::from(revision.0)))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, profile_revision, |profile| profile.revision)
    }
}

/// The profile as it is within a transaction.
pub(super) async fn get(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    id: ProfileId,
) -> Result<Option<Profile>, Fault> {
    let row = sqlx::query(GET)
        .bind(organization.as_str())
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(fault)?;
    row.as_ref().map(profile).transpose()
}

fn profile(row: &SqliteRow) -> Result<Profile, Fault> {
    Ok(Profile {
        id: row.parsed("id")?,
        organization: row.parsed("organization")?,
        display_name: row.parsed("display_name")?,
        description: row.text("description")?,
        labels: read_labels(&row.text("labels")?)?,
        spec: read_spec(&row.text("spec")?)?,
        revision: row.revision("revision")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
    })
}

fn profile_revision(row: &SqliteRow) -> Result<ProfileRevision, Fault> {
    Ok(ProfileRevision {
        id: row.parsed("id")?,
        revision: row.revision("revision")?,
        display_name: row.parsed("display_name")?,
        description: row.text("description")?,
        labels: read_labels(&row.text("labels")?)?,
        spec: read_spec(&row.text("spec")?)?,
        stamp: Stamp {
            by: row.parsed("written_by")?,
            at: row.instant("written_at")?,
        },
    })
}
