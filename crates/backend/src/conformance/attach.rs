//! The contract of [`crate::Attach`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Exit;
use tokio::time;

use super::{Harness, Job, PATIENCE, launch, start, wait_until_over};
use crate::{
    AttachError, Exec, ExecEvent, ExecInput, ExecSpec, FileError, LogChunk, LogQuery, Upload,
};

fn spec(harness: &dyn Harness, job: &Job) -> ExecSpec {
    ExecSpec {
        command: harness.command(job),
        environment: BTreeMap::new(),
        terminal: None,
    }
}

async fn exec(harness: &dyn Harness, id: SandboxId, job: &Job) -> Exec {
    harness
        .attach()
        .exec(id, spec(harness, job))
        .await
        .expect("the command starts")
}

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

/// Reads everything that comes out; input stays open if it was not dropped.
async fn outcome(exec: &mut Exec) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let event = time::timeout(PATIENCE, exec.events.recv()).await;
        match event.expect("the command goes on or ends") {
            Some(ExecEvent::Started) => {}
            Some(ExecEvent::Stdout(data)) => outcome.stdout.extend_from_slice(&data),
            Some(ExecEvent::Stderr(data)) => outcome.stderr.extend_from_slice(&data),
            Some(ExecEvent::Exit(exit)) => outcome.exit = Some(exit),
            Some(ExecEvent::Failed(error)) => assert_eq!(error, AttachError::Lost, "failed"),
            None => return outcome,
        }
    }
}

async fn running(harness: &dyn Harness) -> SandboxId {
    start(harness, &Job::RunUntilStopped).await
}

async fn clean_up(harness: &dyn Harness, id: SandboxId) {
    harness
        .backend()
        .remove(id)
        .await
        .expect("it can be removed");
}

pub async fn output_and_exit_of_a_command_are_told(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::PrintBoth(5)).await;
    let expected = Outcome {
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        exit: Some(Exit(5)),
    };
    assert_eq!(outcome(&mut exec).await, expected);
    clean_up(harness, id).await;
}

pub async fn a_command_that_does_not_exist_exits_with_127(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::NoSuchProgram).await;
    assert_eq!(outcome(&mut exec).await.exit, Some(Exit(127)));
    clean_up(harness, id).await;
}

pub async fn input_reaches_the_command_and_its_end_too(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::Cat).await;
    for word in ["one ", "two"] {
        exec.input
            .send(ExecInput::Stdin(Bytes::from(word)))
            .await
            .unwrap();
    }
    exec.input.send(ExecInput::Close).await.unwrap();
    let outcome = outcome(&mut exec).await;
    assert_eq!(
        (outcome.stdout.as_slice(), outcome.exit),
        (b"one two".as_slice(), Some(Exit(0)))
    );
    clean_up(harness, id).await;
}

pub async fn dropping_the_input_is_not_a_cancellation(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::Cat).await;
    exec.input
        .send(ExecInput::Stdin(Bytes::from("kept")))
        .await
        .unwrap();
    let (closed, _) = tokio::sync::mpsc::channel(1);
    exec.input = closed;
    let outcome = outcome(&mut exec).await;
    assert_eq!(
        (outcome.stdout.as_slice(), outcome.exit),
        (b"kept".as_slice(), Some(Exit(0)))
    );
    clean_up(harness, id).await;
}

pub async fn the_exit_is_told_while_input_is_open(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::ExitWith(4)).await;
    assert_eq!(outcome(&mut exec).await.exit, Some(Exit(4)));
    clean_up(harness, id).await;
}

