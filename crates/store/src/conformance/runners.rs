//! The contract of [`crate::Runners`] but for bindings, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::id::ClusterId;
use palisade_model::profile::Revision;
use palisade_model::runner::{ReleaseChannel, Runner, RunnerSettings};

use super::Harness;
use super::fixture::{
    all, fleet, fresh_uuid, new_runner, now, organization, parsed, profile, runner, stamp,
};
use crate::runner::{
    ClusterChoice, CreateError, DeleteError, DeletionMark, FinishError, MarkError, NewRunner,
    RunnerRevision, RunnerUpdate, UnmarkError, UpdateError,
};
use crate::{GetError, RunnerRef, Stamp};

pub async fn a_runner_id_and_a_cluster_have_one_runner(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, first) = (&fleet.organization, &fleet.runner);
    let same_id = new_runner("local", &[fleet.profile.id]);
    let refused = store.create_runner(acme, same_id, stamp()).await;
    let taken = matches!(refused, Err(CreateError::RunnerIdTaken { by }) if by == first.uid);
    assert!(taken, "{refused:?}");
    let same_cluster = NewRunner {
        cluster: ClusterChoice::Named {
            name: first.cluster.name.clone(),
            id_if_new: ClusterId::new(fresh_uuid()),
        },
        ..new_runner("other", &[fleet.profile.id])
    };
    let refused = store.create_runner(acme, same_cluster, stamp()).await;
    assert!(
        matches!(&refused, Err(CreateError::ClusterHasRunner { runner }) if *runner == first.id),
        "{refused:?}"
    );
    let twin = NewRunner {
        uid: first.uid,
        ..new_runner("other", &[fleet.profile.id])
    };
    let refused = store.create_runner(acme, twin, stamp()).await;
    assert!(matches!(refused, Err(CreateError::UidTaken)), "{refused:?}");
    let nowhere = new_runner("other", &[fleet.profile.id]);
    let refused = store
        .create_runner(&parsed("nobody"), nowhere, stamp())
        .await;
    assert!(matches!(refused, Err(CreateError::NoOrganization)));
}

pub async fn id_and_cluster_are_free_once_the_runner_is_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    store
        .delete_runner(acme, fleet.runner.uid, None)
        .await
        .unwrap();
    let found = store.get_runner(acme, &fleet.runner.uid.into()).await;
    assert!(matches!(found, Err(GetError::NotFound)));
    let again = store.delete_runner(acme, fleet.runner.uid, None).await;
    assert!(matches!(again, Err(DeleteError::NotFound)));
    runner(&*store, acme, "local", &[fleet.profile.id]).await;
}

pub async fn a_cluster_keeps_the_id_that_it_got_first(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    store
        .delete_runner(acme, fleet.runner.uid, None)
        .await
        .unwrap();
    let clusters = store.list_clusters(acme, all()).await.unwrap();
    assert_eq!(clusters.items, std::slice::from_ref(&fleet.runner.cluster));
    let second = runner(&*store, acme, "local", &[fleet.profile.id]).await;
    assert_eq!(second.cluster, fleet.runner.cluster);
}

pub async fn a_known_cluster_can_be_chosen_by_its_id(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let by_id = |id| NewRunner {
        cluster: ClusterChoice::Known(id),
        ..new_runner("second", &[fleet.profile.id])
    };
    let cluster = fleet.runner.cluster.clone();
    let refused = store.create_runner(acme, by_id(cluster.id), stamp()).await;
    assert!(matches!(refused, Err(CreateError::ClusterHasRunner { .. })));
    let unknown = by_id(ClusterId::new(fresh_uuid()));
    let refused = store.create_runner(acme, unknown, stamp()).await;
    assert!(matches!(refused, Err(CreateError::ClusterMissing)));
    store
        .delete_runner(acme, fleet.runner.uid, None)
        .await
        .unwrap();
    let second = store.create_runner(acme, by_id(cluster.id), stamp()).await;
    assert_eq!(second.unwrap().cluster, cluster);
}

pub async fn a_runner_is_found_by_uid_id_and_cluster(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, first) = (&fleet.organization, &fleet.runner);
    // An id that looks like the uid of the first one.
    let second = runner(&*store, acme, &first.uid.to_string(), &[fleet.profile.id]).await;
    let both: RunnerRef = parsed(&first.uid.to_string());
    assert_eq!(&store.get_runner(acme, &both).await.unwrap(), first);
    let by_id = RunnerRef::from(second.id.clone());
    assert_eq!(store.get_runner(acme, &by_id).await.unwrap(), second);
    let of_cluster = store.get_runner_of_cluster(acme, &first.cluster.name).await;
    assert_eq!(&of_cluster.unwrap(), first);
    let none = store.get_runner_of_cluster(acme, &parsed("nothing")).await;
    assert!(matches!(none, Err(GetError::NotFound)));
    store.delete_runner(acme, first.uid, None).await.unwrap();
    assert_eq!(store.get_runner(acme, &both).await.unwrap(), second);
}

