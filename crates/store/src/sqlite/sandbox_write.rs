//! Sandboxes, as they are written. Every function is a part of one transaction.

use std::collections::BTreeSet;

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::name::{OrganizationId, Tag};
use palisade_model::sandbox::state::Effect;
use palisade_model::sandbox::{MountedFile, Owner, Sandbox, Status};
use sqlx::SqliteExecutor;
use sqlx::sqlite::SqliteRow;

use super::transaction::Write;
use super::{Columns as _, fault, sandbox_quota};
use crate::change::Subject;
use crate::error::Fault;
use crate::form::{Record, read_status, write_record, write_status};
use crate::page::PageSize;
use crate::sandbox::{Basis, InsertError, StatusChange, StatusChanged};

const EXISTS: &str = "SELECT 1 FROM sandboxes WHERE id = $1";
const STANDS: &str = "SELECT 1 FROM runners
    JOIN bound_profiles ON bound_profiles.runner = runners.uid
    JOIN profiles ON profiles.id = bound_profiles.profile
    JOIN organizations ON organizations.id = runners.organization
    WHERE runners.organization = $1 AND runners.uid = $2 AND runners.revision = $3
        AND runners.deleting_since IS NULL
        AND profiles.organization = $1 AND profiles.id = $4 AND profiles.revision = $5
        AND organizations.revision = $6";
const INSERT: &str = "INSERT INTO sandboxes (id, organization, user_id, runner_uid, runner_id,
        profile_id, profile_name, record, phase, is_over, status, created_at, ended_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const INSERT_TAG: &str = "INSERT INTO sandbox_tags (sandbox, tag) VALUES ($1, $2)";
const INSERT_FILE: &str = "INSERT INTO sandbox_files (sandbox, position, path, content)
    VALUES ($1, $2, $3, $4)";
const GET_STANDING: &str = "SELECT runner_uid, status FROM sandboxes
    WHERE organization = $1 AND id = $2";
const UPDATE_STATUS: &str = "UPDATE sandboxes
    SET phase = $3, is_over = $4, status = $5, ended_at = $6
    WHERE organization = $1 AND id = $2";
const DELETE_FILES: &str = "DELETE FROM sandbox_files WHERE sandbox = $1";

/// In this order: the last one makes the others find nothing any more.
const PURGE: [&str; 3] = [
    "DELETE FROM sandbox_tags WHERE sandbox IN (SELECT id FROM sandboxes
        WHERE is_over = 1 AND ended_at < $1 ORDER BY ended_at, id LIMIT $2)",
    "DELETE FROM sandbox_files WHERE sandbox IN (SELECT id FROM sandboxes
        WHERE is_over = 1 AND ended_at < $1 ORDER BY ended_at, id LIMIT $2)",
    "DELETE FROM sandboxes WHERE id IN (SELECT id FROM sandboxes
        WHERE is_over = 1 AND ended_at < $1 ORDER BY ended_at, id LIMIT $2)",
];

/// Refuses a sandbox that must not be added. Writes nothing.
pub(super) async fn admit(
    write: &mut Write,
    sandbox: &Sandbox,
    basis: Basis,
) -> Result<(), InsertError> {
    let exists = sqlx::query(EXISTS).bind(sandbox.id.to_string());
    let exists = exists.fetch_optional(write.connection()).await;
    // First, so that whoever tries again after a doubtful end learns of it.
    if exists.map_err(fault)?.is_some() {
        return Err(InsertError::IdTaken);
    }
    if !stands(write, sandbox, basis).await? {
        return Err(InsertError::Stale);
    }
    sandbox_quota::check(write, sandbox).await
}

/// Applies one change to the status as it is now; `None` if there is no such
/// sandbox for whoever wants it.
pub(super) async fn change(
    write: &mut Write,
    organization: &OrganizationId,
    id: SandboxId,
    change: StatusChange,
) -> Result<Option<StatusChanged>, Fault> {
    let row = standing(write.connection(), organization, id).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if let StatusChange::Observed { by, .. } = &change
        && *by != row.parsed("runner_uid")?
    {
        return Ok(None);
    }
    let mut status = read_status(&row.text("status")?)?;
    let effect = change.apply(&mut status);
    match effect {
        Effect::Changed => write_back(write, organization, id, &status).await?,
        Effect::Unchanged => {}
    }
    Ok(Some(StatusChanged { status, effect }))
}