pub async fn dropping_an_exec_kills_the_command(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let before = harness.backend().usage(id).await.map(|usage| usage.pids);
    let dropped = exec(harness, id, &Job::IgnoreStop).await;
    drop(dropped);
    let gone = time::timeout(PATIENCE, async {
        while harness.backend().usage(id).await.map(|usage| usage.pids) > before {
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    gone.await.expect("the command is killed");
    clean_up(harness, id).await;
}

pub async fn a_slow_reader_loses_nothing(harness: &mut dyn Harness) {
    const SIZE: u64 = 4 * 1024 * 1024;
    let id = running(harness).await;
    let mut exec = exec(harness, id, &Job::PrintBytes(SIZE)).await;
    let mut seen = 0;
    let mut exit = None;
    while let Some(event) = exec.events.recv().await {
        match event {
            ExecEvent::Stdout(data) => seen += data.len() as u64,
            ExecEvent::Exit(code) => exit = Some(code),
            ExecEvent::Started | ExecEvent::Stderr(_) | ExecEvent::Failed(_) => {}
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((seen, exit), (SIZE, Some(Exit(0))));
    clean_up(harness, id).await;
}

pub async fn the_environment_of_a_command_is_its_own_and_the_sandbox_s(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let mut spec = spec(harness, &Job::ExitWith(0));
    spec.command = vec!["env".to_owned()];
    spec.environment
        .insert("EXTRA".to_owned(), "yes".to_owned());
    let mut exec = harness.attach().exec(id, spec).await.unwrap();
    let outcome = outcome(&mut exec).await;
    let text = String::from_utf8(outcome.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"EXTRA=yes"), "{text}");
    assert!(
        lines.contains(&format!("CW_SANDBOX_ID={id}").as_str()),
        "{text}"
    );
    clean_up(harness, id).await;
}

pub async fn commands_in_what_is_not_there_are_refused(harness: &mut dyn Harness) {
    let attach = harness.attach();
    let never = launch(harness, &Job::ExitWith(0)).id;
    let error = attach
        .exec(never, spec(harness, &Job::Cat))
        .await
        .unwrap_err();
    assert_eq!(error, AttachError::NotFound);
    let ended = start(harness, &Job::ExitWith(0)).await;
    wait_until_over(harness, ended).await;
    let error = attach
        .exec(ended, spec(harness, &Job::Cat))
        .await
        .unwrap_err();
    assert_eq!(error, AttachError::NotRunning);
    clean_up(harness, ended).await;
}

async fn read_logs(harness: &dyn Harness, id: SandboxId, query: LogQuery) -> (u64, String) {
    let mut logs = harness
        .attach()
        .logs(id, query)
        .await
        .expect("the log opens");
    let mut text = Vec::new();
    let mut first = None;
    let all = time::timeout(PATIENCE, async {
        while let Some(chunk) = logs.chunks.recv().await {
            let chunk = chunk.expect("the log can be read");
            let expected = first.map(|first: u64| first + text.len() as u64);
            assert!(
                expected.is_none_or(|offset| offset == chunk.offset),
                "no gap"
            );
            first = first.or(Some(chunk.offset));
            text.extend_from_slice(&chunk.data);
        }
    });
    all.await.expect("the log ends");
    (
        first.unwrap_or(0),
        String::from_utf8(text).expect("the tests print text"),
    )
}

fn lines(from: u32, to: u32) -> String {
    (from..to)
        .map(|number| format!("line {number}\n"))
        .collect()
}

pub async fn logs_are_those_of_the_main_process_only(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(3)).await;
    wait_until_over(harness, id).await;
    assert_eq!(
        read_logs(harness, id, LogQuery::default()).await,
        (0, lines(0, 3))
    );
    clean_up(harness, id).await;

    let quiet = running(harness).await;
    let mut exec = exec(harness, quiet, &Job::PrintBoth(0)).await;
    outcome(&mut exec).await;
    assert_eq!(read_logs(harness, quiet, LogQuery::default()).await.1, "");
    clean_up(harness, quiet).await;
}

pub async fn logs_can_be_read_from_an_offset(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(3)).await;
    wait_until_over(harness, id).await;
    let query = LogQuery {
        from_offset: Some(7),
        ..LogQuery::default()
    };
    assert_eq!(read_logs(harness, id, query).await, (7, lines(1, 3)));
    clean_up(harness, id).await;
}

pub async fn the_last_lines_can_be_read(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(20)).await;
    wait_until_over(harness, id).await;
    let query = |count| LogQuery {
        tail_lines: Some(count),
        ..LogQuery::default()
    };
    assert_eq!(read_logs(harness, id, query(2)).await.1, lines(18, 20));
    assert_eq!(read_logs(harness, id, query(100)).await.1, lines(0, 20));
    assert_eq!(read_logs(harness, id, query(0)).await.1, "");
    clean_up(harness, id).await;
}

pub async fn the_last_lines_since_an_instant_can_be_read(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(20)).await;
    wait_until_over(harness, id).await;
    let chunks = log_chunks(harness, id).await;
    let at_end = chunks.last().unwrap().at;
    let after = Timestamp::from_micros(at_end.as_micros() + 1);
    for since in chunks.iter().map(|chunk| chunk.at).chain([after]) {
        let tail_begins = lines(0, 15).len() as u64;
        let written = chunks.iter().find(|chunk| chunk.at >= since);
        let begins = written.map_or(u64::MAX, |chunk| chunk.offset.max(tail_begins));
        let all = lines(0, 20);
        let expected = usize::try_from(begins).ok().and_then(|at| all.get(at..));
        let query = LogQuery {
            tail_lines: Some(5),
            since: Some(since),
            ..LogQuery::default()
        };
        let read = read_logs(harness, id, query).await;
        assert_eq!(read.1, expected.unwrap_or_default(), "since {since:?}");
    }
    clean_up(harness, id).await;
}

