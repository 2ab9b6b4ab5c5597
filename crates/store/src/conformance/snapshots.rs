//! What [`crate::snapshot::Snapshots`] promises.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::id::SnapshotId;
use palisade_model::name::OrganizationId;
use palisade_model::quota::{Limits, Quota, Scope};
use palisade_model::snapshot::{
    Beyond, Content, ContentDigest, Effect, Snapshot, SnapshotChange, SnapshotLimits, Status,
    Trigger,
};
use palisade_model::testing::sample_snapshot;
use tokio::task::JoinSet;

use super::Harness;
use super::fixture::{all, fresh_uuid, now, organization};
use crate::snapshot::{Bucket, Deletion, Described, InsertSnapshotError, Inserted};
use crate::{GetError, PageRequest, PageSize, Store};

const ROOM: SnapshotLimits = SnapshotLimits {
    count: 100,
    bytes: 1_000,
    in_flight: 100,
    failed: 100,
};

fn creating(organization: &OrganizationId) -> Snapshot {
    Snapshot {
        id: SnapshotId::new(fresh_uuid()),
        organization: organization.clone(),
        status: Status::Creating,
        content: None,
        completed_at: None,
        ..sample_snapshot()
    }
}

fn content(seed: u8) -> Content {
    Content {
        digest: ContentDigest::new([seed; 32]),
        bytes: 100,
        file_bytes: 200,
    }
}

async fn add(store: &dyn Store, snapshot: &Snapshot) {
    let added = store.insert_snapshot(snapshot.clone(), ROOM).await;
    assert_eq!(added.unwrap(), Inserted::New);
}

async fn describe(store: &dyn Store, snapshot: &Snapshot, content: Content) -> Described {
    let (organization, id) = (&snapshot.organization, snapshot.id);
    let described = store.describe_snapshot(organization, id, (content, ROOM), now());
    described.await.unwrap()
}

/// Adds a snapshot that is ready and has this content.
async fn ready(store: &dyn Store, organization: &OrganizationId, content: Content) -> Snapshot {
    let snapshot = creating(organization);
    add(store, &snapshot).await;
    assert_eq!(describe(store, &snapshot, content).await, Described::Done);
    let stored = SnapshotChange::Stored;
    let changed = store.change_snapshot(organization, snapshot.id, stored, now());
    let (snapshot, effect) = changed.await.unwrap();
    assert_eq!(effect, Effect::Changed);
    snapshot
}

pub async fn a_snapshot_reads_back_as_it_became(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let mut asked = Snapshot {
        trigger: Trigger::Stop,
        idempotency_key: "once".into(),
        bucket: "mine".into(),
        stop_grace_ms: Some(7),
        ..creating(&acme)
    };
    add(&*store, &asked).await;
    assert_eq!(store.get_snapshot(&acme, asked.id).await.unwrap(), asked);
    let at = now();
    for change in [
        SnapshotChange::Described(content(1)),
        SnapshotChange::Stored,
        SnapshotChange::StopAsked,
    ] {
        asked.apply(change.clone(), at);
        if let SnapshotChange::Described(content) = change {
            let described = store.describe_snapshot(&acme, asked.id, (content, ROOM), at);
            assert_eq!(described.await.unwrap(), Described::Done);
        } else {
            let changed = store.change_snapshot(&acme, asked.id, change, at);
            assert_eq!(changed.await.unwrap(), (asked.clone(), Effect::Changed));
        }
        assert_eq!(store.get_snapshot(&acme, asked.id).await.unwrap(), asked);
    }
    drop(store);
    harness.crash_and_reopen().await;
    let store = harness.store();
    assert_eq!(store.get_snapshot(&acme, asked.id).await.unwrap(), asked);
}

pub async fn nothing_of_another_organization_is_seen_or_changed(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let snapshot = ready(&*store, &acme, content(1)).await;
    let id = snapshot.id;
    let got = store.get_snapshot(&other, id).await;
    assert!(matches!(got, Err(GetError::NotFound)));
    let listed = store.list_snapshots(&other, all()).await.unwrap();
    assert!(listed.items.is_empty());
    let changed = store.change_snapshot(&other, id, SnapshotChange::Touched, now());
    assert!(matches!(changed.await, Err(GetError::NotFound)));
    let deleted = store.begin_deletion(&other, id, now()).await;
    assert!(matches!(deleted, Err(GetError::NotFound)));
    let digest = content(1).digest;
    assert!(!store.is_content_named(&other, "", digest).await.unwrap());
    assert_eq!(store.get_snapshot(&acme, id).await.unwrap(), snapshot);
}

