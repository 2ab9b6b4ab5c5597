//! Registries for tests: a real one, and one that does as it is told.

mod hosted;
mod real;
mod scripted;

use std::time::Duration;

use tempfile::TempDir;

pub(crate) use hosted::Hosted;
pub(crate) use real::RealRegistry;
pub(crate) use scripted::{Reply, Request, Scripted};

use super::{Images, Registries};
use crate::testing::open_store;

/// A store that nobody else uses, and images that may come into it.
pub(crate) struct Place {
    pub(crate) images: Images,
    pub(crate) folder: TempDir,
}

/// Settings that lose no time; the waits are for a machine that is busy.
pub(crate) fn hasty() -> Registries {
    Registries {
        backoff: Duration::from_millis(1),
        attempts_max: 3,
        answer_time: Duration::from_secs(20),
        idle_time: Duration::from_secs(20),
        pull_time: Duration::from_secs(40),
        ..Registries::default()
    }
}

impl Place {
    pub(crate) async fn new(registries: Registries) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            images: Images::new(open_store(folder.path()).await, registries),
            folder,
        }
    }

    /// Names in a directory of the store.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// Waits until a pull that failed has left nothing; the beginnings of layers
    /// wait to be continued or collected.
    pub(crate) async fn becomes_clean(&self) {
        let parts = ["references", "images", "layers", "temporary", "partial"];
        self.becomes_empty(&parts).await;
    }

    /// Waits until there is nothing in some directories of the store: threads of
    /// work that was given up may still be on their way out.
    pub(crate) async fn becomes_empty(&self, directories: &[&str]) {
        let empty = async {
            while !directories.iter().all(|name| self.names(name).is_empty()) {
                self.images.store().collect().await.unwrap();
            }
        };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, empty)
            .await
            .expect("the store must become clean");
    }
}