async fn log_chunks(harness: &dyn Harness, id: SandboxId) -> Vec<LogChunk> {
    let opened = harness.attach().logs(id, LogQuery::default()).await;
    let mut logs = opened.expect("the log opens");
    let mut chunks = Vec::new();
    while let Some(chunk) = time::timeout(PATIENCE, logs.chunks.recv()).await.unwrap() {
        chunks.push(chunk.expect("the log can be read"));
    }
    chunks
}

pub async fn an_offset_behind_the_end_is_refused(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(1)).await;
    wait_until_over(harness, id).await;
    let query = LogQuery {
        from_offset: Some(1_000),
        ..LogQuery::default()
    };
    let error = harness.attach().logs(id, query).await.unwrap_err();
    assert_eq!(error, AttachError::LogOffset { end: 7 });
    clean_up(harness, id).await;
}

pub async fn following_logs_ends_with_the_main_process(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLines(3)).await;
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let mut logs = harness.attach().logs(id, query).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < lines(0, 3).len() {
        let chunk = time::timeout(PATIENCE, logs.chunks.recv()).await.unwrap();
        seen.extend_from_slice(&chunk.expect("the log goes on").unwrap().data);
    }
    harness.backend().stop(id, PATIENCE).await.unwrap();
    let end = time::timeout(PATIENCE, logs.chunks.recv()).await;
    assert_eq!(end.expect("following ends"), None);
    assert_eq!(String::from_utf8(seen).unwrap(), lines(0, 3));
    clean_up(harness, id).await;
}

pub async fn logs_can_be_read_after_the_end_and_after_a_crash(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(2)).await;
    wait_until_over(harness, id).await;
    harness.crash_and_reopen().await;
    assert_eq!(
        read_logs(harness, id, LogQuery::default()).await,
        (0, lines(0, 2))
    );
    clean_up(harness, id).await;
}

pub async fn a_file_reads_as_it_was_written(harness: &mut dyn Harness) {
    const SIZE_MAX: usize = 3 * 1024 * 1024;
    let id = running(harness).await;
    let attach = harness.attach();
    for size in [0, 1, 18 * 1024, SIZE_MAX] {
        let content = Bytes::from((0..=250u8).cycle().take(size).collect::<Vec<_>>());
        let path = format!("/tmp/deep/er/{size}");
        attach
            .write_file(id, &path, content.clone().into())
            .await
            .unwrap();
        let read = attach.read_file(id, &path, SIZE_MAX as u64).await.unwrap();
        assert!(read == content, "{size} bytes differ");
    }
    clean_up(harness, id).await;
}

pub async fn a_file_is_replaced_as_a_whole(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let attach = harness.attach();
    for content in ["a longer first content", "short"] {
        let bytes = Bytes::from(content);
        attach
            .write_file(id, "/tmp/file", bytes.clone().into())
            .await
            .unwrap();
        assert_eq!(
            attach.read_file(id, "/tmp/file", 1_000).await.unwrap(),
            bytes
        );
    }
    clean_up(harness, id).await;
}

pub async fn a_file_whose_rest_never_comes_leaves_the_old_one(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let attach = harness.attach();
    let old = Bytes::from("what was there");
    let written = attach.write_file(id, "/tmp/file", old.clone().into()).await;
    written.unwrap();
    for announced in [10, 2] {
        let (pieces, upload) = Upload::coming(announced);
        pieces.send("three".into()).await.unwrap();
        drop(pieces);
        let written = attach.write_file(id, "/tmp/file", upload).await;
        assert_eq!(written, Err(AttachError::Lost));
    }
    let read = attach.read_file(id, "/tmp/file", 1_000).await.unwrap();
    assert_eq!(read, old);
    clean_up(harness, id).await;
}

pub async fn every_problem_with_a_file_has_its_own_error(harness: &mut dyn Harness) {
    let id = running(harness).await;
    let attach = harness.attach();
    let content = Bytes::from("12345");
    let written = attach.write_file(id, "/tmp/five", content.into()).await;
    written.unwrap();
    for (path, expected) in [
        ("/tmp/absent", FileError::NotFound),
        ("/tmp", FileError::IsDirectory),
        ("relative", FileError::BadPath),
        (
            "/tmp/five",
            FileError::TooLarge {
                size_bytes: 5,
                bytes_max: 4,
            },
        ),
    ] {
        let error = attach.read_file(id, path, 4).await.unwrap_err();
        let path = path.to_owned();
        assert_eq!(
            error,
            AttachError::File {
                path,
                error: expected
            }
        );
    }
    let error = attach
        .write_file(id, "/tmp", Bytes::new().into())
        .await
        .unwrap_err();
    let path = "/tmp".to_owned();
    let error_expected = FileError::IsDirectory;
    assert_eq!(
        error,
        AttachError::File {
            path,
            error: error_expected
        }
    );
    clean_up(harness, id).await;
}
