//! SQLite keeps the contract of the store.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use palisade_store::conformance::Harness;
use palisade_store::{SqliteStore, Store, conformance_tests};
use tempfile::TempDir;

#[derive(Debug)]
struct SqliteHarness {
    directory: TempDir,
    store: Arc<SqliteStore>,
}

impl SqliteHarness {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = open(file(&directory)).await;
        Self { directory, store }
    }
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("store.db")
}

async fn open(path: PathBuf) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path).await.expect("it opens"))
}

#[async_trait]
impl Harness for SqliteHarness {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn second_handle(&self) -> Arc<dyn Store> {
        open(file(&self.directory)).await
    }

    async fn crash_and_reopen(&mut self) {
        self.store = open(file(&self.directory)).await;
    }
}

conformance_tests!(SqliteHarness::new().await);