fn revision_of(runner: &Runner, stamp: &Stamp) -> RunnerRevision {
    RunnerRevision {
        uid: runner.uid,
        revision: runner.revision,
        id: runner.id.clone(),
        display_name: runner.display_name.clone(),
        zone: runner.zone.clone(),
        group: runner.group.clone(),
        settings: runner.settings.clone(),
        bindings: runner.bindings.clone(),
        stamp: stamp.clone(),
    }
}

pub async fn every_write_of_the_configuration_makes_the_next_revision(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let web = profile(&*store, &acme, "web").await;
    let (by, then_by) = (stamp(), stamp());
    let new = new_runner("local", &[web.id]);
    let first = store.create_runner(&acme, new, by.clone()).await.unwrap();
    assert_eq!(first.revision, Revision::FIRST);
    let update = RunnerUpdate {
        display_name: Some("Renamed".to_owned()),
        zone: Some(parsed("us-2")),
        group: Some(parsed("gpu")),
        settings: Some(RunnerSettings {
            release_channel: ReleaseChannel::Rapid,
            ..RunnerSettings::default()
        }),
        ..RunnerUpdate::default()
    };
    let second = store
        .update_runner(&acme, first.uid, update.clone(), then_by.clone())
        .await
        .unwrap();
    let expected = Runner {
        display_name: update.display_name.unwrap(),
        zone: update.zone.unwrap(),
        group: update.group.unwrap(),
        settings: update.settings.unwrap(),
        revision: Revision(2),
        updated_at: then_by.at,
        ..first.clone()
    };
    assert_eq!(second, expected);
    let nothing = RunnerUpdate::default();
    let third = store
        .update_runner(&acme, first.uid, nothing, stamp())
        .await;
    assert_eq!(third.unwrap().revision, Revision(3));
    store.delete_runner(&acme, first.uid, None).await.unwrap();
    let kept = store
        .get_runner_revision(&acme, first.uid, Revision::FIRST)
        .await;
    assert_eq!(kept.unwrap(), revision_of(&first, &by));
    let page = store
        .list_runner_revisions(&acme, first.uid, all())
        .await
        .unwrap();
    assert_eq!(
        page.items[1..],
        [revision_of(&second, &then_by), revision_of(&first, &by)]
    );
}

pub async fn a_runner_write_that_expects_another_revision_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, first) = (&fleet.organization, &fleet.runner);
    let from_first = || RunnerUpdate {
        expected: Some(first.revision),
        ..RunnerUpdate::default()
    };
    let second = store
        .update_runner(acme, first.uid, from_first(), stamp())
        .await;
    let second = second.unwrap().revision;
    let stale = store
        .update_runner(acme, first.uid, from_first(), stamp())
        .await;
    assert!(matches!(stale, Err(UpdateError::RevisionMismatch { current }) if current == second));
    let expected = Some(first.revision);
    let mark = |expected| DeletionMark {
        expected,
        ..DeletionMark::at(now())
    };
    let stale = store
        .mark_runner_deleting(acme, first.uid, mark(expected))
        .await;
    assert!(matches!(stale, Err(MarkError::RevisionMismatch { current }) if current == second));
    let stale = store.delete_runner(acme, first.uid, expected).await;
    assert!(matches!(stale, Err(DeleteError::RevisionMismatch { current }) if current == second));
    let fresh = store
        .mark_runner_deleting(acme, first.uid, mark(Some(second)))
        .await;
    fresh.unwrap();
    store
        .delete_runner(acme, first.uid, Some(second))
        .await
        .unwrap();
}

