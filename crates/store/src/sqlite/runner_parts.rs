//! The steps of which writes of runners are made.

use palisade_model::clock::Timestamp;
use palisade_model::id::RunnerUid;
use palisade_model::name::{DisplayName, OrganizationId, ProfileName, RunnerId};
use palisade_model::runner::{Bindings, BindingsError, Cluster, Runner};

use super::runner::cluster;
use super::transaction::Write;
use super::{Columns as _, fault};
use crate::error::Fault;
use crate::form::{write_bindings, write_settings};
use crate::runner::{ClusterChoice, CreateError, ProfileMissing};
use crate::store::Stamp;

/// Revisions stay, so that a uid is taken by a deleted runner too.
const USED: &str = "SELECT 1 FROM runner_revisions WHERE uid = $1 LIMIT 1";
const HOLDER: &str = "SELECT uid FROM runners WHERE organization = $1 AND id = $2";
const CLUSTER_BY_ID: &str = "SELECT id, name FROM clusters WHERE organization = $1 AND id = $2";
const CLUSTER_BY_NAME: &str = "SELECT id, name FROM clusters WHERE organization = $1 AND name = $2";
const CLUSTER_USED: &str = "SELECT 1 FROM clusters WHERE id = $1";
const INSERT_CLUSTER: &str = "INSERT INTO clusters (id, organization, name) VALUES ($1, $2, $3)";
const SERVED_BY: &str = "SELECT id FROM runners WHERE organization = $1 AND cluster = $2";
const NAME_OF_PROFILE: &str =
    "SELECT display_name FROM profiles WHERE organization = $1 AND id = $2";
const INSERT: &str = "INSERT INTO runners (uid, organization, id, display_name, zone, cluster,
        runner_group, settings, bindings, revision, created_at, updated_at, deleting_since)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const UPDATE: &str = "UPDATE runners
    SET display_name = $3, zone = $4, runner_group = $5, settings = $6, bindings = $7,
        revision = $8, updated_at = $9
    WHERE organization = $1 AND uid = $2";
const KEEP: &str = "INSERT INTO runner_revisions (organization, uid, revision, id, display_name,
        zone, runner_group, settings, bindings, written_by, written_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const BIND: &str = "INSERT INTO bound_profiles (runner, profile) VALUES ($1, $2)";
const FREE: &str = "DELETE FROM bound_profiles WHERE runner = $1";

/// Why bindings do not fit the profiles of the organization.
pub(super) enum UnfitBindings {
    ProfilesMissing(Vec<ProfileMissing>),
    NamesTaken(Vec<BindingsError>),
    Fault(Fault),
}

