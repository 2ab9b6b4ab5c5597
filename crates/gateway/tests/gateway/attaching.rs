//! Commands, logs and files through all parts: a client, the gateway, the
//! connection of a runner, the runner.

use std::time::Duration;

use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Answer;
use palisade_wire::proto::v1beta2::log_stream_response::Response as LogAnswer;
use tokio::sync::mpsc;
use tokio::time;

use crate::rig::{PATIENCE, reason};
use crate::scene::{Scene, code, open, stdin};

/// What goes through in one direction.
const MUCH: usize = 100 << 20;
const FRAME: usize = 1 << 20;

/// Pieces of the pattern, as they come.
#[derive(Default)]
struct Pieces {
    number: usize,
    rest: Vec<u8>,
}

impl Pieces {
    /// Takes in a frame, and gives it back if it is the end.
    fn take(&mut self, answer: Answer) -> Option<Answer> {
        match answer {
            Answer::Ready(_) => {}
            Answer::Output(output) => self.rest.extend_from_slice(&output.data),
            Answer::Exit(_) | Answer::Error(_) => return Some(answer),
        }
        while self.rest.len() >= FRAME {
            let seen: Vec<u8> = self.rest.drain(..FRAME).collect();
            let number = self.number;
            assert!(seen == piece(number), "piece {number} is not what was sent");
            self.number += 1;
        }
        None
    }
}

/// A piece of a pattern that shows what is lost, doubled or out of order.
fn piece(number: usize) -> Vec<u8> {
    let mut piece = vec![u8::try_from(number).unwrap(); FRAME];
    piece[FRAME / 2] = !piece[0];
    piece
}

