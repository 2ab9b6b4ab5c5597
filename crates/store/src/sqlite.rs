//! The store in one SQLite file, for one machine.
//!
//! One connection writes and several read. Each call is one transaction that
//! took the write lock before it read anything, so that what it decides on
//! cannot change before it commits; other processes on the same file queue for
//! that lock. New sandboxes that wait at the same time share one. A commit
//! returns once it is on the disk.
//!
//! The statements use nothing that Postgres lacks, and number their parameters
//! as it does. What is special here is how a database is opened and how
//! transactions begin.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::watch;

use crate::error::Fault;

mod change;
mod fault;
mod migration;
mod open;
mod organization;
mod profile;
mod profile_write;
mod row;
mod runner;
mod runner_deletion;
mod runner_parts;
mod runner_write;
mod sandbox;
mod sandbox_admission;
mod sandbox_count;
mod sandbox_list;
mod sandbox_quota;
mod sandbox_write;
mod secret;
mod secret_seal;
mod snapshot;
mod token;
mod transaction;

use fault::fault;
use row::Columns;
use sandbox_admission::Admission;
use transaction::{Read, Write, Writer};

/// How many calls read at the same time; more wait their turn.
const READERS: u32 = 4;

/// How long a call waits for its turn before it fails as unavailable.
const PATIENCE: Duration = Duration::from_secs(10);

/// A [`Store`](crate::Store) in one SQLite file.
///
/// A clone is another handle to the same store.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    admission: Admission,
}

impl SqliteStore {
    /// Opens the store at `path`, and makes it first if it does not exist.
    ///
    /// A missing directory is made for the owner alone, and the files of the
    /// database are held to the owner in any case. A database of a newer version
    /// or of another program is refused with [`Fault::Damaged`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, Fault> {
        let path = path.as_ref();
        open::prepare_file(path)?;
        let writer = open::writer(path).await?;
        migration::migrate(&writer).await?;
        let readers = open::readers(path).await?;
        let (head, _) = watch::channel(0);
        let writer = Writer {
            pool: writer,
            head: Arc::new(head),
        };
        Ok(Self {
            admission: Admission::start(writer.clone()),
            writer,
            readers,
        })
    }

    /// Waits for calls that run, and closes the files. Later calls fail.
    pub async fn close(&self) {
        self.admission.close().await;
        self.readers.close().await;
        self.writer.pool.close().await;
    }

    /// Reads all of the file and looks whether it is sound, which takes a while
    /// for a large one. What is not is told with [`Fault::Damaged`].
    pub async fn check_integrity(&self) -> Result<(), Fault> {
        open::check_integrity(&self.readers).await
    }

    async fn write(&self) -> Result<Write, Fault> {
        self.writer.write().await
    }

    /// For several statements that must see the same state.
    async fn read(&self) -> Result<Read, Fault> {
        self.readers.begin().await.map_err(fault)
    }
}
