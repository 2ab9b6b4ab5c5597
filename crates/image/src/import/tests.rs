//! Images in all forms, as tools write them and as they should not be.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::testing::{
    Archive, TestImage, archive_of, docker_save, gzip, import, layout, open_store,
};
use crate::unpack::is_whiteout;

fn two_layers() -> TestImage {
    TestImage::of_files(&[("base", "1"), ("etc/passwd", "app:x:7:8::/srv:\n")])
}

async fn check(archive: Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let image = import(&store, archive, "app:1").await.unwrap();
    check_two_layers(&image);
    assert_eq!(
        store.resolve(&"docker.io/library/app:1".parse().unwrap()),
        Some(image)
    );
    assert!(
        fs::read_dir(folder.path().join("temporary"))
            .unwrap()
            .next()
            .is_none()
    );
}

fn check_two_layers(image: &Image) {
    assert_eq!(image.id, two_layers().id());
    assert_eq!(image.layers.len(), 2);
    assert_eq!(
        fs::read_to_string(image.lower_dirs[1].join("base")).unwrap(),
        "1"
    );
    assert_eq!(image.config.cmd, ["/bin/sh"]);
    let passwd = image.lower_dirs.iter().map(|dir| dir.join("etc/passwd"));
    let passwd = passwd.filter_map(|path| fs::read_to_string(path).ok());
    assert_eq!(passwd.collect::<Vec<_>>(), ["app:x:7:8::/srv:\n"]);
}

#[tokio::test]
async fn an_oci_archive_is_imported_plain_and_packed() {
    let archive = archive_of(&layout(&[two_layers()]));
    check(gzip(&archive)).await;
    check(zstd::encode_all(&archive[..], 1).unwrap()).await;
    check(archive).await;
}

#[tokio::test]
async fn a_docker_archive_is_imported_plain_and_packed() {
    let archive = docker_save(&[two_layers()]);
    check(gzip(&archive)).await;
    check(archive).await;
}

#[tokio::test]
async fn a_layout_directory_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in layout(&[two_layers()]) {
        let path = folder.path().join("layout").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let store = open_store(&folder.path().join("store")).await;
    let source = Source::Path(folder.path().join("layout"));
    let reference = "app:1".parse().unwrap();
    let imported = store
        .import(source, Some(&reference), &Progress::none())
        .await
        .unwrap();
    check_two_layers(&imported.image);
}

#[tokio::test]
async fn a_blob_that_is_a_link_out_of_the_layout_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("layout");
    for (name, content) in layout(&[two_layers()]) {
        let path = root.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let outside = folder.path().join(name.replace('/', "-"));
        fs::write(&outside, &content).unwrap();
        if name.starts_with("blobs") {
            std::os::unix::fs::symlink(outside, path).unwrap();
        } else {
            fs::write(path, content).unwrap();
        }
    }
    let store = open_store(&folder.path().join("store")).await;
    let reference = "app:1".parse().unwrap();
    let source = Source::Path(root);
    assert!(
        store
            .import(source, Some(&reference), &Progress::none())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_root_file_system_becomes_an_image_that_runs_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let archive = Archive::new()
        .directory("./")
        .file("./bin/sh", b"#!")
        .device("./dev/null", 1, 3);
    let archive = archive.finish();
    let image = import(&store, archive.clone(), "root:fs").await.unwrap();
    assert_eq!(image.layers, [Digest::of(&archive)]);
    assert_eq!(image.config.cmd, ["/bin/sh"]);
    assert!(image.config.env("PATH").unwrap().contains("/usr/bin"));
    // The same content is the same image, however it is packed.
    let again = import(&store, gzip(&archive), "root:gz").await.unwrap();
    assert_eq!(again.id, image.id);
}

#[tokio::test]
async fn the_name_in_the_file_is_taken_when_none_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let named = two_layers().named("quay.io/org/app:2");
    for archive in [
        docker_save(std::slice::from_ref(&named)),
        archive_of(&layout(&[named])),
    ] {
        let source = Source::Reader(Box::new(std::io::Cursor::new(archive)));
        let imported = store.import(source, None, &Progress::none()).await.unwrap();
        assert_eq!(imported.reference.canonical(), "quay.io/org/app:2");
    }
    let nameless = Box::new(std::io::Cursor::new(docker_save(&[two_layers()])));
    let refused = store
        .import(Source::Reader(nameless), None, &Progress::none())
        .await;
    assert!(matches!(refused, Err(ImageError::Nameless)));
}

