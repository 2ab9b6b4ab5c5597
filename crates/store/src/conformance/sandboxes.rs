//! How sandboxes come and go in a [`crate::Sandboxes`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::clock::Timestamp;
use palisade_model::profile::Revision;
use palisade_model::quota::Quota;
use palisade_model::sandbox::MountedFile;

use super::Harness;
use super::fixture::{Fleet, all, fleet, now, profile, stamp};
use crate::profile::ProfileUpdate;
use crate::runner::RunnerUpdate;
use crate::sandbox::{Basis, InsertError, LaunchError, SandboxFilter, Standing};
use crate::{GetError, PageSize, Store};

pub async fn a_sandbox_is_added_on_a_basis_that_stands(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let sandbox = fleet.start(&*store).await;
    let read = store.get_sandbox(&fleet.organization, sandbox.id).await;
    assert_eq!(read.unwrap(), sandbox);
}

pub async fn the_standing_of_a_sandbox_is_that_of_its_record(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let sandbox = fleet.start(&*store).await;
    fleet.start(&*store).await;
    let standing = async || store.get_standing(&fleet.organization, sandbox.id).await;
    let expected = |status| Standing {
        runner: fleet.runner.uid,
        status,
    };
    assert_eq!(standing().await.unwrap(), expected(sandbox.status.clone()));
    fleet.end(&*store, sandbox.id).await;
    let ended = store.get_sandbox(&fleet.organization, sandbox.id).await;
    assert_eq!(standing().await.unwrap(), expected(ended.unwrap().status));
    let absent = store.get_standing(&fleet.organization, fleet.sandbox().id);
    assert!(matches!(absent.await, Err(GetError::NotFound)));
}

async fn is_stale(store: &dyn Store, fleet: &Fleet, basis: Basis) {
    let sandbox = fleet.sandbox();
    let id = sandbox.id;
    let refused = store.insert_sandbox(sandbox, basis).await;
    assert!(matches!(refused, Err(InsertError::Stale)), "{refused:?}");
    let read = store.get_sandbox(&fleet.organization, id).await;
    assert!(matches!(read, Err(GetError::NotFound)));
}

pub async fn a_stale_decision_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let mut fleet = fleet(&*store, "acme").await;
    let acme = fleet.organization.clone();
    let before = fleet.basis();
    let update = ProfileUpdate::default();
    let updated = store
        .update_profile(&acme, fleet.profile.id, update, stamp())
        .await;
    fleet.profile = updated.unwrap();
    is_stale(&*store, &fleet, before).await;
    fleet.start(&*store).await;
    let before = fleet.basis();
    let update = RunnerUpdate::default();
    let updated = store
        .update_runner(&acme, fleet.runner.uid, update, stamp())
        .await;
    fleet.runner = updated.unwrap();
    is_stale(&*store, &fleet, before).await;
    let before = fleet.basis();
    let updated = store.update_quota(&acme, Quota::default(), None).await;
    fleet.quota = updated.unwrap().revision;
    is_stale(&*store, &fleet, before).await;
    fleet.start(&*store).await;
    let ahead = Basis {
        runner: Revision(99),
        ..fleet.basis()
    };
    is_stale(&*store, &fleet, ahead).await;
    fleet.start(&*store).await;
}

pub async fn nothing_is_added_on_a_runner_being_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    store
        .mark_runner_deleting(acme, uid, crate::runner::DeletionMark::at(now()))
        .await
        .unwrap();
    is_stale(&*store, &fleet, fleet.basis()).await;
    store.delete_runner(acme, uid, None).await.unwrap();
    is_stale(&*store, &fleet, fleet.basis()).await;
}

pub async fn nothing_is_added_under_a_profile_that_is_not_bound(harness: &mut dyn Harness) {
    let store = harness.store();
    let mut fleet = fleet(&*store, "acme").await;
    fleet.profile = profile(&*store, &fleet.organization, "unbound").await;
    is_stale(&*store, &fleet, fleet.basis()).await;
}

pub async fn a_sandbox_id_is_given_out_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let first = fleet.start(&*store).await;
    let mut second = fleet.sandbox();
    second.id = first.id;
    let refused = store.insert_sandbox(second, fleet.basis()).await;
    assert!(matches!(refused, Err(InsertError::IdTaken)), "{refused:?}");
    let read = store.get_sandbox(&fleet.organization, first.id).await;
    assert_eq!(read.unwrap(), first);
}

pub async fn files_are_gone_once_the_sandbox_is_over(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let mut sandbox = fleet.sandbox();
    sandbox.launch.mounted_files.push(MountedFile {
        path: "/key".to_owned(),
        content: b"secret".to_vec(),
    });
    let sandbox = fleet.add(&*store, sandbox).await;
    let acme = &fleet.organization;
    assert_eq!(
        store.get_launch(acme, sandbox.id).await.unwrap(),
        sandbox.launch
    );
    fleet.end(&*store, sandbox.id).await;
    let over = store.get_launch(acme, sandbox.id).await;
    assert!(matches!(over, Err(LaunchError::Over)), "{over:?}");
    let none = store.get_launch(acme, fleet.sandbox().id).await;
    assert!(matches!(none, Err(LaunchError::NotFound)), "{none:?}");
}

async fn kept(store: &dyn Store, fleet: &Fleet) -> usize {
    let filter = SandboxFilter {
        include_terminal: true,
        ..SandboxFilter::default()
    };
    let listed = store
        .list_sandboxes(&fleet.organization, filter, all())
        .await;
    listed.unwrap().items.len()
}

pub async fn purging_forgets_what_ended_before(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let mut tagged = fleet.sandbox();
    tagged.tags = vec!["tag".parse().unwrap()];
    let first = fleet.add(&*store, tagged).await;
    let (second, live) = (fleet.start(&*store).await, fleet.start(&*store).await);
    fleet.end(&*store, first.id).await;
    let second_ended = fleet.end(&*store, second.id).await;
    let none = store.purge_sandboxes(Timestamp::EPOCH, PageSize::MAX).await;
    assert_eq!(none.unwrap(), 0);
    let purged = store.purge_sandboxes(second_ended, PageSize::MAX).await;
    assert_eq!(purged.unwrap(), 1);
    let acme = &fleet.organization;
    let gone = store.get_sandbox(acme, first.id).await;
    assert!(matches!(gone, Err(GetError::NotFound)));
    store.get_sandbox(acme, second.id).await.unwrap();
    let purged = store.purge_sandboxes(now(), PageSize::MAX).await;
    assert_eq!(purged.unwrap(), 1);
    store.get_sandbox(acme, live.id).await.unwrap();
    assert_eq!(kept(&*store, &fleet).await, 1);
}

pub async fn purging_takes_at_most_as_many_as_asked_for(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    for _ in 0..5 {
        let sandbox = fleet.start(&*store).await;
        fleet.end(&*store, sandbox.id).await;
    }
    let mut purged = Vec::new();
    for _ in 0..4 {
        purged.push(
            store
                .purge_sandboxes(now(), PageSize::clamped(2))
                .await
                .unwrap(),
        );
    }
    assert_eq!(purged, [2, 2, 1, 0]);
    assert_eq!(kept(&*store, &fleet).await, 0);
}
