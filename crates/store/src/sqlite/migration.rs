//! Bringing a database to the version of this program.
//!
//! The version and all steps to it are one transaction: a database is never
//! between two versions. Steps are only ever added.

use std::sync::Arc;

use sqlx::{SqliteConnection, SqlitePool};

use super::fault::fault;
use crate::error::Fault;

/// The steps, the first of which makes version 1.
const STEPS: [&str; 9] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_drain.sql"),
    include_str!("migrations/0003_quota.sql"),
    include_str!("migrations/0004_snapshots.sql"),
    include_str!("migrations/0005_secrets.sql"),
    include_str!("migrations/0006_snapshots_of_users.sql"),
    include_str!("migrations/0007_revisions_of_quotas.sql"),
    include_str!("migrations/0008_feeds_of_organizations.sql"),
    include_str!("migrations/0009_profiles_by_name.sql"),
];

/// Says in the header of the file whose database it is: `pali`.
const APPLICATION_ID: i64 = 0x7061_6c69;

/// Why a database is left alone.
#[derive(Debug, thiserror::Error)]
enum NotOurs {
    /// A newer program has been here.
    #[error("the database has version {found}; this program knows versions up to {known}")]
    Newer { found: i64, known: i64 },
    /// Some other program has been here.
    #[error("the file is a database of another program")]
    Foreign,
}

impl From<NotOurs> for Fault {
    fn from(reason: NotOurs) -> Self {
        Self::Damaged(Arc::new(reason))
    }
}

/// Applies the steps that are missing.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), Fault> {
    let begun = writer.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = begun.map_err(fault)?;
    let present = version(&mut transaction).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if present > known {
        let found = present;
        return Err(NotOurs::Newer { found, known }.into());
    }
    let done = usize::try_from(present).unwrap_or(0);
    for step in STEPS.into_iter().skip(done) {
        run(&mut transaction, step).await?;
    }
    if present < known {
        let mark = sqlx::query("UPDATE schema_version SET version = $1").bind(known);
        mark.execute(&mut *transaction).await.map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)
}

/// The version of the database; 0 for one that was just made.
async fn version(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    let owner = scalar(connection, "PRAGMA application_id").await?;
    if owner == APPLICATION_ID {
        return scalar(connection, "SELECT version FROM schema_version").await;
    }
    let tables = scalar(connection, "SELECT count(*) FROM sqlite_master").await?;
    if owner != 0 || tables != 0 {
        return Err(NotOurs::Foreign.into());
    }
    run(connection, "PRAGMA application_id = 0x70616c69").await?;
    run(
        connection,
        "CREATE TABLE schema_version (version BIGINT NOT NULL);
         INSERT INTO schema_version (version) VALUES (0)",
    )
    .await?;
    Ok(0)
}

async fn scalar(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, Fault> {
    let query = sqlx::query_scalar(sql);
    query.fetch_one(connection).await.map_err(fault)
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Fault> {
    let done = sqlx::raw_sql(sql).execute(connection).await;
    done.map(|_| ()).map_err(fault)
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::{Changes as _, FeedError, PageSize, SqliteStore};

    /// A database as version 7 left it, with one organization and five changes.
    const VERSION_7: &str = "UPDATE schema_version SET version = 7;
        INSERT INTO organizations (id, quota, created_at) VALUES ('acme', '{}', 0);
        INSERT INTO changes (sequence, organization, subject) VALUES (5, 'acme', 'organization');
        UPDATE feed SET head = 5, pruned = 4";

    #[tokio::test]
    async fn places_of_all_are_gaps_once_organizations_have_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let options = SqliteConnectOptions::new().filename(&path);
        let mut old = options.create_if_missing(true).connect().await.unwrap();
        version(&mut old).await.unwrap();
        for step in &STEPS[..7] {
            run(&mut old, step).await.unwrap();
        }
        run(&mut old, VERSION_7).await.unwrap();
        old.close().await.unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        let acme = "acme".parse().unwrap();
        let head = store.head_of(&acme).await.unwrap();
        assert_eq!(head.to_string(), "5");
        let missed = store.changes_of(&acme, "4".parse().unwrap(), PageSize::MAX);
        assert!(matches!(missed.await, Err(FeedError::CursorTooOld)));
        let seen = store.changes_of(&acme, head, PageSize::MAX).await;
        assert_eq!(seen.unwrap(), []);
        store.close().await;
    }
}