#[tokio::test]
async fn of_several_images_the_named_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let one = TestImage::of_files(&[("one", "1")]).named("org/app:one");
    let two = TestImage::of_files(&[("two", "2")]).named("org/app:two");
    let both = [one, two.clone()];
    for archive in [docker_save(&both), archive_of(&layout(&both))] {
        let image = import(&store, archive.clone(), "org/app:two")
            .await
            .unwrap();
        assert_eq!(image.id, two.id());
        let refused = import(&store, archive, "org/app:three").await;
        let Err(ImageError::Ambiguous { names }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(names, ["\"org/app:one\"", "\"org/app:two\""]);
    }
}

#[tokio::test]
async fn an_image_for_another_machine_is_refused_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let mut foreign = two_layers();
    foreign.architecture = "s390x".to_owned();
    for archive in [
        docker_save(&[foreign.clone()]),
        archive_of(&layout(&[foreign])),
    ] {
        let refused = import(&store, archive, "app:1").await.unwrap_err();
        assert!(refused.to_string().contains("linux/s390x"), "{refused}");
    }
    assert!(store.list().await.unwrap().is_empty());
}

/// Changes the content of one file of an archive of files.
fn tampered(files: &[(String, Vec<u8>)], is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut files = files.to_vec();
    let (_, content) = files
        .iter_mut()
        .find(|(_, content)| is_it(content))
        .unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x20;
    archive_of(&files)
}

