//! What [`crate::Sandboxes`] promises about quotas.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::quota::{Counted, Exceeded, Limited, Limits, Quota, Scope, Usage};
use palisade_model::sandbox::Sandbox;
use tokio::task::JoinSet;

use super::Harness;
use super::fixture::{Fleet, fleet, now, parsed};
use crate::Store;
use crate::sandbox::InsertError;

const RIVALS: usize = 12;

fn limits(sandboxes: Option<u32>, starts_per_minute: Option<u32>) -> Limits {
    Limits {
        sandboxes,
        starts_per_minute,
        ..Limits::default()
    }
}

async fn limited(store: &dyn Store, organization: Limits, each_user: Limits) -> Fleet {
    let mut fleet = fleet(store, "acme").await;
    let quota = Quota {
        organization,
        each_user,
        ..Quota::default()
    };
    let set = store.update_quota(&fleet.organization, quota, None).await;
    fleet.quota = set.unwrap().revision;
    fleet
}

async fn refused(store: &dyn Store, fleet: &Fleet, sandbox: Sandbox) -> Exceeded {
    let added = store.insert_sandbox(sandbox, fleet.basis()).await;
    match added {
        Err(InsertError::Quota(exceeded)) => exceeded,
        other => unexpected(&other),
    }
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn unexpected(added: &Result<(), InsertError>) -> ! {
    panic!("it should be beyond a limit, and is {added:?}")
}

/// What counts for the organization of a fleet and for ada.
async fn usage(store: &dyn Store, fleet: &Fleet) -> Usage {
    let ada = parsed("ada");
    let usage = store.quota_usage(&fleet.organization, &ada, now());
    usage.await.unwrap()
}

fn of(fleet: &Fleet, user: &str) -> Sandbox {
    let mut sandbox = fleet.sandbox();
    sandbox.owner.user = parsed(user);
    sandbox.launch.owner.user = parsed(user);
    sandbox
}

fn started_at(fleet: &Fleet, created_at: Timestamp) -> Sandbox {
    Sandbox {
        created_at,
        ..fleet.sandbox()
    }
}

pub async fn a_sandbox_beyond_a_limit_is_refused_and_says_which(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = limited(&*store, limits(Some(2), None), Limits::default()).await;
    for _ in 0..2 {
        fleet.start(&*store).await;
    }
    let third = fleet.sandbox();
    let exceeded = refused(&*store, &fleet, third.clone()).await;
    let expected = Exceeded {
        scope: Scope::Organization,
        limited: Limited::Sandboxes,
        used: 2,
        allowed: 2,
        room_at: None,
    };
    assert_eq!(exceeded, expected);
    let found = store.get_sandbox(&fleet.organization, third.id).await;
    assert!(found.is_err(), "{found:?}");
}

pub async fn a_user_is_limited_apart_from_others(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = limited(&*store, Limits::default(), limits(Some(1), None)).await;
    for user in ["ada", "bob"] {
        fleet.add(&*store, of(&fleet, user)).await;
        let exceeded = refused(&*store, &fleet, of(&fleet, user)).await;
        assert_eq!((exceeded.scope, exceeded.used), (Scope::User, 1));
    }
    let usage = usage(&*store, &fleet).await;
    assert_eq!((usage.organization.sandboxes, usage.user.sandboxes), (2, 1));
}

pub async fn what_ends_makes_room_and_what_was_started_still_counts(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = limited(&*store, limits(Some(1), None), Limits::default()).await;
    let first = fleet.start(&*store).await;
    refused(&*store, &fleet, fleet.sandbox()).await;
    fleet.end(&*store, first.id).await;
    fleet.start(&*store).await;
    let counted = Counted {
        sandboxes: 1,
        starts: 2,
        ..Counted::default()
    };
    assert_eq!(usage(&*store, &fleet).await.user, counted);
}

pub async fn starts_are_counted_within_a_minute_and_say_when_there_is_room(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let fleet = limited(&*store, limits(None, Some(2)), Limits::default()).await;
    let start = now();
    let at = |seconds| start.saturating_add(Duration::from_secs(seconds));
    for seconds in [0, 10] {
        fleet.add(&*store, started_at(&fleet, at(seconds))).await;
    }
    let exceeded = refused(&*store, &fleet, started_at(&fleet, at(20))).await;
    assert_eq!(exceeded.limited, Limited::StartsPerMinute);
    assert_eq!(exceeded.room_at, Some(at(60)));
    let exceeded = refused(&*store, &fleet, started_at(&fleet, at(59))).await;
    assert_eq!(exceeded.room_at, Some(at(60)));
    fleet.add(&*store, started_at(&fleet, at(60))).await;
    let exceeded = refused(&*store, &fleet, started_at(&fleet, at(61))).await;
    assert_eq!(exceeded.room_at, Some(at(70)));
}

pub async fn of_many_starts_as_many_win_as_there_is_room_for(harness: &mut dyn Harness) {
    const ROOM: usize = 5;
    let handles = [harness.store(), harness.second_handle().await];
    let fleet = limited(&*handles[0], limits(Some(5), None), Limits::default()).await;
    let mut rivals = JoinSet::new();
    for number in 0..RIVALS {
        let (store, fleet) = (handles[number % 2].clone(), fleet.clone());
        rivals.spawn(async move {
            let added = store.insert_sandbox(fleet.sandbox(), fleet.basis()).await;
            match added {
                Ok(()) => true,
                Err(InsertError::Quota(_)) => false,
                other @ Err(_) => unexpected(&other),
            }
        });
    }
    let won = rivals.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(won.count(), ROOM);
}

pub async fn a_count_survives_a_crash(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = limited(&*store, Limits::default(), limits(Some(1), Some(9))).await;
    fleet.start(&*store).await;
    drop(store);
    harness.crash_and_reopen().await;
    let store = harness.store();
    let exceeded = refused(&*store, &fleet, fleet.sandbox()).await;
    assert_eq!(exceeded.limited, Limited::Sandboxes);
    assert_eq!(usage(&*store, &fleet).await.user.starts, 1);
}
