//! What [`crate::Runners`] promises about bindings, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use palisade_model::id::ProfileId;
use palisade_model::runner::{Binding, Bindings, BindingsError};

use super::Harness;
use super::fixture::{
    Fleet, binding, bindings, fleet, fresh_uuid, new_runner, organization, parsed, profile, stamp,
};
use crate::Store;
use crate::profile::ProfileUpdate;
use crate::runner::{
    CreateError, JudgedProfile, NewRunner, ProfileMissing, RunnerUpdate, UpdateError,
};

fn rebind(bindings: Bindings) -> RunnerUpdate {
    RunnerUpdate {
        bindings: Some(bindings),
        ..RunnerUpdate::default()
    }
}

async fn is_unchanged(store: &dyn Store, fleet: &Fleet) {
    let read = store
        .get_runner(&fleet.organization, &fleet.runner.uid.into())
        .await;
    assert_eq!(read.unwrap(), fleet.runner);
}

pub async fn the_order_of_bindings_is_kept(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let mut ids = vec![fleet.profile.id];
    for name in ["web", "batch", "gpu"] {
        ids.push(profile(&*store, acme, name).await.id);
    }
    ids.reverse();
    let wanted = bindings(&ids);
    let changed = store
        .update_runner(acme, fleet.runner.uid, rebind(wanted.clone()), stamp())
        .await;
    assert_eq!(changed.unwrap().bindings, wanted);
    let read = store.get_runner(acme, &fleet.runner.uid.into()).await;
    assert_eq!(read.unwrap().bindings, wanted);
}

pub async fn bindings_of_missing_profiles_change_nothing_and_are_all_told(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let (none, neither) = (ProfileId::new(fresh_uuid()), ProfileId::new(fresh_uuid()));
    let wanted = bindings(&[none, fleet.profile.id, neither]);
    let missing = [
        ProfileMissing {
            index: 0,
            profile: none,
        },
        ProfileMissing {
            index: 2,
            profile: neither,
        },
    ];
    let refused = store
        .update_runner(acme, fleet.runner.uid, rebind(wanted.clone()), stamp())
        .await;
    assert!(
        matches!(&refused, Err(UpdateError::ProfilesMissing(told)) if *told == missing),
        "{refused:?}"
    );
    let new = NewRunner {
        bindings: wanted,
        ..new_runner("second", &[fleet.profile.id])
    };
    let refused = store.create_runner(acme, new, stamp()).await;
    assert!(
        matches!(&refused, Err(CreateError::ProfilesMissing(told)) if *told == missing),
        "{refused:?}"
    );
    is_unchanged(&*store, &fleet).await;
}

pub async fn bindings_that_answer_to_one_name_are_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let web = profile(&*store, acme, "web").await;
    let batch = profile(&*store, acme, "batch").await;
    let alias = |profile, name: &str| Binding {
        alias: Some(parsed(name)),
        ..binding(profile)
    };
    let first = Binding {
        is_default: true,
        ..binding(web.id)
    };
    let list = vec![
        first,
        alias(batch.id, "web"),
        alias(fleet.profile.id, "web"),
    ];
    let wanted = rebind(Bindings::new(list).unwrap());
    let refused = store
        .update_runner(acme, fleet.runner.uid, wanted, stamp())
        .await;
    let again = |index| BindingsError::DuplicateName {
        index,
        first: 0,
        name: "web".to_owned(),
    };
    let expected = [again(1), again(2)];
    assert!(
        matches!(&refused, Err(UpdateError::NamesTaken(told)) if *told == expected),
        "{refused:?}"
    );
    is_unchanged(&*store, &fleet).await;
}

pub async fn bindings_of_another_organization_s_profile_are_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let other = organization(&*store, "other").await;
    let foreign = profile(&*store, &other, "web").await;
    let wanted = rebind(bindings(&[fleet.profile.id, foreign.id]));
    let acme = &fleet.organization;
    let refused = store
        .update_runner(acme, fleet.runner.uid, wanted, stamp())
        .await;
    assert!(matches!(refused, Err(UpdateError::ProfilesMissing(_))));
    is_unchanged(&*store, &fleet).await;
}

pub async fn bindings_are_replaced_as_a_whole(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    let web = profile(&*store, acme, "web").await;
    let wanted = rebind(bindings(&[web.id]));
    store
        .update_runner(acme, fleet.runner.uid, wanted, stamp())
        .await
        .unwrap();
    // What is bound no more is held no more, and the other way round.
    store
        .delete_profile(acme, fleet.profile.id, None)
        .await
        .unwrap();
    store.delete_profile(acme, web.id, None).await.unwrap_err();
}

pub async fn bindings_that_were_judged_against_older_profiles_are_refused(
    harness: &mut dyn Harness,
) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, id) = (&fleet.organization, fleet.profile.id);
    let judged = |revision| {
        Some(vec![JudgedProfile {
            profile: id,
            revision,
        }])
    };
    let old = fleet.profile.revision;
    let update = ProfileUpdate::default();
    let moved = store.update_profile(acme, id, update, stamp()).await;
    let new = moved.unwrap().revision;
    let update = |revision| RunnerUpdate {
        judged: judged(revision),
        ..rebind(bindings(&[id]))
    };
    let uid = fleet.runner.uid;
    let refused = store.update_runner(acme, uid, update(old), stamp()).await;
    let moved = matches!(refused, Err(UpdateError::ProfilesMoved));
    assert!(moved, "{refused:?}");
    is_unchanged(&*store, &fleet).await;
    let runner = |revision| NewRunner {
        judged: judged(revision),
        ..new_runner("second", &[id])
    };
    let refused = store.create_runner(acme, runner(old), stamp()).await;
    let moved = matches!(refused, Err(CreateError::ProfilesMoved));
    assert!(moved, "{refused:?}");
    store
        .create_runner(acme, runner(new), stamp())
        .await
        .unwrap();
    let written = store.update_runner(acme, uid, update(new), stamp()).await;
    written.unwrap();
}
