//! The feed of changes.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use tokio::time::{self, Instant};

use super::{Columns as _, SqliteStore, fault};
use crate::change::{Change, Changes, FeedError, Sequence, Subject};
use crate::error::Fault;
use crate::form::Unreadable;
use crate::page::PageSize;

const ENDS: &str = "SELECT head, pruned FROM feed WHERE one = 1";
const AFTER: &str = "SELECT sequence, organization, subject, subject_id FROM changes
    WHERE sequence > $1 ORDER BY sequence LIMIT $2";
const FORGET: &str = "DELETE FROM changes WHERE sequence <= $1";
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
        for statement in [FORGET, NOTE_PRUNED] {
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

fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

fn sequence(row: &SqliteRow, column: &'static str) -> Result<Sequence, Fault> {
    let number = u64::try_from(row.number(column)?);
    number
        .map(Sequence)
        .map_err(|_| Unreadable::new("column", column).into())
}

fn change(row: &SqliteRow) -> Result<Change, Fault> {
    Ok(Change {
        sequence: sequence(row, "sequence")?,
        organization: row.parsed("organization")?,
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
