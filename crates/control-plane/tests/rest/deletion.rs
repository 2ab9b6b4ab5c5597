//! Runners that are deleted while sandboxes live on them.

use std::time::Duration;

use palisade_model::clock::Clock as _;
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::sandbox::{Exit, Sandbox, State};
use palisade_store::conformance::fixture::{Fleet, observation};
use palisade_store::sandbox::StatusChange;
use palisade_store::{Profiles as _, Runners as _, Sandboxes as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::plane::{PATIENCE, Plane};
use crate::{profiles, runners};

/// A runner that was made over REST, with one sandbox.
async fn occupied(plane: &Plane) -> (Fleet, Sandbox, Value) {
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let made = runners::make(&admin, "local", &[&web]).await;
    let organization: OrganizationId = "acme".parse().unwrap();
    let profile: ProfileId = web["id"].as_str().unwrap().parse().unwrap();
    let fleet = Fleet {
        profile: plane
            .store
            .get_profile(&organization, &profile.into())
            .await
            .unwrap(),
        runner: plane
            .store
            .get_runner(&organization, &"local".parse().unwrap())
            .await
            .unwrap(),
        organization,
    };
    let sandbox = fleet.start(&*plane.store).await;
    (fleet, sandbox, made)
}

async fn state(plane: &Plane, fleet: &Fleet, id: SandboxId) -> State {
    let read = plane.store.get_sandbox(&fleet.organization, id).await;
    read.unwrap().status.state
}

#[tokio::test]
async fn a_runner_with_sandboxes_is_deleted_by_force_alone() {
    let plane = Plane::start().await;
    let (fleet, sandbox, made) = occupied(&plane).await;
    let admin = plane.admin().await;
    for query in ["", "?validateOnly=true"] {
        let refused = admin
            .delete(&format!("{}{query}", runners::path("local")))
            .await;
        let message = refused.refused(409, "RUNNER_IN_USE");
        assert!(message.contains("force"), "{message}");
        assert_eq!(refused.detail("ErrorInfo")["metadata"]["sandboxes"], "1");
    }
    let left = admin
        .delete(&format!("{}?force=true", runners::path("local")))
        .await
        .ok();
    assert_eq!(left["id"], made["id"]);
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Creating);
    let refused = admin
        .patch(&runners::path("local"), &json!({ "displayName": "x" }))
        .await;
    refused.refused(409, "RUNNER_IN_USE");
}

#[tokio::test]
async fn sandboxes_are_asked_to_end_before_their_runner_goes() {
    let plane = Plane::start().await;
    let (fleet, sandbox, _) = occupied(&plane).await;
    let admin = plane.admin().await;
    admin
        .delete(&format!("{}?force=true", runners::path("local")))
        .await
        .ok();
    plane.deletions.pass().await.unwrap();
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Terminating);
    admin.get(&runners::path("local")).await.ok();
    let ended = StatusChange::Observed {
        by: fleet.runner.uid,
        seen: observation(1, State::Terminated(Some(Exit(143)))),
        now: plane.clock.now(),
    };
    let acme = &fleet.organization;
    plane
        .store
        .change_status(acme, sandbox.id, ended)
        .await
        .unwrap();
    plane.deletions.pass().await.unwrap();
    admin
        .get(&runners::path("local"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
    let kept = state(&plane, &fleet, sandbox.id).await;
    assert_eq!(kept, State::Terminated(Some(Exit(143))));
}

#[tokio::test]
async fn sandboxes_of_a_runner_that_stays_away_are_given_up() {
    let plane = Plane::start().await;
    let (fleet, sandbox, _) = occupied(&plane).await;
    let admin = plane.admin().await;
    admin
        .delete(&format!("{}?force=true", runners::path("local")))
        .await
        .ok();
    plane.deletions.pass().await.unwrap();
    plane.clock.advance(Duration::from_mins(6));
    plane.deletions.pass().await.unwrap();
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Failed(None));
    plane.deletions.pass().await.unwrap();
    admin
        .get(&runners::path("local"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_finishes_a_deletion_and_ends_when_it_is_told() {
    let plane = Plane::start().await;
    let (fleet, sandbox, _) = occupied(&plane).await;
    let admin = plane.admin().await;
    let stop = CancellationToken::new();
    let task = plane.deletions.clone().run(stop.clone());
    let story = async {
        admin
            .delete(&format!("{}?force=true", runners::path("local")))
            .await
            .ok();
        while state(&plane, &fleet, sandbox.id).await != State::Terminating {
            tokio::task::yield_now().await;
        }
        fleet.end(&*plane.store, sandbox.id).await;
        while admin.get(&runners::path("local")).await.status == 200 {}
        stop.cancel();
    };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(task, story) });
    both.await.unwrap();
}
