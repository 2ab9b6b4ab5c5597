//! Runners, clusters and revisions of runners, as they are read.

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::RunnerUid;
use palisade_model::name::{ClusterName, OrganizationId, RunnerId};
use palisade_model::profile::Revision;
use palisade_model::runner::{Cluster, Runner};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::row::{limit, page};
use super::runner_deletion::{delete, finish, mark_deleting, unmark_deleting};
use super::runner_write::{create, update};
use super::{Columns as _, SqliteStore, fault};
use crate::error::{Fault, GetError};
use crate::form::{read_bindings, read_settings};
use crate::page::{Page, PageRequest};
use crate::reference::RunnerRef;
use crate::runner::{
    CreateError, DeleteError, DeletionMark, FinishError, MarkError, NewRunner, RunnerRevision,
    RunnerUpdate, Runners, UnmarkError, UpdateError,
};
use crate::store::Stamp;

const GET: &str = "SELECT runners.*, clusters.name AS cluster_name FROM runners
    JOIN clusters ON clusters.id = runners.cluster
    WHERE runners.organization = $1 AND runners.uid = $2";
const FIND: &str = "SELECT runners.*, clusters.name AS cluster_name FROM runners
    JOIN clusters ON clusters.id = runners.cluster
    WHERE runners.organization = $1 AND (runners.uid = $2 OR runners.id = $3)
    ORDER BY CASE WHEN runners.uid = $2 THEN 0 ELSE 1 END LIMIT 1";
const OF_CLUSTER: &str = "SELECT runners.*, clusters.name AS cluster_name FROM runners
    JOIN clusters ON clusters.id = runners.cluster
    WHERE runners.organization = $1 AND clusters.name = $2";
const LIST: &str = "SELECT runners.*, clusters.name AS cluster_name FROM runners
    JOIN clusters ON clusters.id = runners.cluster
    WHERE runners.organization = $1 AND runners.id > $2
    ORDER BY runners.id LIMIT $3";
const GET_REVISION: &str = "SELECT * FROM runner_revisions
    WHERE organization = $1 AND uid = $2 AND revision = $3";
const LIST_REVISIONS: &str = "SELECT * FROM runner_revisions
    WHERE organization = $1 AND uid = $2 AND revision < $3
    ORDER BY revision DESC LIMIT $4";
const LIST_CLUSTERS: &str = "SELECT id, name FROM clusters WHERE organization = $1 AND name > $2
    ORDER BY name LIMIT $3";

#[async_trait]
impl Runners for SqliteStore {
    async fn create_runner(
        &self,
        organization: &OrganizationId,
        runner: NewRunner,
        stamp: Stamp,
    ) -> Result<Runner, CreateError> {
        let mut write = self.write().await?;
        let runner = create(&mut write, organization, runner, stamp).await?;
        write.commit().await?;
        Ok(runner)
    }

