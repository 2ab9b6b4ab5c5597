//! The contract of [`crate::Changes`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::time::Duration;

use palisade_model::name::OrganizationId;
use palisade_model::quota::Quota;
use palisade_model::sandbox::{State, StopWish};
use tokio::time::{self, Instant};

use super::Harness;
use super::fixture::{
    caller_token, fleet, new_profile, now, observation, organization, profile, stamp,
};
use crate::profile::ProfileUpdate;
use crate::runner::RunnerUpdate;
use crate::sandbox::StatusChange;
use crate::{FeedError, PageSize, Place, Sequence, Store, Subject};

/// Longer than any wait takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(20);

async fn subjects_after(store: &dyn Store, after: Sequence) -> Vec<Subject> {
    let changes = store.changes_after(after, PageSize::MAX).await.unwrap();
    changes.iter().map(|change| change.subject).collect()
}

pub async fn every_change_is_in_the_feed(harness: &mut dyn Harness) {
    let store = harness.store();
    let mut fleet = fleet(&*store, "acme").await;
    let updated = store.update_quota(&fleet.organization, Quota::default(), None);
    fleet.quota = updated.await.unwrap().revision;
    let (acme, profile, runner) = (&fleet.organization, fleet.profile.id, fleet.runner.uid);
    let token = caller_token(acme);
    store.create_token(token.clone()).await.unwrap();
    store.revoke_token(acme, token.id).await.unwrap();
    let sandbox = fleet.start(&*store).await;
    let stop = StatusChange::StopWished(StopWish {
        grace: Duration::ZERO,
        at: now(),
    });
    store.change_status(acme, sandbox.id, stop).await.unwrap();
    fleet.end(&*store, sandbox.id).await;
    let update = ProfileUpdate::default();
    store
        .update_profile(acme, profile, update, stamp())
        .await
        .unwrap();
    let update = RunnerUpdate::default();
    store
        .update_runner(acme, runner, update, stamp())
        .await
        .unwrap();
    store
        .mark_runner_deleting(acme, runner, crate::runner::DeletionMark::at(now()))
        .await
        .unwrap();
    store.delete_runner(acme, runner, None).await.unwrap();
    store.delete_profile(acme, profile, None).await.unwrap();
    let expected = [
        Subject::Organization,
        Subject::Profile(profile),
        Subject::Runner(runner),
        Subject::Organization,
        Subject::Token(token.id),
        Subject::Token(token.id),
        Subject::Sandbox(sandbox.id),
        Subject::Sandbox(sandbox.id),
        Subject::Sandbox(sandbox.id),
        Subject::Profile(profile),
        Subject::Runner(runner),
        Subject::Runner(runner),
        Subject::Runner(runner),
        Subject::Profile(profile),
    ];
    assert_eq!(subjects_after(&*store, Sequence::START).await, expected);
}

pub async fn what_was_refused_or_changed_nothing_is_not_in_the_feed(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let (ended, live) = (fleet.start(&*store).await, fleet.start(&*store).await);
    fleet.end(&*store, ended.id).await;
    let head = store.head().await.unwrap();
    let taken = store
        .create_profile(acme, new_profile("default"), stamp())
        .await;
    taken.unwrap_err();
    store
        .delete_profile(acme, fleet.profile.id, None)
        .await
        .unwrap_err();
    store
        .delete_runner(acme, fleet.runner.uid, None)
        .await
        .unwrap_err();
    let old_news = StatusChange::Observed {
        by: fleet.runner.uid,
        seen: observation(0, State::Running),
        now: now(),
    };
    store.change_status(acme, live.id, old_news).await.unwrap();
    store.purge_sandboxes(now(), PageSize::MAX).await.unwrap();
    store.prune_changes(1).await.unwrap();
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(subjects_after(&*store, head).await, []);
    store
        .mark_runner_deleting(
            acme,
            fleet.runner.uid,
            crate::runner::DeletionMark::at(now()),
        )
        .await
        .unwrap();
    let head = store.head().await.unwrap();
    store
        .mark_runner_deleting(
            acme,
            fleet.runner.uid,
            crate::runner::DeletionMark::at(now()),
        )
        .await
        .unwrap();
    assert_eq!(store.head().await.unwrap(), head);
}