#[tokio::test(flavor = "multi_thread")]
async fn much_in_both_directions_arrives_whole_and_in_order() {
    let scene = Scene::running().await;
    let (frames, mut answers) = scene.exec("fake cat exit 3").await;
    let send = async {
        for number in 0..MUCH / FRAME {
            frames.send(stdin(piece(number))).await.unwrap();
        }
        drop(frames);
    };
    let receive = async {
        let mut pieces = Pieces::default();
        let mut end = None;
        while let Some(answer) = answers.next().await {
            end = pieces.take(answer);
        }
        (pieces.number, pieces.rest.len(), end)
    };
    let (number, left, end) = time::timeout(PATIENCE * 4, async { tokio::join!(send, receive).1 })
        .await
        .expect("it goes through");
    assert_eq!((number, left, code(end)), (MUCH / FRAME, 0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_errors_and_exit_come_through() {
    let scene = Scene::running().await;
    let (frames, mut answers) = scene.exec("fake both exit 5").await;
    drop(frames);
    answers.ready().await;
    let (output, end) = answers.rest().await;
    assert_eq!(
        (output.as_slice(), code(end)),
        (b"out\nerr\n".as_slice(), 5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_comes_while_the_client_keeps_its_input_open() {
    let scene = Scene::running().await;
    let (frames, mut answers) = scene.exec("fake exit 4").await;
    assert_eq!(code(answers.rest().await.1), 4);
    drop(frames);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_the_command_up_and_loses_nothing() {
    let scene = Scene::running().await;
    let (frames, mut answers) = scene.exec("fake bytes 67108864 exit 0").await;
    drop(frames);
    answers.ready().await;
    time::sleep(Duration::from_millis(500)).await;
    let id = scene.id.parse().unwrap();
    assert_eq!(
        scene.runner.commands(id).await,
        1,
        "64 MiB are more than any queue on the way"
    );
    let (output, end) = answers.rest().await;
    assert_eq!((output.len(), code(end)), (64 << 20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_kills_its_command() {
    let scene = Scene::running().await;
    for words in [
        "fake ignore-stop",
        "fake bytes 67108864 exit 0",
        "fake cat exit 0",
    ] {
        let (frames, mut answers) = scene.exec(words).await;
        answers.ready().await;
        drop((frames, answers));
        scene.alone().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_of_a_client_that_died_while_its_input_waits_is_killed_after_a_while() {
    let scene = Scene::running().await;
    let (sent, mut count) = mpsc::channel(100);
    let init = scene.init("fake ignore-stop");
    let process = scene.elsewhere(async move |streams| {
        let (frames, _answers) = open(streams, init).await.unwrap();
        while frames.send(stdin(vec![0; FRAME])).await.is_ok() {
            sent.send(()).await.unwrap();
        }
    });
    let process = process.await;
    // More than the queues on the way to the command, so that input waits.
    while time::timeout(Duration::from_secs(1), count.recv())
        .await
        .is_ok()
    {}
    let id = scene.id.parse().unwrap();
    assert_eq!(scene.runner.commands(id).await, 1);
    process.shutdown_background();
    scene.alone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connection_breaks_goes_on_with_its_command_in_a_new_one() {
    let scene = Scene::running().await;
    let (told, mut sessions) = mpsc::channel(1);
    let init = scene.init("fake cat exit 0");
    let process = scene.elsewhere(async move |streams| {
        let (frames, mut answers) = open(streams, init).await.unwrap();
        frames.send(stdin(b"one ".to_vec())).await.unwrap();
        let session = answers.ready().await;
        answers.next().await;
        told.send(session).await.unwrap();
        std::future::pending::<()>().await;
    });
    let process = process.await;
    let session = sessions.recv().await.unwrap();
    process.shutdown_background();
    let opened = open(scene.streams.clone(), scene.resumed(&session)).await;
    let (frames, mut answers) = opened.unwrap();
    frames.send(stdin(b"two".to_vec())).await.unwrap();
    drop(frames);
    let (text, end) = answers.rest().await;
    assert_eq!((text.as_slice(), code(end)), (b"one two".as_slice(), 0));
    scene.alone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_ends_is_told_in_band_and_never_as_an_exit() {
    let scene = Scene::running().await;
    let (_frames, mut answers) = scene.exec("fake ignore-stop").await;
    answers.ready().await;
    scene.runner.end();
    let Some(Answer::Error(error)) = answers.rest().await.1 else {
        panic!("an error frame comes");
    };
    assert_eq!(error.code, "RUNNER_DRAINING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_through_while_the_sandbox_runs_and_after_it_ended() {
    let scene = Scene::of("fake lines 3 exit 0").await;
    scene.client.is_over(&scene.id).await;
    let lines = b"line 0\nline 1\nline 2\n".as_slice();
    for follow in [false, true] {
        let (text, end) = scene.log(follow).await;
        assert_eq!(text, lines);
        assert_eq!(end, Some(LogAnswer::Complete(pb::LogStreamComplete {})));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_silent_log_waits_and_ends_with_the_sandbox() {
    let scene = Scene::running().await;
    let following = scene.log(true);
    let stopping = async {
        time::sleep(Duration::from_millis(200)).await;
        scene.client.stop(&scene.id, 5).await.unwrap();
    };
    let ((text, end), ()) = tokio::join!(following, stopping);
    assert_eq!(text, b"");
    assert_eq!(end, Some(LogAnswer::Complete(pb::LogStreamComplete {})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_log_comes_through_whole() {
    let scene = Scene::of("fake bytes 33554432 exit 0").await;
    scene.client.is_over(&scene.id).await;
    let (text, end) = scene.log(false).await;
    assert_eq!(text.len(), 32 << 20);
    assert!(text.iter().all(|byte| *byte == b'x'));
    assert_eq!(end, Some(LogAnswer::Complete(pb::LogStreamComplete {})));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_through_in_both_directions_and_their_problems_too() {
    let scene = Scene::running().await;
    let mut client = scene.client.sandboxes.clone();
    for size in [0, 1, 32 << 20] {
        let content: Vec<u8> = (0..251_u8).cycle().take(size).collect();
        let add = pb::AddFileSandboxRequest {
            sandbox_id: scene.id.clone(),
            file_contents: content.clone().into(),
            filepath: "/tmp/a/b".to_owned(),
            max_timeout_seconds: 0,
        };
        assert!(client.add_file(add).await.unwrap().into_inner().success);
        let read = client
            .retrieve_file(retrieve(&scene.id, "/tmp/a/b"))
            .await
            .unwrap();
        assert!(
            read.into_inner().file_contents == content,
            "{size} bytes differ"
        );
    }
    let absent = client
        .retrieve_file(retrieve(&scene.id, "/tmp/none"))
        .await
        .unwrap_err();
    assert_eq!(reason(&absent), "CWSANDBOX_FILE_NOT_FOUND");
    assert_eq!(
        crate::rig::fact(&absent, "filepath").as_deref(),
        Some("/tmp/none")
    );
}

fn retrieve(id: &str, path: &str) -> pb::RetrieveFileSandboxRequest {
    pb::RetrieveFileSandboxRequest {
        sandbox_id: id.to_owned(),
        filepath: path.to_owned(),
        max_timeout_seconds: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_answered_once_comes_through() {
    let scene = Scene::running().await;
    let mut client = scene.client.sandboxes.clone();
    let request = |command: &str, max_timeout_seconds| pb::ExecSandboxRequest {
        sandbox_id: scene.id.clone(),
        command: command.split(' ').map(str::to_owned).collect(),
        max_timeout_seconds,
        ..Default::default()
    };
    let answer = client
        .exec(request("fake both exit 5", 0))
        .await
        .unwrap()
        .into_inner();
    let result = answer.result.unwrap();
    assert_eq!(
        (result.stdout.as_slice(), result.exit_code),
        (b"out\n".as_slice(), 5)
    );
    let status = client
        .exec(request("fake ignore-stop", 1))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CWSANDBOX_COMMAND_TIMEOUT");
    scene.alone().await;
}
