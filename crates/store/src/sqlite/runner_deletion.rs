//! The end of runners: marked, taken back, deleted. Every function is a part of
//! one transaction.

use palisade_model::clock::Timestamp;
use palisade_model::id::RunnerUid;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::runner::Runner;

use super::fault;
use super::runner::get;
use super::runner_parts::free_profiles;
use super::transaction::Write;
use crate::change::Subject;
use crate::error::Fault;
use crate::runner::{DeleteError, DeletionMark, FinishError, MarkError, UnmarkError};

const MARK: &str = "UPDATE runners SET deleting_since = $3, drain_until = $4
    WHERE organization = $1 AND uid = $2";
const LIVE: &str = "SELECT count(*) FROM sandboxes
    WHERE organization = $1 AND runner_uid = $2 AND is_over = 0";
const DELETE: &str = "DELETE FROM runners WHERE organization = $1 AND uid = $2";

pub(super) async fn mark_deleting(
    write: &mut Write,
    (organization, uid): (&OrganizationId, RunnerUid),
    mark: DeletionMark,
) -> Result<Runner, MarkError> {
    let DeletionMark {
        expected,
        at,
        drain_until,
    } = mark;
    let present = get(write.connection(), organization, uid).await?;
    let present = present.ok_or(MarkError::NotFound)?;
    let current = present.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(MarkError::RevisionMismatch { current });
    }
    let (deleting_since, drain_until) = match present.deleting_since {
        None => (at, drain_until),
        Some(since) => (since, earlier(present.drain_until, drain_until)),
    };
    if present.deleting_since.is_some() && drain_until == present.drain_until {
        return Ok(present);
    }
    let marked = Runner {
        deleting_since: Some(deleting_since),
        drain_until,
        ..present
    };
    write_marks(write, &marked).await?;
    Ok(marked)
}

pub(super) async fn unmark_deleting(
    write: &mut Write,
    (organization, uid): (&OrganizationId, RunnerUid),
    now: Timestamp,
) -> Result<Runner, UnmarkError> {
    let present = get(write.connection(), organization, uid).await?;
    let present = present.ok_or(UnmarkError::NotFound)?;
    if present.deleting_since.is_none() {
        return Ok(present);
    }
    // What is to end at once has no time left to be taken back in.
    if present.drain_until.is_none_or(|until| until <= now) {
        return Err(UnmarkError::Ending);
    }
    let unmarked = Runner {
        deleting_since: None,
        drain_until: None,
        ..present
    };
    write_marks(write, &unmarked).await?;
    Ok(unmarked)
}

/// Writes whether and how a runner is being deleted.
async fn write_marks(write: &mut Write, runner: &Runner) -> Result<(), Fault> {
    sqlx::query(MARK)
        .bind(runner.organization.as_str())
        .bind(runner.uid.to_string())
        .bind(runner.deleting_since.map(Timestamp::as_micros))
        .bind(runner.drain_until.map(Timestamp::as_micros))
        .execute(write.connection())
        .await
        .map_err(fault)?;
    write.changed(&runner.organization, Subject::Runner(runner.uid));
    Ok(())
}

/// The end of a drain that comes first; none is at once.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    Some(one?.min(other?))
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
    match live(write, organization, uid).await? {
        0 => Ok(take_away(write, organization, uid).await?),
        sandboxes => Err(DeleteError::Occupied { sandboxes }),
    }
}

pub(super) async fn finish(
    write: &mut Write,
    organization: &OrganizationId,
    uid: RunnerUid,
) -> Result<(), FinishError> {
    let present = get(write.connection(), organization, uid).await?;
    if present.is_none_or(|runner| runner.deleting_since.is_none()) {
        return Err(FinishError::NotMarked);
    }
    match live(write, organization, uid).await? {
        0 => Ok(take_away(write, organization, uid).await?),
        sandboxes => Err(FinishError::Occupied { sandboxes }),
    }
}

/// How many sandboxes live on a runner.
async fn live(
    write: &mut Write,
    organization: &OrganizationId,
    uid: RunnerUid,
) -> Result<u64, Fault> {
    let live = sqlx::query_scalar::<_, i64>(LIVE)
        .bind(organization.as_str())
        .bind(uid.to_string())
        .fetch_one(write.connection())
        .await
        .map_err(fault)?;
    Ok(live.unsigned_abs())
}

async fn take_away(
    write: &mut Write,
    organization: &OrganizationId,
    uid: RunnerUid,
) -> Result<(), Fault> {
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
