//! What an agent does for those who do not know the key: nothing.

use std::time::Duration;

use palisade_init_client::shake_hands;
use palisade_init_protocol::agent::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time;

use crate::world::*;

/// Waits until the other end has hung up, and returns what it said.
async fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // That it is reset is an end like any other.
    let read = time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    let _ = read.expect("it hangs up");
    said
}

#[tokio::test]
async fn a_wrong_key_is_not_answered_and_harms_nobody() {
    let world = World::start().await;
    let (reader, writer) = world.dial().await.into_split();
    let wrong = Key::new([1; Key::LEN]);
    let shaken = time::timeout(PATIENCE, shake_hands(reader, writer, &wrong)).await;
    assert!(shaken.expect("it hangs up").is_err());
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn garbage_is_not_answered_and_harms_nobody() {
    let world = World::start().await;
    for garbage in [
        &[0_u8; 48][..],
        &[0xff; 10_000],
        b"GET / HTTP/1.1\r\n\r\n".repeat(9).as_slice(),
    ] {
        let mut stream = world.dial().await;
        // It may hang up before it has all of that.
        let _ = stream.write_all(garbage).await;
        assert_eq!(heard(stream).await, b"");
    }
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_none_harms_nobody_but_who_sent_it() {
    let world = World::start().await;
    let (reader, writer) = world.dial().await.into_split();
    let shaken = shake_hands(reader, writer, &world.key).await;
    let (mut reader, mut writer) = shaken.unwrap();
    writer.write_all(&[0xff; 40]).await.unwrap();
    writer.flush().await.unwrap();
    let mut said = Vec::new();
    let read = time::timeout(PATIENCE, reader.read_to_end(&mut said)).await;
    let _ = read.expect("it hangs up");
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn whoever_says_nothing_is_not_waited_for() {
    let world = World::start().await;
    let silent = world.dial().await;
    let (reader, writer) = world.dial().await.into_split();
    // This one knows the key, and wants nothing.
    let idle = shake_hands(reader, writer, &world.key).await.unwrap();
    let began = time::Instant::now();
    assert_eq!(heard(silent).await, b"");
    let (mut reader, _writer) = idle;
    let mut said = Vec::new();
    let _ = reader.read_to_end(&mut said).await;
    assert_eq!(said, b"");
    assert!(
        began.elapsed() > Duration::from_secs(3),
        "it was waited for"
    );
    let mut world = world;
    until("their children are gone", || world.children().is_empty()).await;
    assert!(world.child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn of_very_many_strangers_few_are_listened_to() {
    let world = World::start().await;
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(world.dial().await);
    }
    // Those beyond the limit are hung up on at once.
    let late = strangers.split_off(80);
    for stranger in late {
        let closed = time::timeout(Duration::from_secs(3), heard(stranger)).await;
        assert_eq!(closed.expect("it hangs up at once"), b"");
    }
    assert!(world.children().len() <= 64, "{:?}", world.children());
    drop(strangers);
    until("their children are gone", || world.children().is_empty()).await;
    world.open().await.ping().await.unwrap();
}

#[tokio::test]
async fn the_key_can_be_seen_nowhere() {
    let world = World::start().await;
    // A relay, and a command.
    let (reader, writer) = world.dial().await.into_split();
    let _idle = shake_hands(reader, writer, &world.key).await.unwrap();
    let command = world
        .open()
        .await
        .exec(sh("exec sleep 1000"))
        .await
        .unwrap();
    let mut pids = world.children();
    pids.push(world.pid());
    assert!(pids.len() >= 4, "{pids:?}");
    for pid in pids {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            let has_key = text.windows(Key::LEN).any(|part| part == world.key.bytes());
            assert!(!has_key, "{file} of {pid}");
        }
    }
    // As root owns them, nobody else may look at what it has in memory.
    let owner = std::fs::metadata(format!("/proc/{}/mem", world.pid())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
    drop(command);
}
