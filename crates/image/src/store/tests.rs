//! The store as a whole: names, leases, collection, several handles at once.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{TestImage, docker_save, import, open_store};

fn count(root: &Path, directory: &str) -> usize {
    fs::read_dir(root.join(directory)).unwrap().count()
}

fn reference(name: &str) -> ImageReference {
    name.parse().unwrap()
}

fn holder(name: &str) -> Holder {
    name.parse().unwrap()
}

async fn import_files(store: &Store, files: &[(&str, &str)], name: &str) -> Arc<Image> {
    let archive = docker_save(&[TestImage::of_files(files)]);
    import(store, archive, name).await.unwrap()
}

#[tokio::test]
async fn a_name_follows_what_it_was_given_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    assert_eq!(store.resolve(&reference("app:1")), None);
    let old = import_files(&store, &[("f", "old")], "app:1").await;
    let new = import_files(&store, &[("f", "new")], "docker.io/library/app:1").await;
    assert_ne!(old.id, new.id);
    assert_eq!(store.resolve(&reference("app:1")), Some(new));
}

#[tokio::test]
async fn another_process_sees_changes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        open_store(folder.path()).await,
        open_store(folder.path()).await,
    );
    let app = reference("app:1");
    import_files(&ours, &[("f", "1")], "app:1").await;
    let first = theirs.resolve(&app).unwrap();
    import_files(&ours, &[("f", "2")], "app:1").await;
    assert_ne!(theirs.resolve(&app).unwrap().id, first.id);
    ours.remove(&app).await.unwrap();
    assert_eq!(theirs.resolve(&app), None);
}

#[tokio::test]
async fn looking_up_again_takes_microseconds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    import_files(&store, &[("f", "1")], "app:1").await;
    let app = reference("app:1");
    store.resolve(&app).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(store.resolve(&app).is_some());
    }
    let each = start.elapsed() / 1000;
    // Ten times the aim, as tests are not optimized and machines are busy.
    assert!(each < Duration::from_micros(500), "{each:?}");
    println!("a lookup takes {each:?}");
}

#[tokio::test]
async fn a_layer_goes_with_its_last_image() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    import_files(&store, &[("base", "0"), ("a", "1")], "app:a").await;
    import_files(&store, &[("base", "0"), ("b", "1")], "app:b").await;
    assert_eq!(count(folder.path(), "layers"), 3);
    let collected = store.remove(&reference("app:a")).await.unwrap();
    assert_eq!((collected.images, collected.layers), (1, 1));
    assert_eq!(count(folder.path(), "layers"), 2);
    store.remove(&reference("app:b")).await.unwrap();
    for directory in ["layers", "images", "references", "temporary", "locks"] {
        assert_eq!(count(folder.path(), directory), 0, "{directory}");
    }
}

#[tokio::test]
async fn an_image_with_two_names_stays_until_both_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    import_files(&store, &[("f", "1")], "app:a").await;
    import_files(&store, &[("f", "1")], "app:b").await;
    assert_eq!(store.remove(&reference("app:a")).await.unwrap().images, 0);
    assert!(store.resolve(&reference("app:b")).is_some());
    assert_eq!(store.remove(&reference("app:b")).await.unwrap().images, 1);
}

#[tokio::test]
async fn removing_what_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let refused = store.remove(&reference("app:1")).await;
    assert!(matches!(refused, Err(ImageError::NotPresent { .. })));
}

#[tokio::test]
async fn a_lease_keeps_an_image_over_removal_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let image = import_files(&store, &[("f", "1")], "app:1").await;
    store.lease(&image, &holder("sandbox-1")).await.unwrap();
    store.lease(&image, &holder("sandbox-1")).await.unwrap();
    store.lease(&image, &holder("sandbox-2")).await.unwrap();
    assert_eq!(store.remove(&reference("app:1")).await.unwrap().images, 0);
    drop(store);

    let store = open_store(folder.path()).await;
    let holders: Vec<_> = store
        .leases()
        .unwrap()
        .into_iter()
        .map(|lease| lease.holder)
        .collect();
    assert_eq!(holders, [holder("sandbox-1"), holder("sandbox-2")]);
    let listings = store.list().await.unwrap();
    assert_eq!(
        (listings.len(), &listings[0].reference, listings[0].leases),
        (1, &None, 2)
    );
    assert!(image.lower_dirs[0].join("f").exists());
    store.release(&holder("sandbox-1")).await.unwrap();
    assert_eq!(store.collect().await.unwrap().images, 0);
    store.release(&holder("sandbox-2")).await.unwrap();
    store.release(&holder("sandbox-2")).await.unwrap();
    let collected = store.collect().await.unwrap();
    assert_eq!((collected.images, collected.layers), (1, 1));
    assert!(!image.lower_dirs[0].exists());
}