pub async fn a_key_names_one_snapshot_of_an_organization(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let keyed = |organization: &OrganizationId| Snapshot {
        idempotency_key: "key".into(),
        ..creating(organization)
    };
    let first = keyed(&acme);
    add(&*store, &first).await;
    add(&*store, &keyed(&other)).await;
    let again = store.insert_snapshot(keyed(&acme), ROOM).await.unwrap();
    assert_eq!(again, Inserted::Known(Box::new(first.clone())));
    let found = store.snapshot_by_key(&acme, "key").await.unwrap();
    assert_eq!(found.as_ref(), Some(&first));
    for key in ["", "other"] {
        assert_eq!(store.snapshot_by_key(&acme, key).await.unwrap(), None);
    }
    // One that came to nothing gives its key back.
    let failed = SnapshotChange::Failed("no reason".to_owned());
    let failed = store.change_snapshot(&acme, first.id, failed, now());
    failed.await.unwrap();
    assert_eq!(store.snapshot_by_key(&acme, "key").await.unwrap(), None);
    add(&*store, &keyed(&acme)).await;
    // No key is none, however often.
    add(&*store, &creating(&acme)).await;
    add(&*store, &creating(&acme)).await;
}

pub async fn one_snapshot_at_a_time_is_taken_before_the_end_of_a_sandbox(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let source = creating(&acme).source;
    let wanted = |organization: &OrganizationId, trigger| Snapshot {
        trigger,
        source,
        ..creating(organization)
    };
    add(&*store, &wanted(&acme, Trigger::Manual)).await;
    let first = wanted(&acme, Trigger::Stop);
    add(&*store, &first).await;
    add(&*store, &wanted(&acme, Trigger::Manual)).await;
    add(&*store, &wanted(&other, Trigger::Stop)).await;
    let again = store
        .insert_snapshot(wanted(&acme, Trigger::Stop), ROOM)
        .await;
    assert_eq!(again.unwrap(), Inserted::Known(Box::new(first.clone())));
    // One that came to nothing stands in nobody's way.
    let failed = SnapshotChange::Failed("no reason".to_owned());
    let failed = store.change_snapshot(&acme, first.id, failed, now());
    failed.await.unwrap();
    add(&*store, &wanted(&acme, Trigger::Stop)).await;
}

pub async fn snapshots_beyond_a_limit_are_refused(harness: &mut dyn Harness) {
    const ROOM_FOR: usize = 3;
    let handles = [harness.store(), harness.second_handle().await];
    let acme = organization(&*handles[0], "acme").await;
    let limits = SnapshotLimits {
        in_flight: ROOM_FOR as u64,
        ..ROOM
    };
    let mut rivals = JoinSet::new();
    for number in 0..8 {
        let (store, snapshot) = (handles[number % 2].clone(), creating(&acme));
        rivals.spawn(async move { store.insert_snapshot(snapshot, limits).await.is_ok() });
    }
    let won = rivals.join_all().await.into_iter().filter(|won| *won);
    assert_eq!(won.count(), ROOM_FOR);
    let store = &handles[0];
    let refused = store.insert_snapshot(creating(&acme), limits).await;
    assert!(matches!(
        refused,
        Err(InsertSnapshotError::Beyond(Beyond::InFlight {
            used: 3,
            ..
        }))
    ));
    let few = SnapshotLimits { count: 3, ..ROOM };
    let refused = store.insert_snapshot(creating(&acme), few).await;
    assert!(matches!(
        refused,
        Err(InsertSnapshotError::Beyond(Beyond::Count { used: 3, .. }))
    ));
}

pub async fn bytes_beyond_a_limit_are_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    ready(&*store, &acme, content(1)).await;
    let second = creating(&acme);
    add(&*store, &second).await;
    let little = SnapshotLimits { bytes: 199, ..ROOM };
    let described = store.describe_snapshot(&acme, second.id, (content(2), little), now());
    assert_eq!(
        described.await.unwrap(),
        Described::Beyond(Beyond::Bytes {
            scope: Scope::Organization,
            used: 100,
            asked: 100,
            allowed: 199
        })
    );
    assert_eq!(store.get_snapshot(&acme, second.id).await.unwrap(), second);
}

