//! The log of the main process, as the host reads it.

use palisade_backend::{AttachError, LogQuery};
use palisade_backend_linux::init_client::logs;
use palisade_model::clock::Timestamp;
use tokio_util::task::TaskTracker;

use crate::world::*;

async fn read(world: &World, query: LogQuery) -> (u64, Vec<u8>) {
    let tasks = TaskTracker::new();
    let opened = logs(&world.client, &world.paths, query, &tasks).await;
    let mut chunks = opened.unwrap().chunks;
    let (mut first, mut seen) = (None, Vec::new());
    while let Some(chunk) = tokio::time::timeout(PATIENCE, chunks.recv()).await.unwrap() {
        let chunk = chunk.unwrap();
        first.get_or_insert(chunk.offset);
        seen.extend_from_slice(&chunk.data);
    }
    tasks.close();
    tasks.wait().await;
    (first.unwrap_or(0), seen)
}

#[tokio::test]
async fn both_streams_are_kept_and_nothing_is_lost() {
    const LINES: usize = 200_000;
    let mut world = World::launch(shell(&format!("seq {LINES}; echo err >&2; printf end")));
    world.gone().await;
    let (stdout, stderr) = world.log();
    let expected: String = (1..=LINES).map(|line| format!("{line}\n")).collect();
    assert!(stdout == (expected + "end").as_bytes());
    assert_eq!(stderr, b"err\n");
}

#[tokio::test]
async fn a_follower_sees_all_of_it_and_its_end() {
    let script = "for i in 1 2 3; do echo $i; sleep 0.05; done; echo over";
    let world = World::launch(shell(script));
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(read(&world, query).await, (0, b"1\n2\n3\nover\n".to_vec()));
}

#[tokio::test]
async fn a_follower_sees_nothing_that_is_written_before_an_instant() {
    let world = World::launch(shell("for i in 1 2 3; do echo $i; sleep 0.05; done"));
    let query = LogQuery {
        since: Some(Timestamp::from_micros(i64::MAX)),
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(read(&world, query).await, (0, Vec::new()));
}

#[tokio::test]
async fn the_tail_and_an_offset_can_be_read_after_the_end() {
    let mut world = World::launch(shell("seq 1000"));
    world.gone().await;
    let tail = LogQuery {
        tail_lines: Some(2),
        ..LogQuery::default()
    };
    assert_eq!(read(&world, tail).await, (3884, b"999\n1000\n".to_vec()));
    let offset = LogQuery {
        from_offset: Some(3888),
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(read(&world, offset).await, (3888, b"1000\n".to_vec()));
}

#[tokio::test]
async fn a_log_is_bounded_while_the_main_process_goes_on() {
    const KEPT: u64 = 256 * 1024;
    let mut config = shell("head -c 10000000 /dev/zero; echo; echo last");
    config.limits.log_bytes = KEPT;
    let mut world = World::launch(config);
    world.gone().await;
    let bounds = world.paths.open_log().unwrap().bounds().unwrap();
    assert_eq!(bounds.end, 10_000_006);
    assert!(bounds.end - bounds.first_kept <= KEPT, "{bounds:?}");
    assert!(world.log().0.ends_with(b"\0\nlast\n"));
}

#[tokio::test]
async fn a_log_that_lost_its_beginning_begins_with_a_line_and_is_resumed_to_the_byte() {
    const LINE: u64 = 10;
    const LINES: u64 = 200_000;
    let mut config = shell(&format!("seq -f %09.0f {LINES}"));
    config.limits.log_bytes = 100 * 1024;
    let mut world = World::launch(config);
    world.gone().await;
    let first_kept = world.paths.open_log().unwrap().bounds().unwrap().first_kept;
    let first_line = first_kept.next_multiple_of(LINE);
    let whole: String = (first_line / LINE..LINES)
        .map(|line| format!("{:09}\n", line + 1))
        .collect();
    let tail = |lines| LogQuery {
        tail_lines: Some(lines),
        ..LogQuery::default()
    };
    for query in [LogQuery::default(), tail(u32::MAX)] {
        let (offset, text) = read(&world, query).await;
        assert_eq!(offset, first_line);
        assert!(text == whole.as_bytes());
    }
    let from = |offset| LogQuery {
        from_offset: Some(offset),
        ..LogQuery::default()
    };
    for skipped in [0, 3, LINE, 1_234] {
        let (offset, text) = read(&world, from(first_line + skipped)).await;
        assert_eq!(offset, first_line + skipped);
        assert!(text == whole.as_bytes()[usize::try_from(skipped).unwrap()..]);
    }
    let tasks = TaskTracker::new();
    let lost = logs(&world.client, &world.paths, from(first_kept - 1), &tasks).await;
    assert!(
        matches!(lost.unwrap_err(), AttachError::LogGap { first_kept: at } if at == first_kept)
    );
}