#[tokio::test]
async fn an_image_that_is_gone_cannot_be_leased() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let image = import_files(&store, &[("f", "1")], "app:1").await;
    store.remove(&reference("app:1")).await.unwrap();
    let refused = store.lease(&image, &holder("late")).await;
    assert!(matches!(refused, Err(ImageError::Gone)));
    assert!(store.leases().unwrap().is_empty());
}

#[tokio::test]
async fn layers_are_not_taken_away_while_an_image_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        open_store(folder.path()).await,
        open_store(folder.path()).await,
    );
    import_files(&ours, &[("f", "1")], "app:1").await;
    let incoming = theirs.0.incoming().await.unwrap();
    let collected = ours.remove(&reference("app:1")).await.unwrap();
    assert_eq!(
        (collected.images, collected.layers, collected.is_partial),
        (1, 0, true)
    );
    drop(incoming);
    assert_eq!(ours.collect().await.unwrap().layers, 1);
}

#[tokio::test]
async fn a_list_shows_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let image = import_files(&store, &[("f", "1")], "z:1").await;
    import_files(&store, &[("g", "1")], "a:1").await;
    store.lease(&image, &holder("s")).await.unwrap();
    let listings = store.list().await.unwrap();
    let shown: Vec<_> = listings
        .iter()
        .map(|one| (one.reference.clone().unwrap(), one.leases))
        .collect();
    let expected = [("docker.io/library/a:1", 0), ("docker.io/library/z:1", 1)];
    assert_eq!(
        shown,
        expected.map(|(name, leases)| (name.to_owned(), leases))
    );
    assert_eq!(listings[1].id, image.id);
    assert_eq!(listings[1].origin, Some(Origin::Imported));
    assert_eq!(listings[1].bytes, image.bytes);
}

#[tokio::test]
async fn damaged_records_go_when_the_store_opens() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let lost = import_files(&store, &[("f", "1")], "app:lost").await;
    import_files(&store, &[("g", "1")], "app:cut").await;
    import_files(&store, &[("h", "1")], "app:good").await;
    fs::remove_dir_all(lost.lower_dirs[0].parent().unwrap()).unwrap();
    let cut = store.0.layout.reference(&key(&reference("app:cut")));
    fs::write(cut, "{").unwrap();
    assert_eq!(store.resolve(&reference("app:cut")), None);

    let store = open_store(folder.path()).await;
    assert_eq!(store.resolve(&reference("app:lost")), None);
    assert!(store.resolve(&reference("app:good")).is_some());
    assert_eq!(store.list().await.unwrap().len(), 1);
    // And what was lost can come again.
    import_files(&store, &[("f", "1")], "app:lost").await;
    assert!(store.resolve(&reference("app:lost")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_imported_at_once_is_one_image() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        open_store(folder.path()).await,
        open_store(folder.path()).await,
    );
    let files = [("a", "1"), ("b", "2"), ("c", "3")];
    let (one, two, three) = tokio::join!(
        import_files(&ours, &files, "app:1"),
        import_files(&theirs, &files, "app:1"),
        import_files(&ours, &files, "app:2"),
    );
    assert_eq!((&one, &one), (&two, &three));
    assert_eq!(
        (
            count(folder.path(), "layers"),
            count(folder.path(), "images")
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn a_closed_store_takes_no_more_work() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    store.close().await;
    assert!(matches!(store.list().await, Err(ImageError::Cancelled)));
}