pub async fn snapshots_that_failed_count_for_nothing_and_the_newest_are_kept(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let limits = SnapshotLimits {
        count: 1,
        failed: 2,
        ..ROOM
    };
    let elsewhere = fail(&*store, creating(&other), limits).await;
    let mut failed = Vec::new();
    for _ in 0..4 {
        failed.push(fail(&*store, creating(&acme), limits).await);
    }
    let last = creating(&acme);
    let added = store.insert_snapshot(last.clone(), limits).await;
    assert_eq!(added.unwrap(), Inserted::New);
    let listed = store.list_snapshots(&acme, all()).await.unwrap().items;
    let listed: Vec<_> = listed.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(listed, [last.id, failed[3], failed[2]]);
    assert!(store.get_snapshot(&other, elsewhere).await.is_ok());
    let ada = last.user.unwrap();
    let usage = store.quota_usage(&acme, &ada, now()).await.unwrap();
    let counted = (usage.organization.kept.count, usage.user.kept.count);
    assert_eq!(counted, (1, 1));
}

/// Adds a snapshot that comes to nothing.
async fn fail(store: &dyn Store, snapshot: Snapshot, limits: SnapshotLimits) -> SnapshotId {
    let (organization, id) = (snapshot.organization.clone(), snapshot.id);
    let added = store.insert_snapshot(snapshot, limits).await;
    assert_eq!(added.unwrap(), Inserted::New);
    let failed = SnapshotChange::Failed("no reason".to_owned());
    let failed = store.change_snapshot(&organization, id, failed, now());
    assert_eq!(failed.await.unwrap().1, Effect::Changed);
    id
}

pub async fn content_of_a_snapshot_that_failed_is_held_by_nothing(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let none = SnapshotLimits { failed: 0, ..ROOM };
    let failed = creating(&acme);
    add(&*store, &failed).await;
    assert_eq!(
        describe(&*store, &failed, content(1)).await,
        Described::Done
    );
    let change = SnapshotChange::Failed("no reason".to_owned());
    store
        .change_snapshot(&acme, failed.id, change, now())
        .await
        .unwrap();
    let digest = content(1).digest;
    assert!(!store.is_content_named(&acme, "", digest).await.unwrap());
    let same = ready(&*store, &acme, content(1)).await;
    let deleted = store.begin_deletion(&acme, same.id, now()).await.unwrap();
    assert!(matches!(deleted, Deletion::Remove(_)));
    store.finish_deletion(&acme, same.id).await.unwrap();
    // It may have been stored, and goes as what was.
    let added = store.insert_snapshot(creating(&acme), none).await;
    assert_eq!(added.unwrap(), Inserted::New);
    let going = store.get_snapshot(&acme, failed.id).await.unwrap();
    assert_eq!(going.status, Status::Deleting);
}

pub async fn the_quota_of_snapshots_stands_before_the_limits_of_the_server(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let limits = |snapshots, snapshot_bytes| Limits {
        snapshots,
        snapshot_bytes,
        ..Limits::default()
    };
    let quota = Quota {
        organization: limits(Some(3), Some(u64::MAX)),
        each_user: limits(Some(2), Some(150)),
        ..Quota::default()
    };
    store
        .update_quota(&acme, quota.clone(), None)
        .await
        .unwrap();
    let read = store.get_organization(&acme).await.unwrap().quota;
    assert_eq!(read, quota);
    let of = |user: &str| Snapshot {
        user: Some(user.parse().unwrap()),
        ..creating(&acme)
    };
    let add = async |user| store.insert_snapshot(of(user), ROOM).await;
    for _ in 0..2 {
        assert_eq!(add("ada").await.unwrap(), Inserted::New);
    }
    let beyond = |scope, used, allowed| Beyond::Count {
        scope,
        used,
        allowed,
    };
    let refused = |added| match added {
        Err(InsertSnapshotError::Beyond(beyond)) => Some(beyond),
        Err(_) | Ok(_) => None,
    };
    let full = refused(add("ada").await);
    assert_eq!(full, Some(beyond(Scope::User, 2, 2)));
    let third = of("bob");
    let added = store.insert_snapshot(third.clone(), ROOM).await;
    assert_eq!(added.unwrap(), Inserted::New);
    let full = refused(add("bob").await);
    assert_eq!(full, Some(beyond(Scope::Organization, 3, 3)));
    // More than the server allows by itself, and more than a user has left.
    let tight = SnapshotLimits { bytes: 1, ..ROOM };
    assert_eq!(
        store
            .describe_snapshot(&acme, third.id, (content(1), tight), now())
            .await
            .unwrap(),
        Described::Done
    );
    let bob = "bob".parse().unwrap();
    let usage = store.quota_usage(&acme, &bob, now()).await.unwrap();
    assert_eq!(
        (usage.organization.kept.count, usage.user.kept.count),
        (3, 1)
    );
    assert_eq!(usage.user.kept.bytes, 100);
}