pub async fn the_feed_is_followed_from_any_place_in_order(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for number in 0..9 {
        profile(&*store, &acme, &format!("profile {number}")).await;
    }
    let everything = store
        .changes_after(Sequence::START, PageSize::MAX)
        .await
        .unwrap();
    assert_eq!(everything.len(), 10);
    assert!(everything.is_sorted_by(|left, right| left.sequence < right.sequence));
    assert!(everything.iter().all(|change| change.organization == acme));
    for (place, change) in everything.iter().enumerate() {
        let few = store
            .changes_after(change.sequence, PageSize::clamped(3))
            .await;
        let rest = &everything[place + 1..];
        assert_eq!(few.unwrap(), rest[..rest.len().min(3)]);
    }
    let last = everything[9].sequence;
    assert_eq!(store.head().await.unwrap(), last);
}

async fn is_too_old(store: &dyn Store, place: Sequence) -> bool {
    let changes = store.changes_after(place, PageSize::MAX).await;
    matches!(changes, Err(FeedError::CursorTooOld))
}

pub async fn a_place_that_was_pruned_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = store.head().await.unwrap();
    for name in ["a", "b", "c"] {
        profile(&*store, &acme, name).await;
    }
    store.prune_changes(2).await.unwrap();
    assert!(is_too_old(&*store, Sequence::START).await);
    assert!(is_too_old(&*store, first).await);
    harness.crash_and_reopen().await;
    assert!(is_too_old(&*harness.store(), first).await);
}

pub async fn a_place_that_was_never_handed_out_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    organization(&*store, "acme").await;
    let ahead = Sequence(store.head().await.unwrap().0 + 1);
    let changes = store.changes_after(ahead, PageSize::MAX).await;
    assert!(
        matches!(changes, Err(FeedError::CursorUnknown)),
        "{changes:?}"
    );
    let last = Sequence(u64::MAX);
    let changes = store.changes_after(last, PageSize::MAX).await;
    assert!(
        matches!(changes, Err(FeedError::CursorUnknown)),
        "{changes:?}"
    );
}

pub async fn pruning_keeps_the_newest(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for number in 0..9 {
        profile(&*store, &acme, &format!("profile {number}")).await;
    }
    let everything = store
        .changes_after(Sequence::START, PageSize::MAX)
        .await
        .unwrap();
    for (keep, kept) in [(u64::MAX, 10), (10, 10), (4, 4), (7, 4), (0, 1)] {
        store.prune_changes(keep).await.unwrap();
        let place: usize = 10 - kept;
        let after = place
            .checked_sub(1)
            .map_or(Sequence::START, |last| everything[last].sequence);
        let left = store.changes_after(after, PageSize::MAX).await.unwrap();
        assert_eq!(left, everything[place..], "keep {keep}");
    }
}

async fn own_after(store: &dyn Store, organization: &OrganizationId, after: Place) -> Vec<Subject> {
    let changes = store.changes_of(organization, after, PageSize::MAX).await;
    let changes = changes.unwrap();
    changes.iter().map(|change| change.subject).collect()
}

