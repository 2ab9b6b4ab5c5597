//! Calls that get in the way of each other, from two handles at once.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use palisade_model::id::ProfileId;
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::quota::{Limits, Whose};
use tokio::task::JoinSet;

use super::Harness;
use super::fixture::{
    Fleet, all, bindings, fleet, new_profile, new_runner, organization, parsed, profile, stamp,
};
use crate::profile::{self, ProfileUpdate};
use crate::runner::{self, ClusterChoice, NewRunner, RunnerUpdate};
use crate::sandbox::InsertError;
use crate::{PageSize, Sequence, Store, Subject, UpdateQuotaError};

const RIVALS: usize = 12;

/// Both handles, in turn: half of the rivals are in another process.
async fn handles(harness: &dyn Harness) -> [Arc<dyn Store>; 2] {
    [harness.store(), harness.second_handle().await]
}

pub async fn of_many_creators_of_one_name_one_wins(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let acme = organization(&*handles[0], "acme").await;
    let mut rivals = JoinSet::new();
    for number in 0..RIVALS {
        let (store, acme) = (handles[number % 2].clone(), acme.clone());
        rivals.spawn(async move {
            store
                .create_profile(&acme, new_profile("web"), stamp())
                .await
        });
    }
    let results = rivals.join_all().await;
    let winner = handles[0].get_profile(&acme, &parsed("web")).await.unwrap();
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for refused in lost {
        let taken =
            matches!(refused, Err(profile::CreateError::NameTaken { by }) if by == winner.id);
        assert!(taken, "{refused:?}");
    }
}

pub async fn of_many_runners_for_one_cluster_one_wins(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let acme = organization(&*handles[0], "acme").await;
    let web = profile(&*handles[0], &acme, "web").await;
    let mut rivals = JoinSet::new();
    for number in 0..RIVALS {
        let new = new_runner(&format!("runner-{number}"), &[web.id]);
        let ClusterChoice::Named { id_if_new, .. } = new.cluster else {
            continue;
        };
        let new = NewRunner {
            cluster: ClusterChoice::Named {
                name: parsed("shared"),
                id_if_new,
            },
            ..new
        };
        let (store, acme) = (handles[number % 2].clone(), acme.clone());
        rivals.spawn(async move { store.create_runner(&acme, new, stamp()).await });
    }
    let results = rivals.join_all().await;
    assert_eq!(results.len(), RIVALS);
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for refused in lost {
        let served = matches!(refused, Err(runner::CreateError::ClusterHasRunner { .. }));
        assert!(served, "{refused:?}");
    }
}

pub async fn of_many_updates_from_one_revision_one_wins(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let acme = organization(&*handles[0], "acme").await;
    let web = profile(&*handles[0], &acme, "web").await;
    let mut rivals = JoinSet::new();
    for number in 0..RIVALS {
        let update = ProfileUpdate {
            expected: Some(web.revision),
            description: Some(format!("by {number}")),
            ..ProfileUpdate::default()
        };
        let (store, acme) = (handles[number % 2].clone(), acme.clone());
        rivals.spawn(async move { store.update_profile(&acme, web.id, update, stamp()).await });
    }
    let won = rivals
        .join_all()
        .await
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let read = handles[1].get_profile(&acme, &web.id.into()).await.unwrap();
    assert_eq!(won, [read]);
}

/// Each adds a user's limits to what it read, and begins anew where it was late.
pub async fn of_many_changes_of_a_quota_none_is_lost(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let acme = organization(&*handles[0], "acme").await;
    let mut rivals = JoinSet::new();
    for number in 0..RIVALS {
        let (store, acme) = (handles[number % 2].clone(), acme.clone());
        rivals.spawn(async move {
            let whose = Whose::User(parsed(&format!("user-{number}")));
            limit(&*store, &acme, &whose).await
        });
    }
    let revisions: BTreeSet<_> = rivals.join_all().await.into_iter().collect();
    assert_eq!(revisions.len(), RIVALS, "each made a revision of its own");
    let read = handles[1].get_organization(&acme).await.unwrap();
    assert_eq!(read.quota.users.len(), RIVALS);
    assert_eq!(Some(&read.revision), revisions.last());
}

/// Gives a user limits of his own; returns the revision that says so.
async fn limit(store: &dyn Store, id: &OrganizationId, whose: &Whose) -> Revision {
    loop {
        let read = store.get_organization(id).await.unwrap();
        let quota = read.quota.with(whose, Some(Limits::default())).unwrap();
        match store.update_quota(id, quota, Some(read.revision)).await {
            Ok(written) => return written.revision,
            Err(UpdateQuotaError::RevisionMismatch { .. }) => {}
            other @ Err(_) => unreachable!("{other:?}"),
        }
    }
}

async fn bind(
    store: &dyn Store,
    fleet: &Fleet,
    profiles: &[ProfileId],
) -> Result<(), runner::UpdateError> {
    let update = RunnerUpdate {
        bindings: Some(bindings(profiles)),
        ..RunnerUpdate::default()
    };
    let changed = store
        .update_runner(&fleet.organization, fleet.runner.uid, update, stamp())
        .await;
    changed.map(|_| ())
}

