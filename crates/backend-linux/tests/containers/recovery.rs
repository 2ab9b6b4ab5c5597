//! What becomes of sandboxes when their runner is killed, and when there are
//! several runners.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::conformance::{launch_command, wait_for, wait_until_over};
use palisade_backend::{Backend, View};
use palisade_backend_linux::{LinuxBackend, OpenError};
use palisade_model::id::SandboxId;

use crate::support::{Harness, Place, shell};

/// Tells the process that is to be killed where to work.
const PLACE: &str = "PALISADE_TEST_PLACE";

/// Not a test: what the killed process does. It runs only where it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn makes_and_removes_sandboxes_until_it_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test tells its own child process"
    )]
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let harness = Harness::at(Place::at(Path::new(&place))).await;
    let backend = harness.open();
    let mut out = std::io::stdout();
    writeln!(out, "\nopen").unwrap();
    loop {
        let launch = launch_command(&harness, shell("exec sleep 1000"));
        writeln!(out, "making {}", launch.id).unwrap();
        backend.ensure(&launch).await.unwrap();
        writeln!(out, "made {}", launch.id).unwrap();
        wait_for(&harness, launch.id, |view| {
            !matches!(view, View::Starting(_))
        })
        .await;
        let other = launch_command(&harness, shell("exit 3"));
        writeln!(out, "making {}", other.id).unwrap();
        backend.ensure(&other).await.unwrap();
        writeln!(out, "removing {}", launch.id).unwrap();
        backend.remove(launch.id).await.unwrap();
    }
}

/// What a process said before it was killed.
#[derive(Debug, Default)]
struct Said {
    all: Vec<SandboxId>,
    /// Made, and nobody asked for it to be removed.
    kept: Vec<SandboxId>,
}

fn said(lines: &[String]) -> Said {
    let mut said = Said::default();
    for line in lines {
        let Some((what, id)) = line.split_once(' ') else {
            continue;
        };
        let Ok(id) = id.parse() else {
            continue;
        };
        match what {
            "making" => said.all.push(id),
            "made" => said.kept.push(id),
            "removing" => said.kept.retain(|kept| *kept != id),
            _ => {}
        }
    }
    said
}

fn spawn(place: &Place) -> Child {
    let program = std::env::current_exe().expect("a test is a program");
    let mut command = Command::new(program);
    command
        .args([
            "--exact",
            "recovery::makes_and_removes_sandboxes_until_it_is_killed",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(PLACE, place.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().expect("a test can be run")
}

/// Lets a process work for a while, kills it, and returns what it said.
fn work_and_kill(place: &Place, pause: Duration) -> Said {
    let mut child = spawn(place);
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while line.trim() != "open" {
        line.clear();
        let read = output.read_line(&mut line).expect("it speaks text");
        assert_ne!(read, 0, "it did not open");
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the instant of the kill is the test"
    )]
    std::thread::sleep(pause);
    child.kill().expect("it runs");
    child.wait().expect("it was started here");
    let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
    said(&lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_killed_at_any_instant_leaves_nothing_that_cannot_be_removed() {
    let harness = Harness::new().await;
    let mut place = harness.close().await;
    for step in 0..16_u64 {
        // Prime to the steps of a start, so that each run meets another one.
        let pause = Duration::from_millis(1 + step * 13 % 157);
        let taken = place;
        let (said, back) = tokio::task::spawn_blocking(move || {
            let said = work_and_kill(&taken, pause);
            (said, taken)
        })
        .await
        .unwrap();
        let harness = Harness::at(back).await;
        let backend = harness.open();
        let listed: Vec<SandboxId> = backend
            .list()
            .await
            .unwrap()
            .iter()
            .map(|sighting| sighting.launch.id)
            .collect();
        for id in &said.kept {
            assert!(listed.contains(id), "{id} was made and is not listed");
        }
        for id in listed.iter().chain(&said.all) {
            backend.remove(*id).await.unwrap();
        }
        assert_eq!(backend.list().await.unwrap(), Vec::new());
        for id in &said.all {
            assert_eq!(harness.place.leftovers(*id), Vec::<String>::new());
        }
        drop(backend);
        place = harness.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_only_recorded_is_started_after_a_crash() {
    let harness = Harness::new().await;
    let launch = launch_command(&harness, shell("exit 5"));
    let directory = harness
        .place
        .state()
        .join("sandboxes")
        .join(launch.id.to_string());
    let place = harness.close().await;
    // As a runner leaves it that was killed right after it had recorded the wish.
    std::fs::create_dir_all(&directory).unwrap();
    let document = palisade_model::sandbox::form::encode_launch(&launch);
    std::fs::write(directory.join("launch"), document.to_string()).unwrap();
    let harness = Harness::at(place).await;
    let view = wait_until_over(&harness, launch.id).await;
    assert!(matches!(view, View::Ended { .. }), "{view:?}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_without_a_launch_is_cleaned_away() {
    let harness = Harness::new().await;
    let launch = launch_command(&harness, shell("exec sleep 1000"));
    harness.open().ensure(&launch).await.unwrap();
    wait_for(&harness, launch.id, |view| {
        matches!(view, View::Running { .. })
    })
    .await;
    let place = harness.close().await;
    let directory = place.state().join("sandboxes").join(launch.id.to_string());
    std::fs::write(directory.join("launch"), "{ \"format\": 9000 }").unwrap();
    let harness = Harness::at(place).await;
    assert_eq!(harness.open().list().await.unwrap(), Vec::new());
    assert_eq!(harness.place.leftovers(launch.id), Vec::<String>::new());
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_side_by_side_do_not_touch_each_other() {
    let (one, two) = (Harness::new().await, Harness::new().await);
    let launch = |harness: &Harness| launch_command(harness, shell("exec sleep 1000"));
    let (first, second) = (launch(&one), launch(&two));
    for (harness, launch) in [(&one, &first), (&two, &second)] {
        harness.open().ensure(launch).await.unwrap();
        wait_for(harness, launch.id, |view| {
            matches!(view, View::Running { .. })
        })
        .await;
    }
    one.finish().await;
    let view = two.open().get(second.id).await.unwrap().unwrap().view;
    assert!(matches!(view, View::Running { .. }), "{view:?}");
    two.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_has_one_runner_at_a_time() {
    let harness = Harness::new().await;
    let again: Result<Arc<LinuxBackend>, OpenError> =
        LinuxBackend::open(harness.place.config().await).await;
    assert!(matches!(again, Err(OpenError::InUse { .. })), "{again:?}");
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_at_once_ends_without_having_run() {
    let harness = Harness::new().await;
    let launch = launch_command(&harness, shell("exec sleep 1000"));
    harness.open().ensure(&launch).await.unwrap();
    harness
        .open()
        .stop(launch.id, Duration::from_mins(10))
        .await
        .unwrap();
    let view = wait_until_over(&harness, launch.id).await;
    assert!(
        matches!(view, View::Ended { stopped: true, .. }),
        "{view:?}"
    );
    harness.finish().await;
}