    async fn get_runner(
        &self,
        organization: &OrganizationId,
        reference: &RunnerRef,
    ) -> Result<Runner, GetError> {
        let row = sqlx::query(FIND)
            .bind(organization.as_str())
            .bind(reference.id().map(|uid| uid.to_string()))
            .bind(reference.name().map(RunnerId::as_str))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        Ok(runner(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn get_runner_of_cluster(
        &self,
        organization: &OrganizationId,
        cluster: &ClusterName,
    ) -> Result<Runner, GetError> {
        let row = sqlx::query(OF_CLUSTER)
            .bind(organization.as_str())
            .bind(cluster.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        Ok(runner(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_runners(
        &self,
        organization: &OrganizationId,
        request: PageRequest<RunnerId>,
    ) -> Result<Page<Runner, RunnerId>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(after.as_ref().map_or("", RunnerId::as_str))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, runner, |runner| runner.id.clone())
    }

    async fn update_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        change: RunnerUpdate,
        stamp: Stamp,
    ) -> Result<Runner, UpdateError> {
        let mut write = self.write().await?;
        let runner = update(&mut write, (organization, uid), change, stamp).await?;
        write.commit().await?;
        Ok(runner)
    }

    async fn mark_runner_deleting(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        mark: DeletionMark,
    ) -> Result<Runner, MarkError> {
        let mut write = self.write().await?;
        let runner = mark_deleting(&mut write, (organization, uid), mark).await?;
        write.commit().await?;
        Ok(runner)
    }

    async fn unmark_runner_deleting(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        now: Timestamp,
    ) -> Result<Runner, UnmarkError> {
        let mut write = self.write().await?;
        let runner = unmark_deleting(&mut write, (organization, uid), now).await?;
        write.commit().await?;
        Ok(runner)
    }

    async fn finish_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
    ) -> Result<(), FinishError> {
        let mut write = self.write().await?;
        finish(&mut write, organization, uid).await?;
        Ok(write.commit().await?)
    }

    async fn delete_runner(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        expected: Option<Revision>,
    ) -> Result<(), DeleteError> {
        let mut write = self.write().await?;
        delete(&mut write, organization, uid, expected).await?;
        Ok(write.commit().await?)
    }

    async fn get_runner_revision(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        revision: Revision,
    ) -> Result<RunnerRevision, GetError> {
        let row = sqlx::query(GET_REVISION)
            .bind(organization.as_str())
            .bind(uid.to_string())
            .bind(i64::from(revision.0))
            .fetch_optional(&self.readers)
            .await
            .map_err(fault)?;
        Ok(runner_revision(&row.ok_or(GetError::NotFound)?)?)
    }

    async fn list_runner_revisions(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        request: PageRequest<Revision>,
    ) -> Result<Page<RunnerRevision, Revision>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST_REVISIONS)
            .bind(organization.as_str())
            .bind(uid.to_string())
            .bind(after.map_or(i64::MAX, |revision| i64::from(revision.0)))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, runner_revision, |runner| runner.revision)
    }

    async fn list_clusters(
        &self,
        organization: &OrganizationId,
        request: PageRequest<ClusterName>,
    ) -> Result<Page<Cluster, ClusterName>, Fault> {
        let PageRequest { after, size } = request;
        let rows = sqlx::query(LIST_CLUSTERS)
            .bind(organization.as_str())
            .bind(after.as_ref().map_or("", ClusterName::as_str))
            .bind(limit(size))
            .fetch_all(&self.readers)
            .await
            .map_err(fault)?;
        page(&rows, size, cluster, |cluster| cluster.name.clone())
    }
}

/// The runner as it is within a transaction.
pub(super) async fn get(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    uid: RunnerUid,
) -> Result<Option<Runner>, Fault> {
    let row = sqlx::query(GET)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .fetch_optional(connection)
        .await
        .map_err(fault)?;
    row.as_ref().map(runner).transpose()
}

fn runner(row: &SqliteRow) -> Result<Runner, Fault> {
    Ok(Runner {
        uid: row.parsed("uid")?,
        organization: row.parsed("organization")?,
        display_name: row.text("display_name")?,
        id: row.parsed("id")?,
        zone: row.parsed("zone")?,
        cluster: Cluster {
            id: row.parsed("cluster")?,
            name: row.parsed("cluster_name")?,
        },
        group: row.parsed("runner_group")?,
        settings: read_settings(&row.text("settings")?)?,
        bindings: read_bindings(&row.text("bindings")?)?,
        revision: row.revision("revision")?,
        created_at: row.instant("created_at")?,
        updated_at: row.instant("updated_at")?,
        deleting_since: row.optional_instant("deleting_since")?,
        drain_until: row.optional_instant("drain_until")?,
    })
}

fn runner_revision(row: &SqliteRow) -> Result<RunnerRevision, Fault> {
    Ok(RunnerRevision {
        uid: row.parsed("uid")?,
        revision: row.revision("revision")?,
        id: row.parsed("id")?,
        display_name: row.text("display_name")?,
        zone: row.parsed("zone")?,
        group: row.parsed("runner_group")?,
        settings: read_settings(&row.text("settings")?)?,
        bindings: read_bindings(&row.text("bindings")?)?,
        stamp: Stamp {
            by: row.parsed("written_by")?,
            at: row.instant("written_at")?,
        },
    })
}

pub(super) fn cluster(row: &SqliteRow) -> Result<Cluster, Fault> {
    Ok(Cluster {
        id: row.parsed("id")?,
        name: row.parsed("name")?,
    })
}
