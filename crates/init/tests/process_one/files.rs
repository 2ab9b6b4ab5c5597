//! Files, written and read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use bytes::Bytes;
use palisade_backend_linux::init_client::ClientError;
use palisade_init_protocol::answer::FileFailure;
use palisade_init_protocol::request::FileMode;
use palisade_init_protocol::text::UserName;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::world::*;

#[tokio::test]
async fn a_file_comes_back_as_it_was_written() {
    let world = World::start(idle()).await;
    let large: Bytes = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, content) in [("a/b/large", large), ("empty", Bytes::new())] {
        let path = world.inside(name);
        world
            .client
            .write_file(path.clone(), None, content.clone().into())
            .await
            .unwrap();
        assert_eq!(
            world.client.read_file(path, 1 << 30).await.unwrap(),
            content
        );
    }
    let left = fs::read_dir(world.path("a/b")).unwrap().count();
    assert_eq!(left, 1, "a temporary file was left");
}

#[tokio::test]
async fn a_mode_is_set_or_kept() {
    let world = World::start(idle()).await;
    let mode = |name: &str| fs::metadata(world.path(name)).unwrap().mode() & 0o7777;
    let client = &world.client;
    let write = |name: &str, mode| {
        let path = world.inside(name);
        async move {
            client
                .write_file(path, mode, bytes("x").into())
                .await
                .unwrap();
        }
    };
    write("new", None).await;
    assert_eq!(mode("new"), 0o644);
    write("run", FileMode::new(0o755).ok()).await;
    write("run", None).await;
    assert_eq!(mode("run"), 0o755);
}

#[tokio::test]
async fn a_link_is_followed_and_stays() {
    let world = World::start(idle()).await;
    fs::create_dir(world.path("real")).unwrap();
    symlink("real/file", world.path("link")).unwrap();
    for content in ["one", "two"] {
        world
            .client
            .write_file(world.inside("link"), None, bytes(content).into())
            .await
            .unwrap();
        assert_eq!(
            fs::read_to_string(world.path("real/file")).unwrap(),
            content
        );
    }
    assert!(
        fs::symlink_metadata(world.path("link"))
            .unwrap()
            .is_symlink()
    );
    symlink("loop", world.path("loop")).unwrap();
    let looped = world
        .client
        .write_file(world.inside("loop"), None, bytes("x").into())
        .await;
    assert_eq!(failure(looped), FileFailure::BadPath);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let world = World::start(idle()).await;
    fs::write(world.path("file"), "12345").unwrap();
    let client = &world.client;
    let read = |path: &str, max| {
        let path = absolute(std::path::Path::new(path));
        async move { failure(client.read_file(path, max).await) }
    };
    let file = world.path("file").display().to_string();
    assert_eq!(read(&format!("{file}.not"), 9).await, FileFailure::NotFound);
    assert_eq!(read("/etc", 9).await, FileFailure::IsDirectory);
    assert_eq!(
        read(&file, 4).await,
        FileFailure::TooLarge { size_bytes: 5 }
    );
    let pipe = world.path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let pipe = pipe.display().to_string();
    for path in ["/dev/zero", "/dev/null", &pipe] {
        assert_eq!(read(path, 9).await, FileFailure::BadPath, "{path}");
    }
    assert!(matches!(
        read("/proc/self/status", 9).await,
        FileFailure::TooLarge { .. }
    ));
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let world = World::start(idle()).await;
    fs::write(world.path("file"), "kept").unwrap();
    let client = &world.client;
    let write = |path: String| {
        let path = absolute(std::path::Path::new(&path));
        let content = Bytes::from(vec![7; 3_000_000]);
        async move { failure(client.write_file(path, None, content.into()).await) }
    };
    let folder = world.folder.path().display().to_string();
    assert_eq!(write(folder.clone()).await, FileFailure::IsDirectory);
    assert_eq!(write(format!("{folder}/")).await, FileFailure::IsDirectory);
    assert_eq!(write(format!("{folder}/new/")).await, FileFailure::BadPath);
    assert_eq!(
        write(format!("{folder}/new/..")).await,
        FileFailure::BadPath
    );
    assert_eq!(
        write(format!("{folder}/file/below")).await,
        FileFailure::BadPath
    );
    assert_eq!(write("/dev/null".into()).await, FileFailure::BadPath);
    assert!(fs::read_to_string(world.path("file")).unwrap() == "kept");
}

#[tokio::test]
async fn files_are_those_of_the_user_of_the_sandbox() {
    let mut config = idle();
    config.user = UserName::new("daemon".into()).unwrap();
    let world = World::start(config).await;
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(world.folder.path(), open).unwrap();
    world
        .client
        .write_file(world.inside("own"), None, bytes("x").into())
        .await
        .unwrap();
    assert_eq!(fs::metadata(world.path("own")).unwrap().uid(), 1);
    fs::write(world.path("secret"), "x").unwrap();
    fs::set_permissions(world.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let read = world.client.read_file(world.inside("secret"), 9).await;
    assert_eq!(failure(read), FileFailure::PermissionDenied);
    let written = world
        .client
        .write_file(world.inside("secret"), None, bytes("y").into())
        .await;
    assert_eq!(failure(written), FileFailure::PermissionDenied);
}

fn failure<T: std::fmt::Debug>(result: Result<T, ClientError>) -> FileFailure {
    match result {
        Err(ClientError::File(failure)) => failure,
        other => panic!("{other:?}"),
    }
}
