//! The contract of [`crate::Backend`] about pausing, a sentence each.
//!
//! Of a backend without the capability each of them states that pausing is
//! refused, and that the sandbox runs on.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use tokio::time;

use super::{Harness, Job, PATIENCE, fresh_uuid, start, wait_for, wait_until_over};
use crate::{AttachError, Exec, ExecEvent, ExecInput, ExecSpec, LogQuery, PauseError, View};

/// How long a frozen command is watched doing nothing.
const QUIET: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_mins(10);

/// A sandbox that was paused; `None` if this backend pauses none.
async fn paused(harness: &dyn Harness, job: &Job) -> Option<SandboxId> {
    let id = start(harness, job).await;
    pause(harness, id).await.then_some(id)
}

/// Whether it could be paused. What cannot must say so and let it run.
async fn pause(harness: &dyn Harness, id: SandboxId) -> bool {
    let backend = harness.backend();
    wait_for(harness, id, |view| matches!(view, View::Running { .. })).await;
    let done = backend.pause(id).await;
    let view = backend.get(id).await.unwrap().unwrap().view;
    if backend.capabilities().pause {
        done.unwrap();
        assert!(matches!(view, View::Paused { .. }), "{view:?}");
        return true;
    }
    assert!(matches!(done, Err(PauseError::Unsupported)), "{done:?}");
    assert!(matches!(view, View::Running { .. }), "{view:?}");
    clean_up(harness, id).await;
    false
}

async fn clean_up(harness: &dyn Harness, id: SandboxId) {
    let removed = harness.backend().remove(id).await;
    removed.expect("it can be removed");
}

async fn cat(harness: &dyn Harness, id: SandboxId) -> Exec {
    let spec = ExecSpec {
        command: harness.command(&Job::Cat),
        environment: BTreeMap::new(),
        terminal: None,
    };
    let mut exec = harness.attach().exec(id, spec).await.unwrap();
    assert_eq!(exec.events.recv().await, Some(ExecEvent::Started));
    exec
}

pub async fn nothing_in_a_paused_sandbox_runs_until_it_is_resumed(harness: &mut dyn Harness) {
    let id = start(harness, &Job::RunUntilStopped).await;
    let mut exec = cat(harness, id).await;
    if !pause(harness, id).await {
        return;
    }
    let said = ExecInput::Stdin(Bytes::from_static(b"still here"));
    exec.input.send(said).await.unwrap();
    let heard = time::timeout(QUIET, exec.events.recv()).await;
    assert!(heard.is_err(), "a frozen command said {heard:?}");
    harness.backend().resume(id).await.unwrap();
    let view = harness.backend().get(id).await.unwrap().unwrap().view;
    assert!(matches!(view, View::Running { .. }), "{view:?}");
    let heard = time::timeout(PATIENCE, exec.events.recv()).await.unwrap();
    let expected = ExecEvent::Stdout(Bytes::from_static(b"still here"));
    assert_eq!(heard, Some(expected));
    clean_up(harness, id).await;
}

pub async fn commands_and_files_in_a_paused_sandbox_are_refused(harness: &mut dyn Harness) {
    let Some(id) = paused(harness, &Job::RunUntilStopped).await else {
        return;
    };
    let attach = harness.attach();
    let spec = ExecSpec {
        command: harness.command(&Job::ExitWith(0)),
        environment: BTreeMap::new(),
        terminal: None,
    };
    let refused = attach.exec(id, spec).await.unwrap_err();
    assert_eq!(refused, AttachError::NotRunning);
    let refused = attach.read_file(id, "/tmp/f", 1).await.unwrap_err();
    assert_eq!(refused, AttachError::NotRunning);
    let refused = attach.write_file(id, "/tmp/f", Bytes::new().into()).await;
    assert_eq!(refused, Err(AttachError::NotRunning));
    clean_up(harness, id).await;
}

pub async fn logs_of_a_paused_sandbox_can_be_read(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLines(3)).await;
    assert_eq!(read(harness, id, true, 21).await, 21);
    if !pause(harness, id).await {
        return;
    }
    for follow in [false, true] {
        assert_eq!(read(harness, id, follow, 21).await, 21);
    }
    clean_up(harness, id).await;
}

