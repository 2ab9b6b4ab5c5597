//! Nothing of one organization is within reach of another.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::time::Duration;

use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
use palisade_model::sandbox::state::Observation;
use palisade_model::sandbox::{State, StopWish};

use super::Harness;
use super::fixture::{
    Fleet, all, caller_token, fleet, new_runner, now, observation, organization, stamp,
};
use crate::profile::{self, ProfileUpdate};
use crate::runner::{self, ClusterChoice, CreateError, NewRunner, RunnerUpdate};
use crate::sandbox::{InsertError, LaunchError, OccupancyOf, SandboxFilter, StatusChange};
use crate::{GetError, PageSize, Store};

/// A fleet with a sandbox and a token, and an organization beside it.
async fn neighbours(store: &dyn Store) -> (Fleet, OrganizationId) {
    let fleet = fleet(store, "acme").await;
    fleet.start(store).await;
    (fleet, organization(store, "other").await)
}

fn is_missing<T>(result: &Result<T, GetError>) -> bool {
    matches!(result, Err(GetError::NotFound))
}

pub async fn nothing_of_another_organization_is_found(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, other) = neighbours(&*store).await;
    let sandbox = fleet.start(&*store).await;
    let (profile, runner) = (fleet.profile.id, fleet.runner.uid);
    assert!(is_missing(
        &store.get_profile(&other, &profile.into()).await
    ));
    let by_name = fleet.profile.display_name.clone().into();
    assert!(is_missing(&store.get_profile(&other, &by_name).await));
    let revision = store
        .get_profile_revision(&other, profile, Revision::FIRST)
        .await;
    assert!(is_missing(&revision));
    assert!(is_missing(&store.get_runner(&other, &runner.into()).await));
    let by_id = fleet.runner.id.clone().into();
    assert!(is_missing(&store.get_runner(&other, &by_id).await));
    let cluster = &fleet.runner.cluster;
    assert!(is_missing(
        &store.get_runner_of_cluster(&other, &cluster.name).await
    ));
    let revision = store
        .get_runner_revision(&other, runner, Revision::FIRST)
        .await;
    assert!(is_missing(&revision));
    assert!(is_missing(&store.get_sandbox(&other, sandbox.id).await));
    assert!(is_missing(&store.get_standing(&other, sandbox.id).await));
    let launch = store.get_launch(&other, sandbox.id).await;
    assert!(matches!(launch, Err(LaunchError::NotFound)));
}

pub async fn nothing_of_another_organization_is_changed(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, other) = neighbours(&*store).await;
    let acme = &fleet.organization;
    let sandbox = fleet.start(&*store).await;
    let token = caller_token(acme);
    store.create_token(token.clone()).await.unwrap();
    let head = store.head().await.unwrap();
    let (profile, runner) = (fleet.profile.id, fleet.runner.uid);
    let updated = store
        .update_profile(&other, profile, ProfileUpdate::default(), stamp())
        .await;
    assert!(matches!(updated, Err(profile::UpdateError::NotFound)));
    let deleted = store.delete_profile(&other, profile, None).await;
    assert!(matches!(deleted, Err(profile::DeleteError::NotFound)));
    let updated = store
        .update_runner(&other, runner, RunnerUpdate::default(), stamp())
        .await;
    assert!(matches!(updated, Err(runner::UpdateError::NotFound)));
    let marked = store
        .mark_runner_deleting(&other, runner, runner::DeletionMark::at(now()))
        .await;
    assert!(matches!(marked, Err(runner::MarkError::NotFound)));
    let deleted = store.delete_runner(&other, runner, None).await;
    assert!(matches!(deleted, Err(runner::DeleteError::NotFound)));
    assert!(is_missing(&store.revoke_token(&other, token.id).await));
    let seen: Observation = observation(1, State::Running);
    let observed = StatusChange::Observed {
        by: runner,
        seen,
        now: now(),
    };
    let wish = StatusChange::StopWished(StopWish {
        grace: Duration::ZERO,
        at: now(),
    });
    for change in [observed, wish] {
        assert!(is_missing(
            &store.change_status(&other, sandbox.id, change).await
        ));
    }
    let mut foreign = fleet.sandbox();
    foreign.owner.organization = other.clone();
    let added = store.insert_sandbox(foreign, fleet.basis()).await;
    assert!(matches!(added, Err(InsertError::Stale)));
    assert_eq!(store.head().await.unwrap(), head);
}

pub async fn nothing_of_another_organization_is_listed(harness: &mut dyn Harness) {
    let store = harness.store();
    let (fleet, other) = neighbours(&*store).await;
    store
        .create_token(caller_token(&fleet.organization))
        .await
        .unwrap();
    let (profile, runner) = (fleet.profile.id, fleet.runner.uid);
    assert_eq!(store.list_profiles(&other, all()).await.unwrap().items, []);
    assert_eq!(store.list_runners(&other, all()).await.unwrap().items, []);
    assert_eq!(store.list_clusters(&other, all()).await.unwrap().items, []);
    assert_eq!(store.list_tokens(&other, all()).await.unwrap().items, []);
    let revisions = store.list_profile_revisions(&other, profile, all()).await;
    assert_eq!(revisions.unwrap().items, []);
    let revisions = store.list_runner_revisions(&other, runner, all()).await;
    assert_eq!(revisions.unwrap().items, []);
    let sandboxes = store.list_sandboxes_of_runner(&other, runner, all()).await;
    assert_eq!(sandboxes.unwrap().items, []);
    fleet.start(&*store).await;
    for of in [OccupancyOf::Profile(profile), OccupancyOf::Runner(runner)] {
        let foreign = store.occupancy(&other, of, PageSize::MAX).await;
        assert_eq!(foreign.unwrap(), []);
        let own = store
            .occupancy(&fleet.organization, of, PageSize::MAX)
            .await;
        assert_ne!(own.unwrap(), []);
    }
    let everything = SandboxFilter {
        include_terminal: true,
        ..SandboxFilter::default()
    };
    let sandboxes = store.list_sandboxes(&other, everything, all()).await;
    assert_eq!(sandboxes.unwrap().items, []);
}

pub async fn two_organizations_use_the_same_names(harness: &mut dyn Harness) {
    let store = harness.store();
    let (first, second) = (fleet(&*store, "acme").await, fleet(&*store, "other").await);
    assert_eq!(first.profile.display_name, second.profile.display_name);
    assert_eq!(first.runner.id, second.runner.id);
    assert_eq!(first.runner.cluster.name, second.runner.cluster.name);
    assert_ne!(first.runner.cluster.id, second.runner.cluster.id);
    let by_id = NewRunner {
        cluster: ClusterChoice::Known(first.runner.cluster.id),
        ..new_runner("third", &[second.profile.id])
    };
    let refused = store
        .create_runner(&second.organization, by_id, stamp())
        .await;
    assert!(matches!(refused, Err(CreateError::ClusterMissing)));
}
