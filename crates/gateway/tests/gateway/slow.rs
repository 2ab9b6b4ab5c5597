//! Clients that read late, never, or are cut off, over a socket and in real time:
//! what is long by default is short by configuration here.

use std::time::Duration;

use palisade_gateway::{GatewayConfig, SessionLimits};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Answer;
use tokio::sync::mpsc;
use tokio::time;

use crate::rig::{config, running, until};
use crate::scene::{Answers, Scene, code, open};

/// More than all queues on the way hold.
const MUCH: usize = 32 << 20;

/// So many that the queues on the way are long full.
const HEARTBEATS: usize = 20;

/// How long a client may leave its output unread.
const UNREAD_MAX: Duration = Duration::from_secs(1);

fn impatient() -> GatewayConfig {
    GatewayConfig {
        unread_max: UNREAD_MAX,
        ..config()
    }
}

/// Keeps little of what was handed over, and for half a second.
fn forgetful() -> GatewayConfig {
    GatewayConfig {
        exec_sessions: SessionLimits {
            window_bytes: 64 << 10,
            ..config().exec_sessions
        },
        ..config()
    }
}

fn error(end: Option<Answer>) -> pb::ExecStreamError {
    match end {
        Some(Answer::Error(error)) => error,
        other => panic!("an error frame comes, not {other:?}"),
    }
}

/// Runs a command in a process of its own, which is killed with its connection once
/// it has read so many bytes; returns the name of the session.
async fn cut_off(scene: &Scene, words: &str, bytes: usize) -> String {
    let (told, mut sessions) = mpsc::channel(1);
    let init = scene.init(words);
    let process = scene.elsewhere(async move |streams| {
        let (_frames, mut answers) = open(streams, init).await.unwrap();
        let session = answers.ready().await;
        read_until(&mut answers, 0, bytes).await;
        told.send(session).await.unwrap();
        std::future::pending::<()>().await;
    });
    let process = process.await;
    let session = sessions.recv().await.unwrap();
    process.shutdown_background();
    session
}

async fn resume(scene: &Scene, session: &str) -> Answers {
    let opened = open(scene.streams.clone(), scene.resumed(session)).await;
    opened.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_told_so_and_its_command_is_killed() {
    let scene = Scene::configured(impatient(), "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    let (frames, mut answers) = scene.exec(&format!("fake bytes {MUCH} exit 0")).await;
    drop(frames);
    answers.ready().await;
    scene.alone().await;
    let (output, end) = answers.rest().await;
    assert!(output.len() < MUCH, "{} bytes", output.len());
    assert!(output.iter().all(|byte| *byte == b'x'));
    let error = error(end);
    assert_eq!(error.code, "STREAM_BACKPRESSURE");
    assert!(error.message.contains("for 1 s"), "{}", error.message);
}

/// Reads output until there was so much of it, and tells how much that was.
async fn read_until(answers: &mut Answers, mut read: usize, until: usize) -> usize {
    while read < until {
        let Some(Answer::Output(output)) = answers.next().await else {
            panic!("output comes");
        };
        read += output.data.len();
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_loses_nothing() {
    let scene = Scene::configured(impatient(), "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    let (frames, mut answers) = scene.exec(&format!("fake bytes {MUCH} exit 0")).await;
    drop(frames);
    answers.ready().await;
    let mut read = 0;
    // Longer in all than a client may leave everything unread.
    for _ in 0..6 {
        time::sleep(UNREAD_MAX / 4).await;
        // What lies in its own queues is read first, and makes no room in ours.
        let until = MUCH.min(read + (4 << 20));
        read = read_until(&mut answers, read, until).await;
    }
    let (output, end) = answers.rest().await;
    assert_eq!((read + output.len(), code(end)), (MUCH, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_for_more_than_is_kept_is_told_that_something_is_lost() {
    let scene = Scene::configured(forgetful(), "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    let words = "fake bytes 4194304 cat exit 0";
    let session = cut_off(&scene, words, 4 << 20).await;
    let (output, end) = resume(&scene, &session).await.rest().await;
    assert_eq!(output, b"");
    assert_eq!(error(end).code, "REPLAY_GAP");
    // Its command is killed, and the session is gone with it.
    scene.alone().await;
    let (_, end) = resume(&scene, &session).await.rest().await;
    assert_eq!(error(end).code, "SESSION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_late_finds_neither_session_nor_command() {
    let config = GatewayConfig {
        exec_sessions: SessionLimits {
            kept: Duration::from_millis(500),
            ..config().exec_sessions
        },
        ..config()
    };
    let scene = Scene::configured(config, "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    let session = cut_off(&scene, "fake bytes 1000 cat exit 0", 1000).await;
    scene.alone().await;
    let (_, end) = resume(&scene, &session).await.rest().await;
    assert_eq!(error(end).code, "SESSION_NOT_FOUND");
}

/// The life line has a connection of its own, to which nothing of what is left unread
/// of commands comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_costs_a_runner_neither_its_heartbeats_nor_its_wishes() {
    let config = GatewayConfig {
        heartbeat: Duration::from_millis(20),
        ..config()
    };
    let scene = Scene::configured(config, "fake until-stopped").await;
    scene.client.runs(&scene.id).await;
    let (frames, mut unread) = scene.exec(&format!("fake bytes {MUCH} exit 0")).await;
    drop(frames);
    unread.ready().await;
    let runner = scene.stage.local().await.uid;
    let heard = || scene.gateway.live.observe(runner).last_heartbeat;
    // It is heard of again and again, while all queues on the way fill up and stay full.
    for _ in 0..HEARTBEATS {
        let before = heard();
        until("the runner is heard of", async || heard() > before).await;
    }
    let other = scene.client.start(running("fake exit 3")).await.unwrap();
    let other = scene.client.is_over(&other.sandbox_id).await;
    assert_eq!(other.exit_code, Some(3));
    let id = scene.id.parse().unwrap();
    assert_eq!(scene.runner.commands(id).await, 1, "most is still unread");
    let (output, end) = unread.rest().await;
    assert_eq!((output.len(), code(end)), (MUCH, 0));
}