pub async fn the_feed_of_an_organization_is_moved_by_nobody_else(harness: &mut dyn Harness) {
    let store = harness.store();
    let unborn = "unborn".parse().unwrap();
    let nowhere = store.head_of(&unborn).await.unwrap();
    assert_eq!(own_after(&*store, &unborn, nowhere).await, []);
    let (acme, other) = (
        organization(&*store, "acme").await,
        organization(&*store, "other").await,
    );
    let begun = store.head_of(&acme).await.unwrap();
    let first = profile(&*store, &acme, "a").await;
    let between = store.head_of(&acme).await.unwrap();
    for name in ["a", "b", "c"] {
        profile(&*store, &other, name).await;
        assert_eq!(store.head_of(&acme).await.unwrap(), between);
    }
    let second = profile(&*store, &acme, "b").await;
    let expected = [Subject::Profile(first.id), Subject::Profile(second.id)];
    assert_eq!(own_after(&*store, &acme, begun).await, expected);
    assert_eq!(own_after(&*store, &acme, between).await, expected[1..]);
    let head = store.head_of(&acme).await.unwrap();
    // As far from one another as if nobody else were there.
    assert_eq!(head.0 - between.0, between.0 - begun.0);
    let few = store.changes_of(&acme, begun, PageSize::clamped(1)).await;
    assert_eq!(few.unwrap()[0].place, between);
    let ahead = store.changes_of(&acme, Place(head.0 + 1), PageSize::MAX);
    let ahead = ahead.await;
    assert!(matches!(ahead, Err(FeedError::CursorUnknown)), "{ahead:?}");
}

pub async fn the_feed_of_an_organization_has_a_gap_only_where_its_own_was_pruned(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let (acme, other) = (
        organization(&*store, "acme").await,
        organization(&*store, "other").await,
    );
    let begun = store.head_of(&acme).await.unwrap();
    profile(&*store, &acme, "a").await;
    let seen = store.head_of(&acme).await.unwrap();
    for name in ["a", "b", "c"] {
        profile(&*store, &other, name).await;
    }
    store.prune_changes(2).await.unwrap();
    harness.crash_and_reopen().await;
    let store = harness.store();
    let gap = store.changes_of(&acme, begun, PageSize::MAX).await;
    assert!(matches!(gap, Err(FeedError::CursorTooOld)), "{gap:?}");
    assert_eq!(store.head_of(&acme).await.unwrap(), seen);
    assert_eq!(own_after(&*store, &acme, seen).await, []);
    let later = profile(&*store, &acme, "b").await;
    assert_eq!(
        own_after(&*store, &acme, seen).await,
        [Subject::Profile(later.id)]
    );
}

pub async fn waiting_wakes_at_once_for_a_change_of_this_process(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    // The feed is also polled; waking by that every time would take 10 s.
    let started = Instant::now();
    for number in 0..20 {
        let head = store.head().await.unwrap();
        let waiting = store.wait_for_change(head, PATIENCE);
        let name = format!("profile {number}");
        let (woken, _) = tokio::join!(waiting, profile(&*store, &acme, &name));
        assert!(woken.unwrap() > head);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

pub async fn waiting_wakes_for_a_change_of_another_process(harness: &mut dyn Harness) {
    let store = harness.store();
    let other = harness.second_handle().await;
    let acme = organization(&*store, "acme").await;
    let head = store.head().await.unwrap();
    let waiting = store.wait_for_change(head, PATIENCE);
    let call = profile(&*other, &acme, "web");
    let (woken, _) = time::timeout(PATIENCE / 2, async { tokio::join!(waiting, call) })
        .await
        .unwrap();
    assert!(woken.unwrap() > head);
}

pub async fn waiting_ends_at_its_limit(harness: &mut dyn Harness) {
    let store = harness.store();
    let head = store.head().await.unwrap();
    let limit = Duration::from_millis(50);
    let started = Instant::now();
    let woken = time::timeout(PATIENCE, store.wait_for_change(head, limit)).await;
    assert_eq!(woken.unwrap().unwrap(), head);
    assert!(started.elapsed() >= limit);
}

pub async fn waiting_behind_a_change_that_is_there_returns_at_once(harness: &mut dyn Harness) {
    let store = harness.store();
    organization(&*store, "acme").await;
    let head = store.head().await.unwrap();
    let waiting = store.wait_for_change(Sequence::START, Duration::MAX);
    let woken = time::timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(woken.unwrap(), head);
}
