//! The contract of [`crate::Profiles`], a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::collections::BTreeMap;

use palisade_model::profile::{Profile, ProfileSpec, Revision};

use super::Harness;
use super::fixture::{all, fleet, new_profile, organization, parsed, profile, runner, stamp};
use crate::GetError;
use crate::profile::{
    CreateError, DeleteError, JudgedRunner, NewProfile, ProfileRevision, ProfileUpdate, UpdateError,
};

pub async fn a_display_name_is_taken_by_one_profile_of_an_organization(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    let second = store
        .create_profile(&acme, new_profile("web"), stamp())
        .await;
    let taken = matches!(second, Err(CreateError::NameTaken { by }) if by == first.id);
    assert!(taken, "{second:?}");
    // Case tells two names apart.
    profile(&*store, &acme, "Web").await;
}

pub async fn a_display_name_is_free_once_its_profile_is_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    store.delete_profile(&acme, first.id, None).await.unwrap();
    let found = store.get_profile(&acme, &first.id.into()).await;
    assert!(matches!(found, Err(GetError::NotFound)));
    let again = store.delete_profile(&acme, first.id, None).await;
    assert!(matches!(again, Err(DeleteError::NotFound)));
    profile(&*store, &acme, "web").await;
}

pub async fn a_profile_id_is_not_given_out_again(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    let same_id = || NewProfile {
        id: first.id,
        ..new_profile("other")
    };
    let second = store.create_profile(&acme, same_id(), stamp()).await;
    assert!(matches!(second, Err(CreateError::IdTaken)), "{second:?}");
    // Nor later: its revisions are still those of the first one.
    store.delete_profile(&acme, first.id, None).await.unwrap();
    let third = store.create_profile(&acme, same_id(), stamp()).await;
    assert!(matches!(third, Err(CreateError::IdTaken)), "{third:?}");
}

pub async fn a_profile_needs_an_organization(harness: &mut dyn Harness) {
    let store = harness.store();
    let nobody = parsed("nobody");
    let created = store
        .create_profile(&nobody, new_profile("web"), stamp())
        .await;
    assert!(matches!(created, Err(CreateError::NoOrganization)));
}

fn revision_of(profile: &Profile, stamp: &crate::Stamp) -> ProfileRevision {
    ProfileRevision {
        id: profile.id,
        revision: profile.revision,
        display_name: profile.display_name.clone(),
        description: profile.description.clone(),
        labels: profile.labels.clone(),
        spec: profile.spec.clone(),
        stamp: stamp.clone(),
    }
}

pub async fn every_write_makes_the_next_revision(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let (created_by, updated_by) = (stamp(), stamp());
    let first = store
        .create_profile(&acme, new_profile("web"), created_by.clone())
        .await
        .unwrap();
    assert_eq!(first.revision, Revision::FIRST);
    assert_eq!(
        (first.created_at, first.updated_at),
        (created_by.at, created_by.at)
    );
    let nothing = ProfileUpdate::default();
    let second = store
        .update_profile(&acme, first.id, nothing, updated_by.clone())
        .await
        .unwrap();
    let expected = Profile {
        revision: first.revision.next(),
        updated_at: updated_by.at,
        ..first.clone()
    };
    assert_eq!(second, expected);
    let (old, new) = (
        revision_of(&first, &created_by),
        revision_of(&second, &updated_by),
    );
    let kept = store
        .get_profile_revision(&acme, first.id, Revision::FIRST)
        .await;
    assert_eq!(kept.unwrap(), old);
    let page = store.list_profile_revisions(&acme, first.id, all()).await;
    assert_eq!(page.unwrap().items, [new, old]);
}

pub async fn revisions_stay_after_the_profile_is_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let by = stamp();
    let first = store
        .create_profile(&acme, new_profile("web"), by.clone())
        .await
        .unwrap();
    store.delete_profile(&acme, first.id, None).await.unwrap();
    let kept = store
        .get_profile_revision(&acme, first.id, Revision::FIRST)
        .await;
    assert_eq!(kept.unwrap(), revision_of(&first, &by));
    let none = store
        .get_profile_revision(&acme, first.id, Revision(2))
        .await;
    assert!(matches!(none, Err(GetError::NotFound)));
}

