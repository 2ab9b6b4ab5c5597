//! Counting what is limited. Every function is a part of one transaction.
//!
//! Nothing is counted beside the records themselves, so that no count can be
//! wrong after a crash: what lives is what is not over, and what was started is
//! what was added. What is not limited is not counted either.

use palisade_model::clock::Timestamp;
use palisade_model::name::{OrganizationId, UserId};
use palisade_model::quota::{Counted, Exceeded, Limited, RATE_WINDOW, Scope, Usage};
use palisade_model::sandbox::{Owner, Sandbox};
use sqlx::SqliteConnection;

use super::organization::quota;
use super::transaction::Write;
use super::{fault, snapshot};
use crate::error::Fault;
use crate::sandbox::InsertError;

const LIVING: &str = "SELECT count(*) FROM sandboxes WHERE organization = $1 AND is_over = 0";
const LIVING_OF_USER: &str = "SELECT count(*) FROM sandboxes
    WHERE organization = $1 AND user_id = $2 AND is_over = 0";
const STARTED: &str = "SELECT count(*) FROM sandboxes
    WHERE organization = $1 AND created_at > $2";
const STARTED_BY_USER: &str = "SELECT count(*) FROM sandboxes
    WHERE organization = $1 AND created_at > $2 AND user_id = $3";
const NEWEST: &str = "SELECT created_at FROM sandboxes
    WHERE organization = $1 AND created_at > $2
    ORDER BY created_at DESC LIMIT 1 OFFSET $3";
const NEWEST_BY_USER: &str = "SELECT created_at FROM sandboxes
    WHERE organization = $1 AND created_at > $2 AND user_id = $4
    ORDER BY created_at DESC LIMIT 1 OFFSET $3";

/// Refuses a sandbox for which there is no room.
pub(super) async fn check(write: &mut Write, sandbox: &Sandbox) -> Result<(), InsertError> {
    let Owner { organization, user } = &sandbox.owner;
    let quota = quota(write.connection(), organization).await?;
    let now = sandbox.created_at;
    let mut usage = Usage::default();
    for scope in Scope::ALL {
        if !quota.of(scope, user).count() {
            continue;
        }
        let counted = counted(write.connection(), organization, of(scope, user), now).await?;
        match scope {
            Scope::Organization => usage.organization = counted,
            Scope::User => usage.user = counted,
        }
    }
    match quota.check(user, &usage) {
        Ok(()) => Ok(()),
        Err(exceeded) => {
            let room_at = room_at(write.connection(), &sandbox.owner, &exceeded, now).await?;
            Err(InsertError::Quota(Exceeded {
                room_at,
                ..exceeded
            }))
        }
    }
}

/// What there is of the organization and of the user.
pub(super) async fn usage(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: &UserId,
    now: Timestamp,
) -> Result<Usage, Fault> {
    let mut usage = Usage {
        organization: counted(connection, organization, None, now).await?,
        user: counted(connection, organization, Some(user), now).await?,
    };
    usage.organization.kept = snapshot::kept(connection, organization, None).await?;
    usage.user.kept = snapshot::kept(connection, organization, Some(user)).await?;
    Ok(usage)
}

fn of(scope: Scope, user: &UserId) -> Option<&UserId> {
    match scope {
        Scope::Organization => None,
        Scope::User => Some(user),
    }
}

async fn counted(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: Option<&UserId>,
    now: Timestamp,
) -> Result<Counted, Fault> {
    let since = window_start(now);
    let organization = organization.as_str();
    let (living, started) = match user {
        None => (
            sqlx::query_scalar(LIVING).bind(organization),
            sqlx::query_scalar(STARTED).bind(organization).bind(since),
        ),
        Some(user) => (
            sqlx::query_scalar(LIVING_OF_USER)
                .bind(organization)
                .bind(user.as_str()),
            sqlx::query_scalar(STARTED_BY_USER)
                .bind(organization)
                .bind(since)
                .bind(user.as_str()),
        ),
    };
    let living: i64 = living.fetch_one(&mut *connection).await.map_err(fault)?;
    let started: i64 = started.fetch_one(&mut *connection).await.map_err(fault)?;
    Ok(Counted {
        sandboxes: living.unsigned_abs(),
        starts: started.unsigned_abs(),
        ..Counted::default()
    })
}

/// When one of the starts that count leaves the time in which they do.
async fn room_at(
    connection: &mut SqliteConnection,
    owner: &Owner,
    exceeded: &Exceeded,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault> {
    let Some(place) = exceeded.allowed.checked_sub(1) else {
        // Nothing is allowed at all.
        return Ok(None);
    };
    match exceeded.limited {
        Limited::Sandboxes => return Ok(None),
        Limited::StartsPerMinute => {}
    }
    let query = match exceeded.scope {
        Scope::Organization => sqlx::query_scalar(NEWEST),
        Scope::User => sqlx::query_scalar(NEWEST_BY_USER),
    };
    let query = query
        .bind(owner.organization.as_str())
        .bind(window_start(now))
        .bind(i64::from(place));
    let query = match exceeded.scope {
        Scope::Organization => query,
        Scope::User => query.bind(owner.user.as_str()),
    };
    let started: Option<i64> = query.fetch_optional(connection).await.map_err(fault)?;
    Ok(started.map(|at| Timestamp::from_micros(at).saturating_add(RATE_WINDOW)))
}

fn window_start(now: Timestamp) -> i64 {
    let window = i64::try_from(RATE_WINDOW.as_micros()).unwrap_or(i64::MAX);
    now.as_micros().saturating_sub(window)
}