/// Where a sandbox is and how it does, before or inside of a transaction.
pub(super) async fn standing(
    executor: impl SqliteExecutor<'_>,
    organization: &OrganizationId,
    id: SandboxId,
) -> Result<Option<SqliteRow>, Fault> {
    let query = sqlx::query(GET_STANDING)
        .bind(organization.as_str())
        .bind(id.to_string());
    query.fetch_optional(executor).await.map_err(fault)
}

pub(super) async fn purge(
    write: &mut Write,
    ended_before: Timestamp,
    limit: PageSize,
) -> Result<usize, Fault> {
    let mut purged = 0;
    for statement in PURGE {
        let done = sqlx::query(statement)
            .bind(ended_before.as_micros())
            .bind(i64::try_from(limit.get()).unwrap_or(i64::MAX))
            .execute(write.connection())
            .await
            .map_err(fault)?;
        purged = done.rows_affected();
    }
    Ok(usize::try_from(purged).unwrap_or(usize::MAX))
}

/// Whether runner, profile and quota are what the decision was made from.
async fn stands(write: &mut Write, sandbox: &Sandbox, basis: Basis) -> Result<bool, Fault> {
    let Basis {
        runner,
        profile,
        quota,
    } = basis;
    let row = sqlx::query(STANDS)
        .bind(sandbox.owner.organization.as_str())
        .bind(sandbox.placement.runner_uid.to_string())
        .bind(i64::from(runner.0))
        .bind(sandbox.placement.profile_id.to_string())
        .bind(i64::from(profile.0))
        .bind(i64::from(quota.0))
        .fetch_optional(write.connection())
        .await
        .map_err(fault)?;
    Ok(row.is_some())
}

/// Adds a sandbox that was admitted in this transaction.
pub(super) async fn insert(write: &mut Write, sandbox: Sandbox) -> Result<(), Fault> {
    let Sandbox {
        id,
        owner: Owner { organization, user },
        tags,
        placement,
        asked,
        mut launch,
        resolved,
        status,
        created_at,
    } = sandbox;
    let files = std::mem::take(&mut launch.mounted_files);
    let record = Record {
        tags,
        placement,
        asked,
        launch,
        resolved,
    };
    let is_over = status.state.is_terminal();
    sqlx::query(INSERT)
        .bind(id.to_string())
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(record.placement.runner_uid.to_string())
        .bind(record.placement.runner_id.as_str())
        .bind(record.placement.profile_id.to_string())
        .bind(record.placement.profile_name.as_str())
        .bind(write_record(&record))
        .bind(status.state.phase().as_str())
        .bind(i64::from(is_over))
        .bind(write_status(&status))
        .bind(created_at.as_micros())
        .bind(status.ended_at.map(Timestamp::as_micros))
        .execute(write.connection())
        .await
        .map_err(fault)?;
    insert_tags(write, id, &record.tags).await?;
    if !is_over {
        insert_files(write, id, files).await?;
    }
    write.changed(&organization, Subject::Sandbox(id));
    Ok(())
}

async fn insert_tags(write: &mut Write, id: SandboxId, tags: &[Tag]) -> Result<(), Fault> {
    for tag in tags.iter().collect::<BTreeSet<_>>() {
        sqlx::query(INSERT_TAG)
            .bind(id.to_string())
            .bind(tag.as_str())
            .execute(write.connection())
            .await
            .map_err(fault)?;
    }
    Ok(())
}

async fn insert_files(
    write: &mut Write,
    id: SandboxId,
    files: Vec<MountedFile>,
) -> Result<(), Fault> {
    for (position, file) in (0_i64..).zip(files) {
        let MountedFile { path, content } = file;
        sqlx::query(INSERT_FILE)
            .bind(id.to_string())
            .bind(position)
            .bind(path)
            .bind(content)
            .execute(write.connection())
            .await
            .map_err(fault)?;
    }
    Ok(())
}

async fn write_back(
    write: &mut Write,
    organization: &OrganizationId,
    id: SandboxId,
    status: &Status,
) -> Result<(), Fault> {
    let is_over = status.state.is_terminal();
    sqlx::query(UPDATE_STATUS)
        .bind(organization.as_str())
        .bind(id.to_string())
        .bind(status.state.phase().as_str())
        .bind(i64::from(is_over))
        .bind(write_status(status))
        .bind(status.ended_at.map(Timestamp::as_micros))
        .execute(write.connection())
        .await
        .map_err(fault)?;
    if is_over {
        let query = sqlx::query(DELETE_FILES).bind(id.to_string());
        query.execute(write.connection()).await.map_err(fault)?;
    }
    write.changed(organization, Subject::Sandbox(id));
    Ok(())
}
