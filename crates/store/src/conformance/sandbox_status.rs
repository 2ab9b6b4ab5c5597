//! What [`crate::Sandboxes`] promises about changes of status, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::time::Duration;

use palisade_model::id::RunnerUid;
use palisade_model::sandbox::state::Effect;
use palisade_model::sandbox::{Exit, State, StopWish};
use tokio::task::JoinSet;

use super::Harness;
use super::fixture::{Fleet, fleet, fresh_uuid, now, observation};
use crate::GetError;
use crate::sandbox::StatusChange;

fn seen(fleet: &Fleet, number: u64, state: State) -> StatusChange {
    StatusChange::Observed {
        by: fleet.runner.uid,
        seen: observation(number, state),
        now: now(),
    }
}

fn stop() -> StatusChange {
    StatusChange::StopWished(StopWish {
        grace: Duration::from_secs(5),
        at: now(),
    })
}

pub async fn changes_of_status_are_applied_to_the_present_one(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let mut expected = fleet.start(&*store).await;
    let closed = StatusChange::Closed {
        state: State::Failed(None),
        reason: "the runner is gone".to_owned(),
        now: now(),
    };
    let steps = [
        (seen(&fleet, 2, State::Running), Effect::Changed),
        (seen(&fleet, 1, State::Pending), Effect::Unchanged),
        (StatusChange::PauseWished(true), Effect::Changed),
        (StatusChange::PauseWished(true), Effect::Unchanged),
        (seen(&fleet, 3, State::Paused), Effect::Changed),
        (stop(), Effect::Changed),
        (StatusChange::PauseWished(true), Effect::Unchanged),
        (seen(&fleet, 4, State::Terminating), Effect::Changed),
        (closed.clone(), Effect::Changed),
        (closed, Effect::Unchanged),
        (
            seen(&fleet, 5, State::Completed(Exit(0))),
            Effect::Unchanged,
        ),
    ];
    for (change, effect) in steps {
        change.clone().apply(&mut expected.status);
        let changed = store
            .change_status(acme, expected.id, change)
            .await
            .unwrap();
        assert_eq!(changed.effect, effect);
        assert_eq!(changed.status, expected.status);
        assert_eq!(
            store.get_sandbox(acme, expected.id).await.unwrap(),
            expected
        );
    }
}

pub async fn an_observation_counts_only_from_its_runner(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let sandbox = fleet.start(&*store).await;
    let foreign = StatusChange::Observed {
        by: RunnerUid::new(fresh_uuid()),
        seen: observation(1, State::Running),
        now: now(),
    };
    let changed = store
        .change_status(&fleet.organization, sandbox.id, foreign)
        .await;
    assert!(matches!(changed, Err(GetError::NotFound)), "{changed:?}");
    let read = store.get_sandbox(&fleet.organization, sandbox.id).await;
    assert_eq!(read.unwrap(), sandbox);
}

pub async fn changes_in_one_call_are_applied_in_order(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (first, second) = (fleet.start(&*store).await, fleet.start(&*store).await);
    let changes = vec![
        (first.id, seen(&fleet, 1, State::Running)),
        (second.id, seen(&fleet, 1, State::Pending)),
        (first.id, stop()),
        (first.id, seen(&fleet, 2, State::Completed(Exit(3)))),
    ];
    let answers = store
        .change_statuses(&fleet.organization, changes)
        .await
        .unwrap();
    let states = answers
        .into_iter()
        .map(|answer| answer.unwrap().status.state);
    let expected = [
        State::Running,
        State::Pending,
        State::Terminating,
        State::Completed(Exit(3)),
    ];
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

pub async fn an_unknown_sandbox_does_not_hinder_the_others(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let sandbox = fleet.start(&*store).await;
    let changes = vec![
        (fleet.sandbox().id, stop()),
        (sandbox.id, seen(&fleet, 1, State::Running)),
    ];
    let answers = store.change_statuses(acme, changes).await.unwrap();
    assert_eq!(answers[0], None);
    let read = store.get_sandbox(acme, sandbox.id).await.unwrap();
    assert_eq!(read.status.state, State::Running);
    let nothing = store.change_statuses(acme, Vec::new()).await.unwrap();
    assert_eq!(nothing, []);
}

pub async fn one_change_of_what_is_not_there_finds_nothing(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let unknown = fleet.sandbox().id;
    let changed = store
        .change_status(&fleet.organization, unknown, stop())
        .await;
    assert!(matches!(changed, Err(GetError::NotFound)));
}

pub async fn concurrent_changes_of_one_status_are_not_lost(harness: &mut dyn Harness) {
    const OBSERVATIONS: u64 = 20;
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let sandbox = fleet.start(&*store).await;
    let mut calls = JoinSet::new();
    for number in 1..=OBSERVATIONS {
        let change = seen(&fleet, number, State::Running);
        let (store, acme) = (store.clone(), fleet.organization.clone());
        calls.spawn(async move { store.change_status(&acme, sandbox.id, change).await });
    }
    while let Some(changed) = calls.join_next().await {
        changed.unwrap().unwrap();
    }
    let read = store
        .get_sandbox(&fleet.organization, sandbox.id)
        .await
        .unwrap();
    assert_eq!(read.status.observed, OBSERVATIONS);
}
