//! What others do, or leave undone, on the one connection of a runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time;

use crate::rig::until;
use crate::scene::{Scene, code, stdin};

/// Readers that do not read, each with more for it than all windows on the way hold.
const DEAF: usize = 40;
const MUCH: usize = 16 << 20;
/// What a neighbour has to get through, and how often, and how soon.
const SOME: usize = 2_000_000;
const TURNS: usize = 5;
const SOON: Duration = Duration::from_secs(10);
/// Keystrokes that nobody takes: more than the library lets wait on usual connections.
const KEYSTROKES: usize = 4_000;

/// Somebody else gets all of his output, again and again.
async fn a_neighbour_is_served(scene: &Scene) {
    let streams = scene.another().await;
    for _ in 0..TURNS {
        let words = format!("fake bytes {SOME} exit 0");
        let (_frames, mut answers) = scene.exec_by(streams.clone(), &words).await;
        let served = time::timeout(SOON, answers.rest()).await;
        let (output, end) = served.expect("in time");
        assert_eq!((output.len(), code(end)), (SOME, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_hold_nobody_else_up() {
    let scene = Scene::running().await;
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        let words = format!("fake bytes {MUCH} exit 0");
        // Each for himself: a client that does not read holds himself up.
        let (frames, mut answers) = scene.exec_by(scene.another().await, &words).await;
        // It runs, and nothing more of it is read.
        answers.next().await.expect("it begins");
        deaf.push((frames, answers));
    }
    a_neighbour_is_served(&scene).await;
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn keystrokes_that_nobody_takes_end_nothing_of_others() {
    let scene = Scene::running().await;
    let (frames, mut answers) = scene.exec("fake until-stopped").await;
    answers.next().await.expect("it begins");
    let typed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&typed);
    let mut typing = JoinSet::new();
    typing.spawn(async move {
        while frames.send(stdin(vec![b'x'])).await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let enough = async || typed.load(Ordering::Relaxed) >= KEYSTROKES;
    until("there are many keystrokes", enough).await;
    a_neighbour_is_served(&scene).await;
    assert!(typing.try_join_next().is_none(), "nor of its own");
}
