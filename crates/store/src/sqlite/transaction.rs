//! A call that changes something, from its first statement to its commit.
//!
//! The changes that it makes known are collected and written right before the
//! commit, as [`crate::change`] demands. One that is dropped without a commit
//! leaves nothing behind.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_model::name::OrganizationId;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::watch;

use super::fault::fault;
use crate::change::Subject;
use crate::error::Fault;

const DRAW: &str = "UPDATE feed SET head = head + $1 WHERE one = 1 RETURNING head";
const DRAW_OF: &str = "INSERT INTO organization_feeds (organization, head, pruned)
    VALUES ($1, $2, 0)
    ON CONFLICT (organization) DO UPDATE SET head = organization_feeds.head + excluded.head
    RETURNING head";
const ANNOUNCE: &str = "INSERT INTO changes (sequence, organization, place, subject, subject_id)
    VALUES ($1, $2, $3, $4, $5)";

/// Places that were drawn and not given yet.
type Places = BTreeMap<OrganizationId, RangeInclusive<i64>>;

/// Several statements that see the same state.
pub(super) type Read = Transaction<'static, Sqlite>;

/// Where transactions that write begin.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) pool: SqlitePool,
    /// The newest change that was made here.
    pub(super) head: Arc<watch::Sender<i64>>,
}

impl Writer {
    /// Takes the write lock, before anything is read.
    pub(super) async fn write(&self) -> Result<Write, Fault> {
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await;
        Ok(Write {
            transaction: transaction.map_err(fault)?,
            changes: Vec::new(),
            head: self.head.clone(),
        })
    }
}

/// The one transaction that writes.
pub(super) struct Write {
    transaction: Transaction<'static, Sqlite>,
    changes: Vec<(OrganizationId, Subject)>,
    head: Arc<watch::Sender<i64>>,
}

impl Write {
    /// Where statements run.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Notes for the feed that the subject changed.
    pub(super) fn changed(&mut self, organization: &OrganizationId, subject: Subject) {
        let change = (organization.clone(), subject);
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// Makes it all durable and visible.
    pub(super) async fn commit(mut self) -> Result<(), Fault> {
        let head = self.announce().await?;
        self.transaction.commit().await.map_err(fault)?;
        if let Some(head) = head {
            self.head.send_if_modified(|known| {
                let is_newer = head > *known;
                *known = head.max(*known);
                is_newer
            });
        }
        Ok(())
    }

    /// Writes the changes to the feed; returns the new head if there were any.
    async fn announce(&mut self) -> Result<Option<i64>, Fault> {
        let count = i64::try_from(self.changes.len()).unwrap_or(i64::MAX);
        if count == 0 {
            return Ok(None);
        }
        let draw = sqlx::query_scalar::<_, i64>(DRAW).bind(count);
        let head = draw
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(fault)?;
        let mut places = self.draw_places().await?;
        let numbers = (head - count + 1)..=head;
        for (number, (organization, subject)) in numbers.zip(&self.changes) {
            let (kind, id) = spelling(*subject);
            let place = places.get_mut(organization).and_then(Iterator::next);
            sqlx::query(ANNOUNCE)
                .bind(number)
                .bind(organization.as_str())
                .bind(place)
                .bind(kind)
                .bind(id)
                .execute(&mut *self.transaction)
                .await
                .map_err(fault)?;
        }
        Ok(Some(head))
    }

    /// The places of the changes in the feeds of their organizations, as many for
    /// each as it has changes.
    async fn draw_places(&mut self) -> Result<Places, Fault> {
        let mut counts = BTreeMap::<&OrganizationId, i64>::new();
        for (organization, _) in &self.changes {
            *counts.entry(organization).or_default() += 1;
        }
        let mut places = Places::new();
        for (organization, count) in counts {
            let draw = sqlx::query_scalar::<_, i64>(DRAW_OF)
                .bind(organization.as_str())
                .bind(count);
            let head = draw
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(fault)?;
            places.insert(organization.clone(), (head - count + 1)..=head);
        }
        Ok(places)
    }
}

fn spelling(subject: Subject) -> (&'static str, Option<String>) {
    match subject {
        Subject::Organization => ("organization", None),
        Subject::Token(id) => ("token", Some(id.to_string())),
        Subject::Profile(id) => ("profile", Some(id.to_string())),
        Subject::Runner(uid) => ("runner", Some(uid.to_string())),
        Subject::Sandbox(id) => ("sandbox", Some(id.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use crate::SqliteStore;

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_spoils_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("store.db"));
        let store = store.await.unwrap();
        let mut write = store.write().await.unwrap();
        // As SQLite does when the disk is full.
        let end = sqlx::query("ROLLBACK").execute(write.connection());
        end.await.unwrap();
        drop(write);
        let write = store.write().await;
        write.expect("a write can begin").commit().await.unwrap();
        store.close().await;
    }
}
