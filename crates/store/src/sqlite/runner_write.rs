//! Runners, as they are written. Every function is a part of one transaction.

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
use crate::error::Fault;
use crate::runner::{CreateError, JudgedProfile, NewRunner, RunnerUpdate, UpdateError};
use crate::store::Stamp;

const STANDS: &str = "SELECT 1 FROM profiles
    WHERE organization = $1 AND id = $2 AND revision = $3";

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
        judged,
    } = runner;
    if !organization::exists(write.connection(), organization).await? {
        return Err(CreateError::NoOrganization);
    }
    vacancy(write, organization, uid, &id).await?;
    let cluster: Cluster = settle_cluster(write, organization, cluster).await?;
    check_bindings(write, organization, &bindings).await?;
    if !stand(write, organization, judged).await? {
        return Err(CreateError::ProfilesMoved);
    }
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
        drain_until: None,
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
        judged,
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
    if !stand(write, organization, judged).await? {
        return Err(UpdateError::ProfilesMoved);
    }
    overwrite(write, &runner).await?;
    keep(write, &runner, &stamp).await?;
    write.changed(organization, Subject::Runner(uid));
    Ok(runner)
}

/// Whether profiles are what bindings were judged against.
async fn stand(
    write: &mut Write,
    organization: &OrganizationId,
    judged: Option<Vec<JudgedProfile>>,
) -> Result<bool, Fault> {
    for JudgedProfile { profile, revision } in judged.into_iter().flatten() {
        let row = sqlx::query(STANDS)
            .bind(organization.as_str())
            .bind(profile.to_string())
            .bind(i64::from(revision.0))
            .fetch_optional(write.connection())
            .await
            .map_err(fault)?;
        if row.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
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
