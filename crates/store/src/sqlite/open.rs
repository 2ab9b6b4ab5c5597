//! Opening the file, for its owner alone.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use super::fault::{fault, unavailable};
use super::{PATIENCE, READERS};
use crate::error::Fault;

/// Makes the file if it is missing, and shuts out everybody but its owner.
///
/// SQLite gives its companion files the mode of the database itself; those of a
/// crash that are already there are held to it here.
pub(super) fn prepare_file(path: &Path) -> Result<(), Fault> {
    make_private(path).map_err(unavailable)
}

fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        // An existing directory keeps its mode: it may hold more than this.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    for file in [
        path.to_owned(),
        with_suffix(path, "-wal"),
        with_suffix(path, "-shm"),
    ] {
        match fs::set_permissions(&file, Permissions::from_mode(0o600)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What was deleted may have been a secret.
        .pragma("secure_delete", "ON")
        // Nothing in the schema may run what a tampered file brings along.
        .pragma("trusted_schema", "OFF")
}

/// The one connection that writes.
pub(super) async fn writer(path: &Path) -> Result<SqlitePool, Fault> {
    pool(1).connect_with(options(path)).await.map_err(fault)
}

/// The connections that only read.
pub(super) async fn readers(path: &Path) -> Result<SqlitePool, Fault> {
    let options = options(path).pragma("query_only", "ON");
    pool(READERS).connect_with(options).await.map_err(fault)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        // A file needs no fresh connections.
        .max_lifetime(None)
        .idle_timeout(None)
        // The worker of a connection reports its own end; no ping per call.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_free(connection)))
}

/// Whether a connection that comes back has left its transaction.
///
/// SQLite ends some transactions by itself, such as when the disk is full. The
/// roll-back that follows then fails, and the connection would be taken to be
/// inside of a transaction for ever, and refuse to begin another one.
async fn is_free(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // What was sent before, such as a roll-back, is done when this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// The pages are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("the database has damaged pages or records without their owners")]
struct Unsound;

/// Whether all pages and all references between records are sound.
pub(super) async fn check_integrity(readers: &SqlitePool) -> Result<(), Fault> {
    let pages = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(1)");
    let pages = pages.fetch_one(readers).await.map_err(fault)?;
    let orphans = sqlx::query("PRAGMA foreign_key_check");
    let orphan = orphans.fetch_optional(readers).await.map_err(fault)?;
    if pages == "ok" && orphan.is_none() {
        Ok(())
    } else {
        Err(Fault::Damaged(Arc::new(Unsound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn setting(pool: &SqlitePool, question: &'static str) -> String {
        let answer = sqlx::query_scalar::<_, i64>(question).fetch_one(pool).await;
        match answer {
            Ok(number) => number.to_string(),
            Err(_) => sqlx::query_scalar(question).fetch_one(pool).await.unwrap(),
        }
    }

    #[tokio::test]
    async fn every_connection_keeps_what_it_acknowledged_and_its_references() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        prepare_file(&path).unwrap();
        let (writer, readers) = (writer(&path).await.unwrap(), readers(&path).await.unwrap());
        for (question, answer) in [
            ("PRAGMA journal_mode", "wal"),
            // 2 is FULL: a commit is on the disk before it is told.
            ("PRAGMA synchronous", "2"),
            ("PRAGMA foreign_keys", "1"),
            ("PRAGMA secure_delete", "1"),
            ("PRAGMA trusted_schema", "0"),
        ] {
            assert_eq!(setting(&writer, question).await, answer, "{question}");
            assert_eq!(setting(&readers, question).await, answer, "{question}");
        }
        assert_eq!(setting(&writer, "PRAGMA query_only").await, "0");
        assert_eq!(setting(&readers, "PRAGMA query_only").await, "1");
    }
}
