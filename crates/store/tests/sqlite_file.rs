//! How the file of a database is opened, and by whom.
#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use palisade_store::conformance::fixture::{fleet, organization};
use palisade_store::{Fault, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs a statement as a program that knows nothing of the store.
async fn tamper(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_files_of_a_database_are_its_owner_s_alone() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("a/b");
    let path = folder.join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    fleet(&store, "acme").await;
    assert_eq!(mode(&folder), 0o700);
    for file in fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert!(folder.join("store.db-wal").exists());
}

#[tokio::test]
async fn a_database_that_others_could_read_is_shut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    SqliteStore::open(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    tamper(&path, "UPDATE schema_version SET version = version + 1").await;
    let before = fs::read(&path).unwrap();
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(opened, Err(Fault::Damaged(_))), "{opened:?}");
    drop(opened);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    tamper(&path, "CREATE TABLE organizations (id TEXT)").await;
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(opened, Err(Fault::Damaged(_))), "{opened:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::write(
        &path,
        "Not a database, and long enough to be sure. ".repeat(100),
    )
    .unwrap();
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(opened, Err(Fault::Damaged(_))), "{opened:?}");
}

#[tokio::test]
async fn a_damaged_record_is_told_and_hides_no_others() {
    use palisade_store::{GetError, Organizations as _};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let (bad, good) = (
        organization(&store, "bad").await,
        organization(&store, "good").await,
    );
    tamper(
        &path,
        r#"UPDATE organizations SET quota = '{"newer":1}' WHERE id = 'bad'"#,
    )
    .await;
    let read = store.get_organization(&bad).await;
    assert!(
        matches!(read, Err(GetError::Fault(Fault::Damaged(_)))),
        "{read:?}"
    );
    store.get_organization(&good).await.unwrap();
}

#[tokio::test]
async fn contents_of_files_are_nowhere_in_the_database_after_the_end() {
    use palisade_model::sandbox::MountedFile;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let fleet = fleet(&store, "acme").await;
    let mut sandbox = fleet.sandbox();
    let secret = b"the secret of a file".repeat(1000);
    sandbox.launch.mounted_files.push(MountedFile {
        path: "/key".to_owned(),
        content: secret,
    });
    let sandbox = fleet.add(&store, sandbox).await;
    fleet.end(&store, sandbox.id).await;
    // Closing moves the journal into the database.
    store.close().await;
    let bytes = fs::read(&path).unwrap();
    let needle = b"the secret of a file";
    assert!(!bytes.windows(needle.len()).any(|window| window == needle));
}
