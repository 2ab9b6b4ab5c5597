//! Transactions that break down.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;

use super::*;
use crate::SqliteStore;
use crate::conformance::fixture::{Fleet, fleet};

struct Scene {
    _folder: TempDir,
    path: PathBuf,
    store: SqliteStore,
    acme: Fleet,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let acme = fleet(&store, "acme").await;
    Scene {
        _folder: folder,
        path,
        store,
        acme,
    }
}

impl Scene {
    /// Adds them all at the same time.
    async fn add(
        &self,
        admission: &Admission,
        sandboxes: &[Sandbox],
    ) -> Vec<Result<(), InsertError>> {
        let adding = sandboxes
            .iter()
            .map(|it| admission.add(it.clone(), self.acme.basis()));
        join_all(adding).await
    }

    /// A sandbox with so many bytes of files.
    fn sandbox(&self, bytes: usize) -> Sandbox {
        let mut sandbox = self.acme.sandbox();
        sandbox.tags = vec!["tagged".parse().unwrap()];
        sandbox.launch.mounted_files = vec![MountedFile {
            path: "/data".to_owned(),
            content: vec![7; bytes],
        }];
        sandbox
    }

    async fn number(&self, question: &'static str) -> i64 {
        let answer = sqlx::query_scalar(question);
        answer.fetch_one(&self.store.writer.pool).await.unwrap()
    }

    /// How many rows there are of sandboxes, of their tags and of their files.
    async fn rows(&self) -> [i64; 3] {
        [
            self.number("SELECT count(*) FROM sandboxes").await,
            self.number("SELECT count(*) FROM sandbox_tags").await,
            self.number("SELECT count(*) FROM sandbox_files").await,
        ]
    }
}

/// A writer that breaks whoever takes its connection the first time.
async fn fragile(scene: &Scene) -> Writer {
    let is_broken = Arc::new(AtomicBool::new(true));
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .before_acquire(move |_, _| {
            assert!(!is_broken.swap(false, Ordering::Relaxed), "broken");
            Box::pin(async { Ok(true) })
        });
    let options = SqliteConnectOptions::new().filename(&scene.path);
    Writer {
        pool: pool.connect_with(options).await.unwrap(),
        head: scene.store.writer.head.clone(),
    }
}

#[tokio::test]
async fn a_transaction_that_breaks_down_is_told_to_those_in_it_and_the_others_are_served() {
    let scene = scene().await;
    let admission = Admission::start(fragile(&scene).await);
    let sandboxes = [0; 3].map(|bytes| scene.sandbox(bytes));
    let added = scene.add(&admission, &sandboxes).await;
    let [
        Err(InsertError::Fault(Fault::Unavailable(cause))),
        Ok(()),
        Ok(()),
    ] = &added[..]
    else {
        panic!("{added:?}");
    };
    assert!(cause.is::<BrokenDown>(), "{cause}");
    assert_eq!(scene.rows().await, [2; 3]);
    scene
        .add(&admission, &sandboxes[..1])
        .await
        .remove(0)
        .unwrap();
    admission.close().await;
}