pub async fn following_a_paused_sandbox_since_an_instant_tells_nothing_older(
    harness: &mut dyn Harness,
) {
    let id = start(harness, &Job::PrintLines(3)).await;
    assert_eq!(read(harness, id, true, 21).await, 21);
    if !pause(harness, id).await {
        return;
    }
    let mut whole = harness
        .attach()
        .logs(id, LogQuery::default())
        .await
        .unwrap();
    let mut last = Timestamp::EPOCH;
    while let Some(chunk) = time::timeout(PATIENCE, whole.chunks.recv()).await.unwrap() {
        last = chunk.unwrap().at;
    }
    let query = LogQuery {
        since: Some(Timestamp::from_micros(last.as_micros() + 1)),
        follow: true,
        ..LogQuery::default()
    };
    let mut logs = harness.attach().logs(id, query).await.unwrap();
    harness.backend().resume(id).await.unwrap();
    harness.backend().stop(id, PATIENCE).await.unwrap();
    let told = time::timeout(PATIENCE, logs.chunks.recv()).await;
    assert_eq!(told.expect("following ends"), None);
    clean_up(harness, id).await;
}

/// How many bytes of the log were read: all of it, or when there are so many.
async fn read(harness: &dyn Harness, id: SandboxId, follow: bool, enough: usize) -> usize {
    let query = LogQuery {
        follow,
        ..LogQuery::default()
    };
    let mut logs = harness.attach().logs(id, query).await.unwrap();
    let mut bytes = 0;
    while bytes < enough {
        let chunk = time::timeout(PATIENCE, logs.chunks.recv()).await.unwrap();
        let Some(chunk) = chunk else { break };
        bytes += chunk.unwrap().data.len();
    }
    bytes
}

pub async fn a_paused_sandbox_is_shown_as_such_after_a_crash(harness: &mut dyn Harness) {
    let Some(id) = paused(harness, &Job::RunUntilStopped).await else {
        return;
    };
    harness.crash_and_reopen().await;
    let view = harness.backend().get(id).await.unwrap().unwrap().view;
    assert!(matches!(view, View::Paused { .. }), "{view:?}");
    harness.backend().resume(id).await.unwrap();
    wait_for(harness, id, |view| matches!(view, View::Running { .. })).await;
    clean_up(harness, id).await;
}

pub async fn pausing_and_resuming_twice_succeeds(harness: &mut dyn Harness) {
    let Some(id) = paused(harness, &Job::RunUntilStopped).await else {
        return;
    };
    let backend = harness.backend();
    backend.pause(id).await.unwrap();
    backend.resume(id).await.unwrap();
    backend.resume(id).await.unwrap();
    let view = backend.get(id).await.unwrap().unwrap().view;
    assert!(matches!(view, View::Running { .. }), "{view:?}");
    clean_up(harness, id).await;
}

pub async fn what_does_not_run_can_be_neither_paused_nor_resumed(harness: &mut dyn Harness) {
    let backend = harness.backend();
    let ended = start(harness, &Job::ExitWith(0)).await;
    wait_until_over(harness, ended).await;
    for id in [ended, SandboxId::new(fresh_uuid())] {
        for done in [backend.pause(id).await, backend.resume(id).await] {
            let is_refused = match done {
                Err(PauseError::NotRunning) => true,
                Err(PauseError::Unsupported) => !backend.capabilities().pause,
                Ok(()) | Err(PauseError::Internal(_)) => false,
            };
            assert!(is_refused, "{id}");
        }
    }
    clean_up(harness, ended).await;
}

pub async fn a_paused_sandbox_ends_when_it_is_asked_to(harness: &mut dyn Harness) {
    let Some(id) = paused(harness, &Job::RunUntilStopped).await else {
        return;
    };
    // Within the grace: it is not killed, but goes on and ends by itself.
    harness.backend().stop(id, LONG).await.unwrap();
    let view = wait_until_over(harness, id).await;
    let is_asked = matches!(view, View::Ended { stopped: true, .. });
    assert!(is_asked, "{view:?}");
    clean_up(harness, id).await;
}

pub async fn a_paused_sandbox_can_be_removed(harness: &mut dyn Harness) {
    let Some(id) = paused(harness, &Job::IgnoreStop).await else {
        return;
    };
    clean_up(harness, id).await;
    assert_eq!(harness.leftovers(id).await, Vec::<String>::new());
}
