//! Transactions that break down, and disks and commits that fail in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use sqlx::sqlite::SqlitePoolOptions;

use super::*;

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

    /// Runs a statement on the connection that writes.
    async fn run(&self, statement: &'static str) {
        let mut write = self.store.write().await.unwrap();
        let done = sqlx::raw_sql(statement).execute(write.connection());
        done.await.unwrap();
        write.commit().await.unwrap();
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

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_is_told_to_all_and_leaves_nothing_behind() {
    let scene = scene().await;
    let pages = scene.number("PRAGMA page_count").await;
    // Room for what is small, and not for what is large.
    let limit = format!("PRAGMA max_page_count = {}", pages + 20);
    scene.run(limit.leak()).await;
    let group = [0, 0, 512 << 10].map(|bytes| scene.sandbox(bytes));
    let write = scene.store.write().await.unwrap();
    let adding = scene.add(&scene.store.admission, &group);
    let (added, ()) = tokio::join!(adding, async { drop(write) });
    let [
        Err(InsertError::Fault(Fault::Unavailable(first))),
        Err(InsertError::Fault(Fault::Unavailable(second))),
        Err(InsertError::Fault(Fault::Unavailable(third))),
    ] = &added[..]
    else {
        panic!("{added:?}");
    };
    assert!(first.is::<Undone>() && second.is::<Undone>());
    assert!(third.to_string().contains("full"), "{third}");
    assert_eq!(scene.rows().await, [0; 3]);

    // What is small still has room, and so has the rest once the disk does.
    try_add(&scene, &group[..2]).await;
    assert_eq!(scene.rows().await, [2; 3]);
    scene.run("PRAGMA max_page_count = 1000000").await;
    try_add(&scene, &group[2..]).await;
    assert_eq!(scene.rows().await, [3; 3]);
    scene.store.check_integrity().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_and_leaves_nothing_behind() {
    let scene = scene().await;
    // Which nothing notices before the commit.
    scene
        .run(
            "CREATE TABLE owed (id TEXT REFERENCES organizations(id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER trap AFTER INSERT ON sandboxes BEGIN INSERT INTO owed VALUES ('x'); END",
        )
        .await;
    let group = [0; 3].map(|bytes| scene.sandbox(bytes));
    let feed = scene.number("SELECT head FROM feed").await;
    let added = scene.add(&scene.store.admission, &group).await;
    for added in added {
        let failed = matches!(&added, Err(InsertError::Fault(Fault::Damaged(_))));
        assert!(failed, "{added:?}");
    }
    assert_eq!(scene.rows().await, [0; 3]);
    assert_eq!(scene.number("SELECT head FROM feed").await, feed);
    scene.run("DROP TRIGGER trap").await;
    try_add(&scene, &group).await;
    assert_eq!(scene.rows().await, [3; 3]);
}

async fn try_add(scene: &Scene, sandboxes: &[Sandbox]) {
    let adding = sandboxes
        .iter()
        .map(|it| scene.store.admission.add(it.clone(), scene.acme.basis()));
    try_join_all(adding).await.unwrap();
}
