//! Processes that are killed in the middle of their work on a store.
//!
//! The process is this test program, told by its environment to run one test
//! that works until it is killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::registry::testing::{Hosted, Place, Scripted, hasty};
use crate::testing::{Archive, TestImage, docker_save, import, open_store};
use crate::{Digest, Images, Progress, Store};

const STORE: &str = "PALISADE_TEST_STORE";
const IMAGE: &str = "PALISADE_TEST_IMAGE";

/// A process that works on a store; it is killed with the value.
struct Worker(Child);

impl Worker {
    fn start(store: &Path, image: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::work_until_killed"])
            .env(STORE, store)
            .env(IMAGE, image)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn is_at_work(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process does; nothing when it is one test among others.
#[tokio::test]
async fn work_until_killed() {
    let (Some(root), Some(image)) = (std::env::var_os(STORE), std::env::var_os(IMAGE)) else {
        return;
    };
    let store = open_store(Path::new(&root)).await;
    let image = image.into_string().unwrap();
    if image.starts_with("import") {
        import_for_ever(&store).await;
    }
    let images = Images::new(store, hasty());
    let _ = images
        .pull(&image.parse().unwrap(), &Progress::none())
        .await;
}

/// An image of its own for each number, over a layer that all have.
fn image(n: usize) -> TestImage {
    let layer = |mark: &str| {
        let files = (0..40).fold(Archive::new(), |archive, file| {
            archive.file(&format!("{mark}/{file}"), mark.as_bytes())
        });
        files.finish()
    };
    let mut image = TestImage::of_files(&[]);
    image.layers = vec![layer("base"), layer(&format!("n{n}"))];
    image
}

async fn import_for_ever(store: &Store) {
    for n in 0.. {
        let name = format!("app:{}", n % 3);
        import(store, docker_save(&[image(n)]), &name)
            .await
            .unwrap();
    }
}

/// Waits until `is_so`, in a test that nothing else can make hang.
async fn until(worker: &mut Worker, is_so: impl Fn() -> bool) {
    let seen = async {
        while !is_so() {
            assert!(worker.is_at_work(), "the process must not end by itself");
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_mins(1);
    tokio::time::timeout(limit, seen)
        .await
        .expect("the process must come so far");
}

fn count(root: &Path, directory: &str) -> usize {
    std::fs::read_dir(root.join(directory)).map_or(0, Iterator::count)
}

/// Whether everything that has a name is whole.
async fn check(store: &Store) {
    for listing in store.list().await.unwrap() {
        let name = listing.reference.unwrap().parse().unwrap();
        let image = store.resolve(&name).expect("what is listed can be used");
        for layer in &image.lower_dirs {
            let top = std::fs::read_dir(layer).unwrap().next().unwrap().unwrap();
            let files = std::fs::read_dir(top.path()).unwrap();
            assert_eq!(files.count(), 40, "{name}");
        }
    }
}

#[tokio::test]
async fn a_process_killed_in_an_import_leaves_what_the_next_open_removes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // Each kill comes at another step of the work.
    let moments: [fn(&Path) -> bool; 5] = [
        |root| count(root, "temporary") > 0,
        |root| count(root, "layers") > 0 && count(root, "temporary") > 0,
        |root| count(root, "layers") > 2 && count(root, "images") > 0,
        |root| count(root, "references") > 1 && count(root, "locks") > 0,
        |root| count(root, "references") > 2 && count(root, "temporary") > 1,
    ];
    for moment in moments {
        let mut worker = Worker::start(root, "import");
        until(&mut worker, || moment(root)).await;
        worker.kill();
        let store = open_store(root).await;
        assert_eq!(count(root, "temporary"), 0);
        check(&store).await;
    }
    let store = open_store(root).await;
    import(&store, docker_save(&[image(0)]), "app:0")
        .await
        .unwrap();
    for listing in store.list().await.unwrap() {
        let name = listing.reference.unwrap().parse().unwrap();
        store.remove(&name).await.unwrap();
    }
    for directory in ["layers", "images", "references", "temporary", "locks"] {
        assert_eq!(count(root, directory), 0, "{directory}");
    }
}

#[tokio::test]
async fn a_process_killed_in_a_pull_is_continued_by_another() {
    let image = image(0);
    let hosted = Hosted::of(&image);
    let (layer, half) = (hosted.layer_path(1), hosted.layers[1].len() / 2);
    let blob = Digest::of(&hosted.layers[1]).hex();
    let path = layer.clone();
    let registry = Scripted::start(move |request| {
        let is_first = request.path == path && request.header("range").is_none();
        let reply = hosted.reply(request);
        if is_first {
            reply.cut(half).hold()
        } else {
            reply
        }
    })
    .await;
    let place = Place::new(hasty()).await;
    let root = place.folder.path();
    let name = registry.name("app:1");
    let mut worker = Worker::start(root, &name);
    let partial = root.join("partial").join(blob);
    let is_half = || std::fs::metadata(&partial).is_ok_and(|file| file.len() == half as u64);
    until(&mut worker, is_half).await;
    worker.kill();

    let images = Images::new(open_store(root).await, hasty());
    assert_eq!(count(root, "temporary"), 0);
    let reference = name.parse().unwrap();
    let pulled = images.pull(&reference, &Progress::none()).await.unwrap();
    assert_eq!(pulled.id, image.id());
    check(images.store()).await;
    let requests = registry.requests_for(&layer);
    let range = requests.last().unwrap().header("range").map(str::to_owned);
    assert_eq!(range, Some(format!("bytes={half}-")));
    assert_eq!(count(root, "partial"), 0);
}