impl From<Fault> for UnfitBindings {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Whether neither the uid nor the id of a new runner is taken.
pub(super) async fn vacancy(
    write: &mut Write,
    organization: &OrganizationId,
    uid: RunnerUid,
    id: &RunnerId,
) -> Result<(), CreateError> {
    let holder = sqlx::query(HOLDER)
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(write.connection())
        .await
        .map_err(fault)?;
    if let Some(row) = holder {
        let by = row.parsed("uid")?;
        return Err(CreateError::RunnerIdTaken { by });
    }
    let used = sqlx::query(USED).bind(uid.to_string());
    let used = used.fetch_optional(write.connection()).await;
    match used.map_err(fault)? {
        Some(_) => Err(CreateError::UidTaken),
        None => Ok(()),
    }
}

/// The cluster that was chosen, made if it is new, unless a runner serves it.
pub(super) async fn settle_cluster(
    write: &mut Write,
    organization: &OrganizationId,
    choice: ClusterChoice,
) -> Result<Cluster, CreateError> {
    let (sql, key) = match &choice {
        ClusterChoice::Known(id) => (CLUSTER_BY_ID, id.to_string()),
        ClusterChoice::Named { name, id_if_new: _ } => (CLUSTER_BY_NAME, name.to_string()),
    };
    let known = sqlx::query(sql)
        .bind(organization.as_str())
        .bind(key)
        .fetch_optional(write.connection())
        .await
        .map_err(fault)?;
    match (known, choice) {
        (Some(row), _) => {
            let cluster = cluster(&row)?;
            is_free(write, organization, &cluster).await?;
            Ok(cluster)
        }
        (None, ClusterChoice::Known(_)) => Err(CreateError::ClusterMissing),
        (None, ClusterChoice::Named { name, id_if_new }) => {
            let cluster = Cluster {
                id: id_if_new,
                name,
            };
            insert_cluster(write, organization, &cluster).await?;
            Ok(cluster)
        }
    }
}

async fn is_free(
    write: &mut Write,
    organization: &OrganizationId,
    cluster: &Cluster,
) -> Result<(), CreateError> {
    let server = sqlx::query(SERVED_BY)
        .bind(organization.as_str())
        .bind(cluster.id.to_string())
        .fetch_optional(write.connection())
        .await
        .map_err(fault)?;
    match server {
        Some(row) => Err(CreateError::ClusterHasRunner {
            runner: row.parsed("id")?,
        }),
        None => Ok(()),
    }
}

async fn insert_cluster(
    write: &mut Write,
    organization: &OrganizationId,
    cluster: &Cluster,
) -> Result<(), CreateError> {
    let Cluster { id, name } = cluster;
    let used = sqlx::query(CLUSTER_USED).bind(id.to_string());
    let used = used.fetch_optional(write.connection()).await;
    if used.map_err(fault)?.is_some() {
        // The drawn id is somebody's; drawing again helps, as for a uid.
        return Err(CreateError::UidTaken);
    }
    sqlx::query(INSERT_CLUSTER)
        .bind(id.to_string())
        .bind(organization.as_str())
        .bind(name.as_str())
        .execute(write.connection())
        .await
        .map_err(fault)?;
    Ok(())
}

/// Whether all profiles exist, and no two bindings answer to one name.
pub(super) async fn check_bindings(
    write: &mut Write,
    organization: &OrganizationId,
    bindings: &Bindings,
) -> Result<(), UnfitBindings> {
    let mut names = Vec::new();
    let mut missing = Vec::new();
    for (index, binding) in bindings.as_slice().iter().enumerate() {
        let row = sqlx::query(NAME_OF_PROFILE)
            .bind(organization.as_str())
            .bind(binding.profile.to_string())
            .fetch_optional(write.connection())
            .await
            .map_err(fault)?;
        match row {
            Some(row) => {
                let name: DisplayName = row.parsed("display_name")?;
                names.push(
                    binding
                        .alias
                        .clone()
                        .unwrap_or_else(|| ProfileName::from(name)),
                );
            }
            None => missing.push(ProfileMissing {
                index,
                profile: binding.profile,
            }),
        }
    }
    if !missing.is_empty() {
        return Err(UnfitBindings::ProfilesMissing(missing));
    }
    let taken = Bindings::check_names(&names);
    if !taken.is_empty() {
        return Err(UnfitBindings::NamesTaken(taken));
    }
    Ok(())
}

pub(super) async fn insert(write: &mut Write, runner: &Runner) -> Result<(), Fault> {
    let Runner {
        uid,
        organization,
        display_name,
        id,
        zone,
        cluster,
        group,
        settings,
        bindings,
        revision,
        created_at,
        updated_at,
        deleting_since,
        // Nothing is made while it is being deleted.
        drain_until: _,
    } = runner;
    let done = sqlx::query(INSERT)
        .bind(uid.to_string())
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(display_name)
        .bind(zone.as_str())
        .bind(cluster.id.to_string())
        .bind(group.as_str())
        .bind(write_settings(settings))
        .bind(write_bindings(bindings))
        .bind(i64::from(revision.0))
        .bind(created_at.as_micros())
        .bind(updated_at.as_micros())
        .bind(deleting_since.map(Timestamp::as_micros))
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

/// Writes all of the configuration.
pub(super) async fn overwrite(write: &mut Write, runner: &Runner) -> Result<(), Fault> {
    let Runner {
        uid,
        organization,
        display_name,
        id: _,
        zone,
        cluster: _,
        group,
        settings,
        bindings,
        revision,
        created_at: _,
        updated_at,
        deleting_since: _,
        drain_until: _,
    } = runner;
    let done = sqlx::query(UPDATE)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .bind(display_name)
        .bind(zone.as_str())
        .bind(group.as_str())
        .bind(write_settings(settings))
        .bind(write_bindings(bindings))
        .bind(i64::from(revision.0))
        .bind(updated_at.as_micros())
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

/// Keeps the configuration as it is now, for good.
pub(super) async fn keep(write: &mut Write, runner: &Runner, stamp: &Stamp) -> Result<(), Fault> {
    let Runner {
        uid,
        organization,
        display_name,
        id,
        zone,
        cluster: _,
        group,
        settings,
        bindings,
        revision,
        created_at: _,
        updated_at: _,
        deleting_since: _,
        drain_until: _,
    } = runner;
    let Stamp { by, at } = stamp;
    let done = sqlx::query(KEEP)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .bind(i64::from(revision.0))
        .bind(id.as_str())
        .bind(display_name)
        .bind(zone.as_str())
        .bind(group.as_str())
        .bind(write_settings(settings))
        .bind(write_bindings(bindings))
        .bind(by.as_str())
        .bind(at.as_micros())
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

/// Holds the profiles of the bindings.
pub(super) async fn bind_profiles(write: &mut Write, runner: &Runner) -> Result<(), Fault> {
    for binding in runner.bindings.as_slice() {
        sqlx::query(BIND)
            .bind(runner.uid.to_string())
            .bind(binding.profile.to_string())
            .execute(write.connection())
            .await
            .map_err(fault)?;
    }
    Ok(())
}

/// Lets go of all profiles.
pub(super) async fn free_profiles(write: &mut Write, uid: RunnerUid) -> Result<(), Fault> {
    let query = sqlx::query(FREE).bind(uid.to_string());
    let done = query.execute(write.connection()).await;
    done.map(|_| ()).map_err(fault)
}