pub async fn the_newest_snapshots_are_listed_first(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let snapshot = creating(&acme);
        add(&*store, &snapshot).await;
        ids.insert(0, snapshot.id);
    }
    let mut seen = Vec::new();
    let mut request = PageRequest::first(PageSize::clamped(2));
    loop {
        let page = store.list_snapshots(&acme, request.clone()).await.unwrap();
        seen.extend(page.items.iter().map(|snapshot| snapshot.id));
        let Some(next) = page.next else { break };
        request.after = Some(next);
    }
    assert_eq!(seen, ids);
}

pub async fn content_is_removed_with_the_last_snapshot_that_names_it(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = ready(&*store, &acme, content(1)).await;
    let second = ready(&*store, &acme, content(1)).await;
    let deleted = store.begin_deletion(&acme, first.id, now()).await.unwrap();
    assert_eq!(deleted, Deletion::Done);
    let gone = store.get_snapshot(&acme, first.id).await;
    assert!(matches!(gone, Err(GetError::NotFound)));
    let last = store.begin_deletion(&acme, second.id, now()).await.unwrap();
    assert!(matches!(last, Deletion::Remove(_)));
    // Nobody relies on it from here on.
    let late = creating(&acme);
    add(&*store, &late).await;
    let described = describe(&*store, &late, content(1)).await;
    assert_eq!(described, Described::BeingRemoved);
    let unfinished = store.unfinished_snapshots(PageSize::MAX).await.unwrap();
    let ids: Vec<_> = unfinished.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(ids, [second.id, late.id]);
    for _ in 0..2 {
        store.finish_deletion(&acme, second.id).await.unwrap();
    }
    assert_eq!(describe(&*store, &late, content(1)).await, Described::Done);
}

pub async fn a_snapshot_that_is_only_begun_goes_at_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let begun = creating(&acme);
    add(&*store, &begun).await;
    let deleted = store.begin_deletion(&acme, begun.id, now()).await.unwrap();
    assert_eq!(deleted, Deletion::Done);
    let described = store.describe_snapshot(&acme, begun.id, (content(1), ROOM), now());
    assert!(matches!(described.await, Err(GetError::NotFound)));
}

pub async fn finishing_leaves_what_is_not_being_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let snapshot = ready(&*store, &acme, content(1)).await;
    store.finish_deletion(&acme, snapshot.id).await.unwrap();
    assert!(store.get_snapshot(&acme, snapshot.id).await.is_ok());
}

pub async fn a_bucket_is_kept_for_each_organization(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let bucket = Bucket {
        name: "mine".into(),
        region: "us-east-1".into(),
    };
    let set = store.set_snapshot_bucket(&acme, Some(bucket.clone()));
    set.await.unwrap();
    assert_eq!(store.snapshot_bucket(&acme).await.unwrap(), Some(bucket));
    assert_eq!(store.snapshot_bucket(&other).await.unwrap(), None);
    store.set_snapshot_bucket(&acme, None).await.unwrap();
    assert_eq!(store.snapshot_bucket(&acme).await.unwrap(), None);
    let nobody = "nobody".parse().unwrap();
    let refused = store.set_snapshot_bucket(&nobody, None).await;
    assert!(matches!(refused, Err(GetError::NotFound)));
}
