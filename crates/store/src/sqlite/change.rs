//! The feed of changes.

use std::time::Duration;

use async_trait::async_trait;
use palisade_model::name::OrganizationId;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use tokio::time::{self, Instant};

use super::{Columns as _, SqliteStore, fault};
use crate::change::{Change, Changes, FeedError, OwnChange, Place, Sequence, Subject};
use crate::error::Fault;
use crate::form::Unreadable;
use crate::page::PageSize;

const ENDS: &str = "SELECT head, pruned FROM feed WHERE one = 1";
const AFTER: &str = "SELECT sequence, organization, subject, subject_id FROM changes
    WHERE sequence > $1 ORDER BY sequence LIMIT $2";
const ENDS_OF: &str = "SELECT head, pruned FROM organization_feeds WHERE organization = $1";
const AFTER_OF: &str = "SELECT place, subject, subject_id FROM changes
    WHERE organization = $1 AND place > $2 ORDER BY place LIMIT $3";
const FORGET: &str = "DELETE FROM changes WHERE sequence <= $1";
const NOTE_PRUNED_OF: &str = "UPDATE organization_feeds SET pruned = forgotten.place
    FROM (SELECT organization, max(place) AS place FROM changes
        WHERE sequence <= $1 GROUP BY organization) AS forgotten
    WHERE forgotten.organization = organization_feeds.organization
        AND forgotten.place > organization_feeds.pruned";
const NOTE_PRUNED: &str = "UPDATE feed SET pruned = $1 WHERE one = 1";

/// How often other processes are looked after. Half of what is promised, so
/// that the looking itself has time.
const POLL: Duration = Duration::from_millis(500);

#[async_trait]
impl Changes for SqliteStore {
    async fn head(&self) -> Result<Sequence, Fault> {
        let query = sqlx::query(ENDS);
        let row = query.fetch_one(&self.readers).await.map_err(fault)?;
        sequence(&row, "head")
    }

    async fn changes_after(
        &self,
        after: Sequence,
        limit: PageSize,
    ) -> Result<Vec<Change>, FeedError> {
        let mut read = self.read().await?;
        let (head, pruned) = ends(&mut read).await?;
        if after > head {
            return Err(FeedError::CursorUnknown);
        }
        if after < pruned {
            return Err(FeedError::CursorTooOld);
        }
        let rows = sqlx::query(AFTER)
            .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit.get()).unwrap_or(i64::MAX))
            .fetch_all(&mut *read)
            .await
            .map_err(fault)?;
        Ok(rows.iter().map(change).collect::<Result<_, _>>()?)
    }

    async fn head_of(&self, organization: &OrganizationId) -> Result<Place, Fault> {
        let mut read = self.read().await?;
        let (head, _) = ends_of(&mut read, organization).await?;
        Ok(head)
    }

    async fn changes_of(
        &self,
        organization: &OrganizationId,
        after: Place,
        limit: PageSize,
    ) -> Result<Vec<OwnChange>, FeedError> {
        let mut read = self.read().await?;
        let (head, pruned) = ends_of(&mut read, organization).await?;
        if after > head {
            return Err(FeedError::CursorUnknown);
        }
        if after < pruned {
            return Err(FeedError::CursorTooOld);
        }
        let rows = sqlx::query(AFTER_OF)
            .bind(organization.as_str())
            .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit.get()).unwrap_or(i64::MAX))
            .fetch_all(&mut *read)
            .await
            .map_err(fault)?;
        Ok(rows.iter().map(own_change).collect::<Result<_, _>>()?)
    }

    async fn wait_for_change(&self, after: Sequence, limit: Duration) -> Result<Sequence, Fault> {
        let deadline = Instant::now().checked_add(limit);
        let mut changes = self.writer.head.subscribe();
        loop {
            // Marked as seen before looking: what comes after is not missed.
            changes.mark_unchanged();
            let head = self.head().await?;
            let now = Instant::now();
            if head > after || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(head);
            }
            let poll = now + POLL;
            let until = deadline.map_or(poll, |deadline| deadline.min(poll));
            // Either way it is time to look again. The sender is in `self`.
            let _ = time::timeout_at(until, changes.changed()).await;
        }
    }

    async fn prune_changes(&self, keep: u64) -> Result<(), Fault> {
        let keep = i64::try_from(keep.max(1)).unwrap_or(i64::MAX);
        let mut write = self.write().await?;
        let (head, pruned) = ends(write.connection()).await?;
        let forget = number(head).saturating_sub(keep);
        if forget <= number(pruned) {
            return Ok(());
        }
        // What is forgotten of each organization is counted while it is there.
        for statement in [NOTE_PRUNED_OF, FORGET, NOTE_PRUNED] {
            let query = sqlx::query(statement).bind(forget);
            query.execute(write.connection()).await.map_err(fault)?;
        }
        write.commit().await
    }
}

/// The head, and the newest change that is forgotten.
async fn ends(connection: &mut SqliteConnection) -> Result<(Sequence, Sequence), Fault> {
    let query = sqlx::query(ENDS);
    let row = query.fetch_one(connection).await.map_err(fault)?;
    Ok((sequence(&row, "head")?, sequence(&row, "pruned")?))
}

/// The same of one organization; one that never changed has nothing behind it.
async fn ends_of(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<(Place, Place), Fault> {
    let query = sqlx::query(ENDS_OF).bind(organization.as_str());
    let row = query.fetch_optional(connection).await.map_err(fault)?;
    match row {
        Some(row) => Ok((place(&row, "head")?, place(&row, "pruned")?)),
        None => Ok((Place(0), Place(0))),
    }
}

fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

fn sequence(row: &SqliteRow, column: &'static str) -> Result<Sequence, Fault> {
    counted(row, column).map(Sequence)
}

fn place(row: &SqliteRow, column: &'static str) -> Result<Place, Fault> {
    counted(row, column).map(Place)
}

fn counted(row: &SqliteRow, column: &'static str) -> Result<u64, Fault> {
    let number = u64::try_from(row.number(column)?);
    number.map_err(|_| Unreadable::new("column", column).into())
}

fn change(row: &SqliteRow) -> Result<Change, Fault> {
    Ok(Change {
        sequence: sequence(row, "sequence")?,
        organization: row.parsed("organization")?,
        subject: subject(row)?,
    })
}

fn own_change(row: &SqliteRow) -> Result<OwnChange, Fault> {
    Ok(OwnChange {
        place: place(row, "place")?,
        subject: subject(row)?,
    })
}

fn subject(row: &SqliteRow) -> Result<Subject, Fault> {
    match row.text("subject")?.as_str() {
        "organization" => Ok(Subject::Organization),
        "token" => Ok(Subject::Token(row.parsed("subject_id")?)),
        "profile" => Ok(Subject::Profile(row.parsed("subject_id")?)),
        "runner" => Ok(Subject::Runner(row.parsed("subject_id")?)),
        "sandbox" => Ok(Subject::Sandbox(row.parsed("subject_id")?)),
        _ => Err(Unreadable::new("column", "subject").into()),
    }
}