#[tokio::test]
async fn content_that_is_not_what_its_name_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let files = layout(&[two_layers()]);
    let manifest = tampered(&files, |content| {
        String::from_utf8_lossy(content).contains("\"layers\":[")
    });
    let config = tampered(&files, |content| content.starts_with(b"{\"architecture\""));
    for archive in [manifest, config] {
        let refused = import(&store, archive, "app:1").await;
        assert!(
            matches!(refused, Err(ImageError::DigestMismatch { .. })),
            "{refused:?}"
        );
    }
    // The gzip header has a field that does not matter to the content.
    let mut layer = files.clone();
    let (_, content) = layer
        .iter_mut()
        .find(|(_, content)| content[0] == 0x1f)
        .unwrap();
    content[9] ^= 1;
    let refused = import(&store, archive_of(&layer), "app:1").await;
    assert!(
        matches!(refused, Err(ImageError::DigestMismatch { .. })),
        "{refused:?}"
    );
    assert!(store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_layer_that_is_not_the_configured_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let honest = two_layers();
    let mut lying = honest.clone();
    lying.layers[1] = Archive::new().file("evil", b"x").finish();
    // The honest configuration with another layer behind the same name.
    let name = |image: &TestImage| format!("{}/layer.tar", Digest::of(&image.layers[1]).hex());
    let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": null,
        "Layers": [format!("{}/layer.tar", Digest::of(&honest.layers[0]).hex()), name(&honest)]}]);
    let files = [
        ("c.json".to_owned(), honest.document()),
        (
            format!("{}/layer.tar", Digest::of(&honest.layers[0]).hex()),
            honest.layers[0].clone(),
        ),
        (name(&honest), lying.layers[1].clone()),
        (
            "manifest.json".to_owned(),
            serde_json::to_vec(&manifest).unwrap(),
        ),
    ];
    let refused = import(&store, archive_of(&files), "app:1").await;
    assert!(
        matches!(refused, Err(ImageError::DigestMismatch { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn documents_that_lead_elsewhere_or_lack_parts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    for manifest in [
        r#"[{"Config":"../../etc/passwd","Layers":[]}]"#,
        r#"[{"Config":"/etc/passwd","Layers":[]}]"#,
        r#"[{"Config":"missing","Layers":[]}]"#,
        "[]",
        "{",
    ] {
        let files = [("manifest.json".to_owned(), manifest.as_bytes().to_vec())];
        assert!(
            import(&store, archive_of(&files), "app:1").await.is_err(),
            "{manifest}"
        );
    }
    assert!(
        import(&store, b"not an archive at all".repeat(100), "app:1")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn equal_layers_that_are_saved_once_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let image = TestImage::of_files(&[("f", "1"), ("g", "2"), ("f", "1")]);
    let names = ["a/layer.tar", "b/layer.tar", "c/layer.tar"];
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": names}]);
    let archive = Archive::new()
        .file("c.json", &image.document())
        .file(names[0], &image.layers[0])
        .file(names[1], &image.layers[1])
        .symlink(names[2], "../a/layer.tar")
        .file("manifest.json", &serde_json::to_vec(&manifest).unwrap());
    let stored = import(&store, archive.finish(), "app:1").await.unwrap();
    assert_eq!((stored.layers.len(), stored.lower_dirs.len()), (3, 2));
}

#[tokio::test]
async fn an_archive_beyond_the_limits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::Settings::new(folder.path());
    settings.limits.archive_bytes_max = 1 << 20;
    let clock = Arc::new(crate::testing::Noon);
    let store = Store::open(settings, clock).await.unwrap();
    let bomb = gzip(
        &Archive::new()
            .file("oci-layout", &vec![0; 2 << 20])
            .finish(),
    );
    let endless = vec![b'x'; 2 << 20];
    for archive in [bomb, endless] {
        let refused = import(&store, archive, "app:1").await;
        assert!(
            matches!(refused, Err(ImageError::TooLarge { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_source_that_is_no_file_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("store")).await;
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    for path in [
        pipe,
        folder.path().join("missing"),
        folder.path().to_owned(),
    ] {
        let shown = path.display().to_string();
        let refused = store
            .import(Source::Path(path), None, &Progress::none())
            .await;
        let Err(ImageError::Unreadable { path, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(path, shown);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} is needed for this test (apt-get install umoci skopeo): {error}")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Makes an image of two layers, the second of which deletes and replaces.
fn make_with_umoci(folder: &Path) {
    let umoci = |arguments: &[&str]| {
        run(Command::new("umoci").current_dir(folder).args(arguments));
    };
    umoci(&["init", "--layout", "oci"]);
    umoci(&["new", "--image", "oci:1"]);
    umoci(&["unpack", "--image", "oci:1", "bundle"]);
    let root = folder.join("bundle/rootfs");
    for path in ["d/gone", "d/stays", "o/old", "etc/passwd"] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), "app:x:7:8::/srv:\n").unwrap();
    }
    umoci(&["repack", "--refresh-bundle", "--image", "oci:1", "bundle"]);
    fs::remove_file(root.join("d/gone")).unwrap();
    fs::remove_dir_all(root.join("o")).unwrap();
    umoci(&["repack", "--image", "oci:1", "bundle"]);
    umoci(&[
        "config",
        "--image",
        "oci:1",
        "--config.user",
        "app",
        "--config.cmd",
        "/run",
    ]);
}

#[tokio::test]
async fn images_that_other_tools_make_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    make_with_umoci(folder.path());
    let copy = |to: &str| {
        let from = "oci:oci:1";
        run(Command::new("skopeo")
            .current_dir(folder.path())
            .args(["copy", "-q", from, to]));
    };
    copy("docker-archive:docker.tar:app:1");
    copy("oci-archive:oci.tar:1");
    let store = open_store(&folder.path().join("store")).await;
    let mut ids = Vec::new();
    for name in ["oci", "oci.tar", "docker.tar"] {
        let reference = format!("app:{}", name.replace('.', "-")).parse().unwrap();
        let source = Source::Path(folder.path().join(name));
        let imported = store
            .import(source, Some(&reference), &Progress::none())
            .await
            .unwrap();
        let image = imported.image;
        assert_eq!(image.config.cmd, ["/run"], "{name}");
        assert_eq!(image.config.user, "app", "{name}");
        let top = &image.lower_dirs[0];
        for hidden in ["d/gone", "o"] {
            let path = top.join(hidden);
            let cwd = rustix::fs::CWD;
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let stat = rustix::fs::statat(cwd, &path, flags).unwrap();
            assert!(is_whiteout(&stat), "{name}: {hidden}");
        }
        ids.push(image.lower_dirs.clone());
    }
    assert!(
        ids.iter().all(|dirs| *dirs == ids[0]),
        "the layers are shared"
    );
}
