//! Runners, as they are written. Every function is a part of one transaction.

use palisade_model::clock::Timestamp;
use palisade_model::id::RunnerUid;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::runner::{Cluster, Runner};

use super::runner::get;
use super::runner_parts::{
    UnfitBindings, bind_profiles, check_bindings, free_profiles, insert, keep, overwrite,
    settle_cluster, vacancy,
};
use super::transaction::Write;
use super::{fault, organization};
use crate::change::Subject;
use crate::runner::{CreateError, DeleteError, MarkError, NewRunner, RunnerUpdate, UpdateError};
use crate::store::Stamp;

const MARK: &str = "UPDATE runners SET deleting_since = $3 WHERE organization = $1 AND uid = $2";
const LIVE: &str = "SELECT count(*) FROM sandboxes
    WHERE organization = $1 AND runner_uid = $2 AND is_over = 0";
const DELETE: &str = "DELETE FROM runners WHERE organization = $1 AND uid = $2";

pub(super) async fn create(
    write: &mut Write,
    organization: &OrganizationId,
    runner: NewRunner,
    stamp: Stamp,
) -> Result<Runner, CreateError> {
    let NewRunner {
        uid,
        id,
        display_name,
        zone,
        cluster,
        group,
        settings,
        bindings,
    } = runner;
    if !organization::exists(write.connection(), organization).await? {
        return Err(CreateError::NoOrganization);
    }
    vacancy(write, organization, uid, &id).await?;
    let cluster: Cluster = settle_cluster(write, organization, cluster).await?;
    check_bindings(write, organization, &bindings).await?;
    let runner = Runner {
        uid,
        organization: organization.clone(),
        display_name,
        id,
        zone,
        cluster,
        group,
        settings,
        bindings,
        revision: Revision::FIRST,
        created_at: stamp.at,
        updated_at: stamp.at,
        deleting_since: None,
    };
    insert(write, &runner).await?;
    bind_profiles(write, &runner).await?;
    keep(write, &runner, &stamp).await?;
    write.changed(organization, Subject::Runner(uid));
    Ok(runner)
}

pub(super) async fn update(
    write: &mut Write,
    (organization, uid): (&OrganizationId, RunnerUid),
    update: RunnerUpdate,
    stamp: Stamp,
) -> Result<Runner, UpdateError> {
    let RunnerUpdate {
        expected,
        display_name,
        zone,
        group,
        settings,
        bindings,
    } = update;
    let present = get(write.connection(), organization, uid).await?;
    let present = present.ok_or(UpdateError::NotFound)?;
    if present.deleting_since.is_some() {
        return Err(UpdateError::Deleting);
    }
    let current = present.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(UpdateError::RevisionMismatch { current });
    }
    let rebound = bindings.is_some();
    let runner = Runner {
        display_name: display_name.unwrap_or(present.display_name),
        zone: zone.unwrap_or(present.zone),
        group: group.unwrap_or(present.group),
        settings: settings.unwrap_or(present.settings),
        bindings: bindings.unwrap_or(present.bindings),
        revision: current.next(),
        updated_at: stamp.at,
        ..present
    };
    if rebound {
        check_bindings(write, organization, &runner.bindings).await?;
        free_profiles(write, uid).await?;
        bind_profiles(write, &runner).await?;
    }
    overwrite(write, &runner).await?;
    keep(write, &runner, &stamp).await?;
    write.changed(organization, Subject::Runner(uid));
    Ok(runner)
}

pub(super) async fn mark_deleting(
    write: &mut Write,
    (organization, uid): (&OrganizationId, RunnerUid),
    expected: Option<Revision>,
    at: Timestamp,
) -> Result<Runner, MarkError> {
    let present = get(write.connection(), organization, uid).await?;
    let present = present.ok_or(MarkError::NotFound)?;
    let current = present.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(MarkError::RevisionMismatch { current });
    }
    if present.deleting_since.is_some() {
        return Ok(present);
    }
    sqlx::query(MARK)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .bind(at.as_micros())
        .execute(write.connection())
        .await
        .map_err(fault)?;
    write.changed(organization, Subject::Runner(uid));
    Ok(Runner {
        deleting_since: Some(at),
        ..present
    })
}

pub(super) async fn delete(
    write: &mut Write,
    organization: &OrganizationId,
    uid: RunnerUid,
    expected: Option<Revision>,
) -> Result<(), DeleteError> {
    let present = get(write.connection(), organization, uid).await?;
    let current = present.ok_or(DeleteError::NotFound)?.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(DeleteError::RevisionMismatch { current });
    }
    let live = sqlx::query_scalar::<_, i64>(LIVE)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .fetch_one(write.connection())
        .await
        .map_err(fault)?;
    if live > 0 {
        return Err(DeleteError::Occupied {
            sandboxes: live.unsigned_abs(),
        });
    }
    free_profiles(write, uid).await?;
    sqlx::query(DELETE)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .execute(write.connection())
        .await
        .map_err(fault)?;
    write.changed(organization, Subject::Runner(uid));
    Ok(())
}

impl From<UnfitBindings> for CreateError {
    fn from(unfit: UnfitBindings) -> Self {
        match unfit {
            UnfitBindings::ProfilesMissing(missing) => Self::ProfilesMissing(missing),
            UnfitBindings::NamesTaken(taken) => Self::NamesTaken(taken),
            UnfitBindings::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<UnfitBindings> for UpdateError {
    fn from(unfit: UnfitBindings) -> Self {
        match unfit {
            UnfitBindings::ProfilesMissing(missing) => Self::ProfilesMissing(missing),
            UnfitBindings::NamesTaken(taken) => Self::NamesTaken(taken),
            UnfitBindings::Fault(fault) => Self::Fault(fault),
        }
    }
}
