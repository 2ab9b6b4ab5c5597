//! Runners that are deleted while sandboxes live on them.

use std::time::Duration;

use palisade_model::clock::Clock as _;
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::profile::Revision;
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
        quota: Revision::FIRST,
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
async fn a_drain_lets_sandboxes_end_and_ends_the_rest_at_its_limit() {
    let plane = Plane::start().await;
    let (fleet, sandbox, made) = occupied(&plane).await;
    let admin = plane.admin().await;
    let left = admin
        .delete(&format!("{}?drain=60", runners::path("local")))
        .await
        .ok();
    assert_eq!(left["id"], made["id"]);
    let usage = admin
        .get(&format!("{}/usage", runners::path("local")))
        .await;
    let usage = usage.ok();
    assert_eq!(usage["liveSandboxes"], 1);
    assert!(usage["drainUntil"].as_str() > usage["deletingSince"].as_str());
    let wait = plane.deletions.pass().await.unwrap();
    assert!(wait > Duration::from_secs(20), "{wait:?}");
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Creating);
    plane.clock.advance(Duration::from_secs(50));
    let wait = plane.deletions.pass().await.unwrap();
    assert!(wait <= Duration::from_secs(11), "{wait:?}");
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Creating);
    plane.clock.advance(Duration::from_secs(10));
    plane.deletions.pass().await.unwrap();
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Terminating);
}

#[tokio::test]
async fn a_drain_is_taken_back_while_it_lasts() {
    let plane = Plane::start().await;
    let (fleet, sandbox, made) = occupied(&plane).await;
    let admin = plane.admin().await;
    let path = runners::path("local");
    let undrain = format!("{path}/undrain");
    admin.delete(&format!("{path}?drain=60")).await.ok();
    let user = plane.user().await;
    user.post(&undrain, &json!({}))
        .await
        .refused(403, "PERMISSION_DENIED");
    let kept = admin.post(&undrain, &json!({})).await.ok();
    assert_eq!(kept["id"], made["id"]);
    assert_ne!(kept["installStatus"], "RUNNER_INSTALL_STATUS_DELETING");
    let usage = admin.get(&format!("{path}/usage")).await.ok();
    assert_eq!(
        (&usage["deletingSince"], &usage["drainUntil"]),
        (&Value::Null, &Value::Null)
    );
    plane.clock.advance(Duration::from_mins(2));
    plane.deletions.pass().await.unwrap();
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Creating);
    admin
        .patch(&path, &json!({ "displayName": "x" }))
        .await
        .ok();
    // Twice is no failure.
    admin.post(&undrain, &json!({})).await.ok();
    for late in ["drain=0", "force=true"] {
        admin.delete(&format!("{path}?{late}")).await.ok();
        let refused = admin.post(&undrain, &json!({})).await;
        let message = refused.refused(409, "RUNNER_IN_USE");
        assert!(message.contains("cannot be taken back"), "{message}");
    }
    let nobody = format!("{}/undrain", runners::path("nobody"));
    let nobody = admin.post(&nobody, &json!({})).await;
    nobody.refused(404, "RUNNER_NOT_FOUND");
}

#[tokio::test]
async fn force_cuts_a_drain_short() {
    let plane = Plane::start().await;
    let (fleet, sandbox, _) = occupied(&plane).await;
    let admin = plane.admin().await;
    let path = runners::path("local");
    admin.delete(&format!("{path}?drain=3600")).await.ok();
    admin.delete(&format!("{path}?force=true")).await.ok();
    plane.deletions.pass().await.unwrap();
    assert_eq!(state(&plane, &fleet, sandbox.id).await, State::Terminating);
}

#[tokio::test]
async fn a_drain_that_cannot_be_is_refused() {
    let plane = Plane::start().await;
    occupied(&plane).await;
    let admin = plane.admin().await;
    for query in ["drain=x", "drain=-1", "drain=604801", "drain=5&force=true"] {
        let path = format!("{}?{query}", runners::path("local"));
        let refused = admin.delete(&path).await;
        refused.refused(400, "INVALID_REQUEST");
        assert!(refused.fields()[0].starts_with("drain "), "{query}");
    }
    let usage = admin
        .get(&format!("{}/usage", runners::path("local")))
        .await;
    assert_eq!(usage.ok()["deletingSince"], Value::Null);
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