pub async fn binding_and_deleting_a_profile_exclude_each_other(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let fleet = fleet(&*handles[0], "acme").await;
    let acme = &fleet.organization;
    for number in 0..RIVALS {
        let web = profile(&*handles[0], acme, &format!("web {number}")).await;
        let both = [fleet.profile.id, web.id];
        let binding = bind(&*handles[0], &fleet, &both);
        let deleting = handles[1].delete_profile(acme, web.id, None);
        let (bound, deleted) = tokio::join!(binding, deleting);
        let is_there = handles[0].get_profile(acme, &web.id.into()).await.is_ok();
        match (bound, deleted) {
            (Ok(()), Err(profile::DeleteError::Bound { .. })) => assert!(is_there),
            (Err(runner::UpdateError::ProfilesMissing(_)), Ok(())) => assert!(!is_there),
            other => unreachable!("{other:?}"),
        }
        bind(&*handles[0], &fleet, &[fleet.profile.id])
            .await
            .unwrap();
    }
}

pub async fn an_update_governs_every_sandbox_added_after_it(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let mut fleet = fleet(&*handles[0], "acme").await;
    let acme = fleet.organization.clone();
    for _ in 0..RIVALS {
        let (sandbox, basis) = (fleet.sandbox(), fleet.basis());
        let id = sandbox.id;
        let adding = handles[0].insert_sandbox(sandbox, basis);
        let update = ProfileUpdate::default();
        let updating = handles[1].update_profile(&acme, fleet.profile.id, update, stamp());
        let (added, updated) = tokio::join!(adding, updating);
        fleet.profile = updated.unwrap();
        let feed = handles[0]
            .changes_after(Sequence::START, PageSize::MAX)
            .await
            .unwrap();
        let place = |subject| feed.iter().rposition(|change| change.subject == subject);
        match added {
            Ok(()) => assert!(
                place(Subject::Sandbox(id)) < place(Subject::Profile(fleet.profile.id)),
                "it was added before the update"
            ),
            Err(InsertError::Stale) => assert_eq!(place(Subject::Sandbox(id)), None),
            Err(other) => unreachable!("{other:?}"),
        }
    }
}

pub async fn a_runner_and_its_last_sandbox_exclude_each_other(harness: &mut dyn Harness) {
    let handles = handles(harness).await;
    let mut fleet = fleet(&*handles[0], "acme").await;
    let acme = fleet.organization.clone();
    for number in 0..RIVALS {
        let new = new_runner(&format!("runner-{number}"), &[fleet.profile.id]);
        fleet.runner = handles[0].create_runner(&acme, new, stamp()).await.unwrap();
        let adding = handles[0].insert_sandbox(fleet.sandbox(), fleet.basis());
        let deleting = handles[1].delete_runner(&acme, fleet.runner.uid, None);
        let (added, deleted) = tokio::join!(adding, deleting);
        match (added, deleted) {
            (Ok(()), Err(runner::DeleteError::Occupied { sandboxes: 1 }))
            | (Err(InsertError::Stale), Ok(())) => {}
            other => unreachable!("{other:?}"),
        }
    }
}

/// Writers in both handles, and a reader in each that follows the feed.
pub async fn the_feed_skips_nothing_under_concurrent_writers(harness: &mut dyn Harness) {
    const WRITES: usize = 60;
    let handles = handles(harness).await;
    let acme = organization(&*handles[0], "acme").await;
    let start = handles[0].head().await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..4 {
        let (store, acme) = (handles[number % 2].clone(), acme.clone());
        writers.spawn(async move {
            let mut written = Vec::new();
            for count in 0..WRITES / 4 {
                let name = format!("profile {number} {count}");
                written.push(Subject::Profile(profile(&*store, &acme, &name).await.id));
            }
            written
        });
    }
    let mut readers = JoinSet::new();
    for store in handles.clone() {
        readers.spawn(async move { follow(&*store, start, WRITES).await });
    }
    let written = writers.join_all().await.concat();
    for seen in readers.join_all().await {
        assert_eq!(seen.len(), WRITES, "nothing is seen twice");
        let seen = seen.into_iter().map(|subject| format!("{subject:?}"));
        let written = written.iter().map(|subject| format!("{subject:?}"));
        assert_eq!(
            seen.collect::<BTreeSet<_>>(),
            written.collect::<BTreeSet<_>>()
        );
    }
    let page = handles[0].list_profiles(&acme, all()).await.unwrap();
    assert_eq!(page.items.len(), WRITES);
}

async fn follow(store: &dyn Store, mut place: Sequence, wanted: usize) -> Vec<Subject> {
    let mut seen = Vec::new();
    while seen.len() < wanted {
        let limit = std::time::Duration::from_secs(20);
        let head = store.wait_for_change(place, limit).await.unwrap();
        assert!(head > place, "all changes come in time");
        for change in store
            .changes_after(place, PageSize::clamped(7))
            .await
            .unwrap()
        {
            place = change.sequence;
            seen.push(change.subject);
        }
    }
    seen
}
