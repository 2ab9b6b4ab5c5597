//! The contract of [`crate::Backend`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::name::RuntimeClass;
use palisade_model::profile::EgressType;
use palisade_model::sandbox::{Exit, Launch};
use tokio::time;

use super::{Harness, Job, launch, start, wait_for, wait_until_over};
use crate::{EnsureError, View};

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(200);

fn exit_of(view: &View) -> Option<Exit> {
    match view {
        View::Ended { exit, .. } => *exit,
        View::Starting(_)
        | View::Running { .. }
        | View::Paused { .. }
        | View::Stopping { .. }
        | View::Failed { .. } => None,
    }
}

async fn clean_up(harness: &dyn Harness, id: SandboxId) {
    harness
        .backend()
        .remove(id)
        .await
        .expect("it can be removed");
}

pub async fn a_sandbox_runs_and_tells_how_it_ended(harness: &mut dyn Harness) {
    let id = start(harness, &Job::ExitWith(7)).await;
    let view = wait_until_over(harness, id).await;
    assert_eq!(exit_of(&view), Some(Exit(7)));
    assert!(
        matches!(view, View::Ended { stopped: false, .. }),
        "{view:?}"
    );
    clean_up(harness, id).await;
}

pub async fn a_second_ensure_starts_nothing(harness: &mut dyn Harness) {
    let backend = harness.backend();
    let launch = launch(harness, &Job::RunUntilStopped);
    backend.ensure(&launch).await.unwrap();
    let first = wait_for(harness, launch.id, |view| {
        matches!(view, View::Running { .. })
    })
    .await;
    backend.ensure(&launch).await.unwrap();
    let again = backend.get(launch.id).await.unwrap().unwrap().view;
    assert_eq!(first, again);
    clean_up(harness, launch.id).await;
}

pub async fn a_sandbox_that_ended_is_not_started_again(harness: &mut dyn Harness) {
    let backend = harness.backend();
    let launch = launch(harness, &Job::ExitWith(0));
    backend.ensure(&launch).await.unwrap();
    let end = wait_until_over(harness, launch.id).await;
    backend.ensure(&launch).await.unwrap();
    assert_eq!(backend.get(launch.id).await.unwrap().unwrap().view, end);
    clean_up(harness, launch.id).await;
}

pub async fn after_a_crash_everything_is_listed_with_its_launch(harness: &mut dyn Harness) {
    let running = launch(harness, &Job::RunUntilStopped);
    let ended = launch(harness, &Job::ExitWith(3));
    for launch in [&running, &ended] {
        harness.backend().ensure(launch).await.unwrap();
    }
    wait_for(harness, running.id, |view| {
        matches!(view, View::Running { .. })
    })
    .await;
    wait_until_over(harness, ended.id).await;
    harness.crash_and_reopen().await;
    let listed = harness.backend().list().await.unwrap();
    let find = |launch: &Launch| {
        let mut found = listed.iter().filter(|sighting| sighting.launch == *launch);
        found.next().map(|sighting| sighting.view.clone())
    };
    assert!(
        matches!(find(&running), Some(View::Running { .. })),
        "{listed:?}"
    );
    assert_eq!(find(&ended).as_ref().and_then(exit_of), Some(Exit(3)));
    for launch in [&running, &ended] {
        clean_up(harness, launch.id).await;
    }
}

pub async fn after_a_crash_the_end_is_still_seen(harness: &mut dyn Harness) {
    let id = start(harness, &Job::RunUntilStopped).await;
    harness.crash_and_reopen().await;
    harness.backend().stop(id, LONG).await.unwrap();
    let view = wait_until_over(harness, id).await;
    assert!(
        matches!(view, View::Ended { stopped: true, .. }),
        "{view:?}"
    );
    clean_up(harness, id).await;
}

pub async fn an_end_during_a_crash_is_seen_after_it(harness: &mut dyn Harness) {
    let id = start(harness, &Job::RunUntilStopped).await;
    harness.backend().stop(id, LONG).await.unwrap();
    harness.crash_and_reopen().await;
    assert!(wait_until_over(harness, id).await.is_over());
    clean_up(harness, id).await;
}

pub async fn a_stop_asks_and_the_process_ends(harness: &mut dyn Harness) {
    let id = start(harness, &Job::RunUntilStopped).await;
    harness.backend().stop(id, LONG).await.unwrap();
    let view = wait_until_over(harness, id).await;
    assert!(
        matches!(view, View::Ended { stopped: true, .. }),
        "{view:?}"
    );
    assert!(exit_of(&view).is_some());
    clean_up(harness, id).await;
}

pub async fn a_process_that_ignores_the_stop_is_killed_after_the_grace(harness: &mut dyn Harness) {
    let id = start(harness, &Job::IgnoreStop).await;
    harness.backend().stop(id, SHORT).await.unwrap();
    let view = wait_until_over(harness, id).await;
    assert_eq!(exit_of(&view), Some(Exit(137)), "{view:?}");
    clean_up(harness, id).await;
}

pub async fn a_later_stop_shortens_the_grace(harness: &mut dyn Harness) {
    let id = start(harness, &Job::IgnoreStop).await;
    harness.backend().stop(id, LONG).await.unwrap();
    wait_for(harness, id, |view| matches!(view, View::Stopping { .. })).await;
    harness.backend().stop(id, SHORT).await.unwrap();
    wait_until_over(harness, id).await;
    clean_up(harness, id).await;
}