pub async fn a_runner_is_marked_for_deletion_once(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    let first_time = now();
    let marked = store
        .mark_runner_deleting(acme, uid, DeletionMark::at(first_time))
        .await
        .unwrap();
    let expected = Runner {
        deleting_since: Some(first_time),
        ..fleet.runner.clone()
    };
    // The revision is the same: the configuration did not change.
    assert_eq!(marked, expected);
    let again = store
        .mark_runner_deleting(acme, uid, DeletionMark::at(now()))
        .await
        .unwrap();
    assert_eq!(again, expected);
    assert_eq!(store.get_runner(acme, &uid.into()).await.unwrap(), expected);
    let page = store.list_runner_revisions(acme, uid, all()).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

pub async fn the_earliest_end_of_a_drain_holds(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    let (begin, early, late) = (now(), now(), now());
    let mark = async |drain_until| {
        let mark = DeletionMark {
            drain_until,
            ..DeletionMark::at(begin)
        };
        let marked = store.mark_runner_deleting(acme, uid, mark).await.unwrap();
        assert_eq!(marked, store.get_runner(acme, &uid.into()).await.unwrap());
        assert_eq!(marked.deleting_since, Some(begin));
        marked.drain_until
    };
    assert_eq!(mark(Some(late)).await, Some(late));
    assert_eq!(mark(Some(early)).await, Some(early));
    assert_eq!(mark(Some(late)).await, Some(early));
    assert_eq!(mark(None).await, None);
    assert_eq!(mark(Some(late)).await, None);
}

pub async fn a_drain_is_taken_back_until_its_end_has_come(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    let (begin, before, end) = (now(), now(), now());
    // What is not marked stays as it is, without a change.
    let head = store.head().await.unwrap();
    let unmarked = store.unmark_runner_deleting(acme, uid, begin).await;
    assert_eq!(unmarked.unwrap(), fleet.runner);
    assert_eq!(store.head().await.unwrap(), head);
    let mark = DeletionMark {
        drain_until: Some(end),
        ..DeletionMark::at(begin)
    };
    store.mark_runner_deleting(acme, uid, mark).await.unwrap();
    let late = store.unmark_runner_deleting(acme, uid, end).await;
    assert!(matches!(late, Err(UnmarkError::Ending)), "{late:?}");
    let unmarked = store.unmark_runner_deleting(acme, uid, before).await;
    assert_eq!(unmarked.unwrap(), fleet.runner);
    let read = store.get_runner(acme, &uid.into()).await.unwrap();
    assert_eq!(read, fleet.runner);
    assert!(store.head().await.unwrap() > head);
    // It can be changed again.
    let update = store.update_runner(acme, uid, RunnerUpdate::default(), stamp());
    update.await.unwrap();
    let mark = DeletionMark::at(now());
    store.mark_runner_deleting(acme, uid, mark).await.unwrap();
    let forced = store.unmark_runner_deleting(acme, uid, begin).await;
    assert!(matches!(forced, Err(UnmarkError::Ending)), "{forced:?}");
    let other = organization(&*store, "other").await;
    let foreign = store.unmark_runner_deleting(&other, uid, begin).await;
    assert!(matches!(foreign, Err(UnmarkError::NotFound)), "{foreign:?}");
}

pub async fn a_runner_that_is_not_marked_is_not_finished(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    let left = store.finish_runner(acme, uid).await;
    assert!(matches!(left, Err(FinishError::NotMarked)), "{left:?}");
    let sandbox = fleet.start(&*store).await;
    let mark = DeletionMark::at(now());
    store.mark_runner_deleting(acme, uid, mark).await.unwrap();
    let occupied = store.finish_runner(acme, uid).await;
    let is_told = matches!(occupied, Err(FinishError::Occupied { sandboxes: 1 }));
    assert!(is_told, "{occupied:?}");
    fleet.end(&*store, sandbox.id).await;
    store.finish_runner(acme, uid).await.unwrap();
    let gone = store.get_runner(acme, &uid.into()).await;
    assert!(matches!(gone, Err(GetError::NotFound)), "{gone:?}");
    let again = store.finish_runner(acme, uid).await;
    assert!(matches!(again, Err(FinishError::NotMarked)), "{again:?}");
}

pub async fn a_runner_being_deleted_does_not_change(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    store
        .mark_runner_deleting(acme, uid, DeletionMark::at(now()))
        .await
        .unwrap();
    let refused = store
        .update_runner(acme, uid, RunnerUpdate::default(), stamp())
        .await;
    assert!(matches!(refused, Err(UpdateError::Deleting)));
}

pub async fn a_runner_with_live_sandboxes_is_not_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, uid) = (&fleet.organization, fleet.runner.uid);
    let (first, second) = (fleet.start(&*store).await, fleet.start(&*store).await);
    fleet.end(&*store, first.id).await;
    let refused = store.delete_runner(acme, uid, None).await;
    assert!(matches!(
        refused,
        Err(DeleteError::Occupied { sandboxes: 1 })
    ));
    fleet.end(&*store, second.id).await;
    store.delete_runner(acme, uid, None).await.unwrap();
    let kept = store.get_sandbox(acme, second.id).await.unwrap();
    assert_eq!(kept.placement.runner_uid, uid);
}

pub async fn deleting_a_runner_frees_its_profiles(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    store
        .delete_runner(acme, fleet.runner.uid, None)
        .await
        .unwrap();
    store
        .delete_profile(acme, fleet.profile.id, None)
        .await
        .unwrap();
}

pub async fn runners_and_clusters_are_listed_in_order(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let web = profile(&*store, &acme, "web").await;
    for id in ["b", "a", "a-1", "10", "9"] {
        runner(&*store, &acme, id, &[web.id]).await;
    }
    let ids = ["10", "9", "a", "a-1", "b"];
    let page = store.list_runners(&acme, all()).await.unwrap();
    let runners = page.items.iter().map(|each| each.id.as_str());
    assert_eq!(runners.collect::<Vec<_>>(), ids);
    let page = store.list_clusters(&acme, all()).await.unwrap();
    let clusters = page.items.iter().map(|each| each.name.to_string());
    let expected = ids.map(|id| format!("cluster-of-{id}"));
    assert_eq!(clusters.collect::<Vec<_>>(), expected);
}