pub async fn an_update_changes_the_fields_that_it_names(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let mut expected = profile(&*store, &acme, "web").await;
    let spec = ProfileSpec {
        container_image: Some(parsed("python:3.11")),
        ..ProfileSpec::default()
    };
    let nothing = ProfileUpdate::default;
    let updates = [
        ProfileUpdate {
            description: Some("new".to_owned()),
            ..nothing()
        },
        ProfileUpdate {
            labels: Some(BTreeMap::new()),
            ..nothing()
        },
        ProfileUpdate {
            spec: Some(spec),
            ..nothing()
        },
    ];
    for update in updates {
        let by = stamp();
        expected.description = update.description.clone().unwrap_or(expected.description);
        expected.labels = update.labels.clone().unwrap_or(expected.labels);
        expected.spec = update.spec.clone().unwrap_or(expected.spec);
        expected.revision = expected.revision.next();
        expected.updated_at = by.at;
        let changed = store.update_profile(&acme, expected.id, update, by).await;
        assert_eq!(changed.unwrap(), expected);
        let read = store.get_profile(&acme, &expected.id.into()).await;
        assert_eq!(read.unwrap(), expected);
    }
}

pub async fn a_write_that_expects_another_revision_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    let first = profile(&*store, &acme, "web").await;
    let from_first = || ProfileUpdate {
        expected: Some(first.revision),
        ..ProfileUpdate::default()
    };
    let second = store
        .update_profile(&acme, first.id, from_first(), stamp())
        .await;
    let second = second.unwrap();
    let stale = store
        .update_profile(&acme, first.id, from_first(), stamp())
        .await;
    assert!(
        matches!(stale, Err(UpdateError::RevisionMismatch { current }) if current == second.revision)
    );
    let stale = store
        .delete_profile(&acme, first.id, Some(first.revision))
        .await;
    assert!(
        matches!(stale, Err(DeleteError::RevisionMismatch { current }) if current == second.revision)
    );
    let read = store.get_profile(&acme, &first.id.into()).await;
    assert_eq!(read.unwrap(), second);
    let fresh = store
        .delete_profile(&acme, first.id, Some(second.revision))
        .await;
    fresh.unwrap();
}

pub async fn a_change_that_was_judged_against_other_runners_is_refused(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let (acme, id) = (&fleet.organization, fleet.profile.id);
    let against = |judged: &[JudgedRunner]| ProfileUpdate {
        judged: Some(judged.to_vec()),
        ..ProfileUpdate::default()
    };
    let bound = JudgedRunner {
        runner: fleet.runner.uid,
        revision: fleet.runner.revision,
    };
    let later = JudgedRunner {
        revision: bound.revision.next(),
        ..bound
    };
    for stale in [&[][..], &[later], &[bound, later]] {
        let refused = store
            .update_profile(acme, id, against(stale), stamp())
            .await;
        let moved = matches!(refused, Err(UpdateError::RunnersMoved));
        assert!(moved, "{refused:?}");
    }
    let read = store.get_profile(acme, &id.into()).await;
    assert_eq!(read.unwrap(), fleet.profile);
    let written = store
        .update_profile(acme, id, against(&[bound]), stamp())
        .await;
    assert_eq!(written.unwrap().revision, fleet.profile.revision.next());
}

pub async fn a_bound_profile_is_not_deleted(harness: &mut dyn Harness) {
    let store = harness.store();
    let fleet = fleet(&*store, "acme").await;
    let acme = &fleet.organization;
    runner(&*store, acme, "a-second", &[fleet.profile.id]).await;
    let refused = store.delete_profile(acme, fleet.profile.id, None).await;
    let expected = [parsed("a-second"), parsed("local")];
    let is_bound = matches!(&refused, Err(DeleteError::Bound { runners }) if *runners == expected);
    assert!(is_bound, "{refused:?}");
}

pub async fn profiles_are_listed_in_the_order_of_their_names(harness: &mut dyn Harness) {
    let store = harness.store();
    let acme = organization(&*store, "acme").await;
    for name in ["b", "é", "a", "Z", "a b", "😀"] {
        profile(&*store, &acme, name).await;
    }
    let page = store.list_profiles(&acme, all()).await.unwrap();
    let names = page.items.iter().map(|each| each.display_name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["Z", "a", "a b", "b", "é", "😀"]);
}