pub async fn stopping_what_ended_or_never_was_succeeds(harness: &mut dyn Harness) {
    let id = start(harness, &Job::ExitWith(0)).await;
    let end = wait_until_over(harness, id).await;
    let backend = harness.backend();
    backend.stop(id, SHORT).await.unwrap();
    assert_eq!(backend.get(id).await.unwrap().unwrap().view, end);
    clean_up(harness, id).await;
    backend.stop(id, SHORT).await.unwrap();
}

pub async fn a_death_by_signal_is_told_as_a_shell_does(harness: &mut dyn Harness) {
    let id = start(harness, &Job::KillSelf).await;
    let view = wait_until_over(harness, id).await;
    assert_eq!(exit_of(&view), Some(Exit(137)), "{view:?}");
    clean_up(harness, id).await;
}

pub async fn a_program_that_does_not_exist_ends_with_127(harness: &mut dyn Harness) {
    let id = start(harness, &Job::NoSuchProgram).await;
    let view = wait_until_over(harness, id).await;
    assert_eq!(exit_of(&view), Some(Exit(127)), "{view:?}");
    clean_up(harness, id).await;
}

/// A refusal is an error at once, or a sandbox that failed with a reason.
async fn assert_refused(harness: &dyn Harness, launch: &Launch, word: &str) {
    let reason = match harness.backend().ensure(launch).await {
        Err(EnsureError::Unsupported { what }) => what,
        Err(EnsureError::Internal(source)) => source.to_string(),
        Ok(()) => match wait_until_over(harness, launch.id).await {
            View::Failed { reason, .. } => reason,
            other @ (View::Starting(_)
            | View::Running { .. }
            | View::Paused { .. }
            | View::Stopping { .. }
            | View::Ended { .. }) => format!("it was not refused: {other:?}"),
        },
    };
    assert!(reason.contains(word), "{reason:?} should name {word:?}");
    clean_up(harness, launch.id).await;
}

pub async fn an_unknown_runtime_class_is_refused(harness: &mut dyn Harness) {
    let mut launch = launch(harness, &Job::ExitWith(0));
    launch.runtime_class = Some(RuntimeClass::new("no-such-class").unwrap());
    assert_refused(harness, &launch, "no-such-class").await;
}

pub async fn an_egress_mode_that_is_not_enforced_is_refused(harness: &mut dyn Harness) {
    use palisade_model::profile::EgressMode;
    let enforced = harness.backend().capabilities().egress;
    let modes = [EgressMode::Org, EgressMode::User, EgressMode::Profile];
    for mode in modes {
        let kind: EgressType = mode.kind();
        if enforced.contains(&kind) {
            continue;
        }
        let mut launch = launch(harness, &Job::ExitWith(0));
        launch.egress.mode = mode;
        assert_refused(harness, &launch, kind.as_str()).await;
    }
}

pub async fn an_image_that_does_not_exist_fails_with_a_reason(harness: &mut dyn Harness) {
    let mut launch = launch(harness, &Job::ExitWith(0));
    launch.workload.image = "127.0.0.1:1/no-such-image:1".parse().unwrap();
    assert_refused(harness, &launch, "no-such-image").await;
}

pub async fn removing_leaves_nothing(harness: &mut dyn Harness) {
    let id = start(harness, &Job::PrintLinesAndExit(3)).await;
    wait_until_over(harness, id).await;
    clean_up(harness, id).await;
    assert_eq!(harness.backend().get(id).await.unwrap(), None);
    let listed = harness.backend().list().await.unwrap();
    assert!(listed.iter().all(|sighting| sighting.launch.id != id));
    assert_eq!(harness.leftovers(id).await, Vec::<String>::new());
}

pub async fn removing_twice_or_what_never_was_succeeds(harness: &mut dyn Harness) {
    let id = start(harness, &Job::ExitWith(0)).await;
    clean_up(harness, id).await;
    clean_up(harness, id).await;
    let never = launch(harness, &Job::ExitWith(0)).id;
    clean_up(harness, never).await;
}

pub async fn removing_a_running_sandbox_ends_it(harness: &mut dyn Harness) {
    let id = start(harness, &Job::IgnoreStop).await;
    clean_up(harness, id).await;
    assert_eq!(harness.backend().get(id).await.unwrap(), None);
    assert_eq!(harness.leftovers(id).await, Vec::<String>::new());
}

pub async fn an_ensure_that_is_dropped_half_way_can_be_removed(harness: &mut dyn Harness) {
    for micros in [0, 50, 500, 2_000, 5_000, 10_000] {
        let launch = launch(harness, &Job::RunUntilStopped);
        let backend = harness.backend();
        let half_way = Duration::from_micros(micros);
        // Whether it got through or not, what follows must clean up.
        let _ = time::timeout(half_way, backend.ensure(&launch)).await;
        clean_up(harness, launch.id).await;
        assert_eq!(backend.get(launch.id).await.unwrap(), None);
        assert_eq!(harness.leftovers(launch.id).await, Vec::<String>::new());
    }
}

pub async fn many_sandboxes_at_once_do_not_mix(harness: &mut dyn Harness) {
    let backend = harness.backend();
    let launches: Vec<(Launch, u8)> = (0..8)
        .map(|code| (launch(harness, &Job::ExitWith(code)), code))
        .collect();
    let mut started = tokio::task::JoinSet::new();
    for (launch, _) in launches.clone() {
        let backend = backend.clone();
        started.spawn(async move { backend.ensure(&launch).await });
    }
    for outcome in started.join_all().await {
        outcome.unwrap();
    }
    for (launch, code) in &launches {
        let view = wait_until_over(harness, launch.id).await;
        assert_eq!(exit_of(&view), Some(Exit(i32::from(*code))), "{view:?}");
        clean_up(harness, launch.id).await;
    }
}
