//! What sandboxes that are added at the same time share, and what not.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Waker};

use futures_util::future::join_all;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use super::*;
use crate::conformance::fixture::{Fleet, fleet};
use crate::{Sandboxes as _, SqliteStore};

mod failing;

type Adding = Pin<Box<dyn Future<Output = Result<(), InsertError>>>>;

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
    /// Hands the sandbox to the store, which does not have the write lock.
    fn hand_in(&self, sandbox: &Sandbox, basis: Basis) -> Adding {
        let (store, sandbox) = (self.store.clone(), sandbox.clone());
        let mut adding: Adding =
            Box::pin(async move { store.insert_sandbox(sandbox, basis).await });
        let first = adding
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(first.is_pending());
        adding
    }

    async fn has(&self, sandbox: &Sandbox) -> bool {
        let of = &sandbox.owner.organization;
        self.store.get_sandbox(of, sandbox.id).await.is_ok()
    }
}

/// The write lock of the file, as another process has it.
struct Lock(SqliteConnection);

impl Lock {
    async fn of(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn release(mut self, first: &'static str) {
        sqlx::raw_sql(first).execute(&mut self.0).await.unwrap();
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// How many transactions the log holds: the last frame of each says how large the
/// database is after it.
fn commits(path: &Path) -> usize {
    let log = fs::read(format!("{}-wal", path.display())).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page, salt) = (number(8) as usize, &log[16..24]);
    let frames = log[32..].chunks_exact(24 + page);
    let frames = frames.take_while(|frame| &frame[8..16] == salt);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn those_that_wait_at_the_same_time_share_one_transaction() {
    let scene = scene().await;
    let sandboxes: Vec<Sandbox> = (0..20).map(|_| scene.acme.sandbox()).collect();
    let lock = Lock::of(&scene.path).await;
    let mut adding = Vec::new();
    for sandbox in &sandboxes {
        adding.push(scene.hand_in(sandbox, scene.acme.basis()));
    }
    let before = commits(&scene.path);
    lock.release("").await;
    for added in join_all(adding).await {
        added.unwrap();
    }
    assert_eq!(commits(&scene.path), before + 1);
    for sandbox in &sandboxes {
        assert!(scene.has(sandbox).await);
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_is_said_to_that_one_alone() {
    let scene = scene().await;
    let globex = fleet(&scene.store, "globex").await;
    let (first, last) = (scene.acme.sandbox(), scene.acme.sandbox());
    let lock = Lock::of(&scene.path).await;
    let mut stale = scene.acme.basis();
    stale.runner = stale.runner.next();
    let adding = join_all([
        scene.hand_in(&first, scene.acme.basis()),
        scene.hand_in(&globex.sandbox(), globex.basis()),
        scene.hand_in(&first, scene.acme.basis()),
        scene.hand_in(&scene.acme.sandbox(), stale),
        scene.hand_in(&last, scene.acme.basis()),
    ]);
    lock.release("UPDATE organizations SET quota = 'x' WHERE id = 'globex'")
        .await;
    let added = adding.await;
    let [
        Ok(()),
        Err(InsertError::Fault(Fault::Damaged(_))),
        Err(InsertError::IdTaken),
        Err(InsertError::Stale),
        Ok(()),
    ] = &added[..]
    else {
        panic!("{added:?}");
    };
    assert!(scene.has(&first).await && scene.has(&last).await);
}

#[tokio::test]
async fn a_write_that_fails_adds_none_and_the_others_may_try_again() {
    let scene = scene().await;
    let (good, bad) = (scene.acme.sandbox(), scene.acme.sandbox());
    let lock = Lock::of(&scene.path).await;
    let adding = join_all([
        scene.hand_in(&good, scene.acme.basis()),
        scene.hand_in(&good, scene.acme.basis()),
        scene.hand_in(&bad, scene.acme.basis()),
    ]);
    let trap = format!(
        "CREATE TRIGGER trap BEFORE INSERT ON sandboxes WHEN NEW.id = '{}' BEGIN SELECT RAISE(ABORT, 'no'); END",
        bad.id
    );
    lock.release(trap.leak()).await;
    let added = adding.await;
    let [
        Err(InsertError::Fault(Fault::Unavailable(_))),
        Err(InsertError::Fault(Fault::Unavailable(_))),
        Err(InsertError::Fault(Fault::Damaged(_))),
    ] = &added[..]
    else {
        panic!("{added:?}");
    };
    assert!(!scene.has(&good).await && !scene.has(&bad).await);
    scene.acme.start(&scene.store).await;
}

#[tokio::test]
async fn whoever_goes_away_before_it_is_begun_leaves_nothing_behind() {
    let scene = scene().await;
    let sandboxes = [
        scene.acme.sandbox(),
        scene.acme.sandbox(),
        scene.acme.sandbox(),
    ];
    let lock = Lock::of(&scene.path).await;
    let [first, second, third] = &sandboxes;
    drop(scene.hand_in(first, scene.acme.basis()));
    let stays = scene.hand_in(second, scene.acme.basis());
    drop(scene.hand_in(third, scene.acme.basis()));
    lock.release("").await;
    stays.await.unwrap();
    assert!(!scene.has(first).await && scene.has(second).await && !scene.has(third).await);
}

#[tokio::test]
async fn a_store_that_closes_ends_what_was_begun_and_refuses_what_waits() {
    let scene = scene().await;
    let (begun, late) = (scene.acme.sandbox(), scene.acme.sandbox());
    let lock = Lock::of(&scene.path).await;
    let adding = scene.hand_in(&begun, scene.acme.basis());
    tokio::task::yield_now().await;
    let (added, (), ()) = tokio::join!(adding, scene.store.close(), lock.release(""));
    added.unwrap();
    let refused = scene
        .store
        .insert_sandbox(late.clone(), scene.acme.basis())
        .await;
    assert!(
        matches!(refused, Err(InsertError::Fault(Fault::Unavailable(_)))),
        "{refused:?}"
    );
    let again = SqliteStore::open(&scene.path).await.unwrap();
    let of = &begun.owner.organization;
    again.get_sandbox(of, begun.id).await.unwrap();
    assert!(again.get_sandbox(of, late.id).await.is_err());
}

#[tokio::test]
async fn a_transaction_takes_no_more_than_so_many_bytes() {
    let scene = scene().await;
    let mut heavy = [
        scene.acme.sandbox(),
        scene.acme.sandbox(),
        scene.acme.sandbox(),
    ];
    for sandbox in &mut heavy {
        sandbox.launch.mounted_files = vec![MountedFile {
            path: "/data".to_owned(),
            content: vec![7; 1 << 20],
        }];
    }
    let lock = Lock::of(&scene.path).await;
    let adding = heavy
        .each_ref()
        .map(|it| scene.hand_in(it, scene.acme.basis()));
    let before = commits(&scene.path);
    lock.release("").await;
    for added in join_all(adding).await {
        added.unwrap();
    }
    assert_eq!(commits(&scene.path), before + 3);
}
