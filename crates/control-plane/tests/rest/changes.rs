//! Waiting for changes.

use std::time::Duration;

use palisade_control_plane::Limits;
use palisade_model::tenant::Role;
use palisade_store::Changes as _;
use serde_json::{Value, json};
use tokio::time;

use crate::plane::{PATIENCE, Plane};
use crate::{profiles, runners};

const CHANGES: &str = "/v1beta2/sandbox/changes";

fn after(answer: &Value, seconds: u32) -> String {
    let place = answer["place"].as_str().unwrap();
    format!("{CHANGES}?after={place}&waitSeconds={seconds}")
}

#[tokio::test]
async fn a_waiting_caller_is_told_at_once_what_to_read_again() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let user = plane.user().await;
    let begun = user.get(CHANGES).await.ok();
    assert_eq!(
        (&begun["isGap"], &begun["changes"]),
        (&json!(false), &json!([]))
    );
    let path = after(&begun, 25);
    let (told, made) = tokio::join!(
        time::timeout(PATIENCE, user.get(&path)),
        profiles::make(&admin, "web"),
    );
    let told = told.unwrap().ok();
    assert_eq!(
        told["changes"],
        json!([{ "kind": "profile", "id": made["id"] }])
    );
    // From any earlier place on, each thing once.
    let runner = runners::make(&admin, "local", &[&made]).await;
    profiles::make(&admin, "batch").await;
    let all = user.get(&after(&begun, 0)).await.ok();
    let kinds: Vec<_> = all["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, ["profile", "runner", "profile"]);
    assert_eq!(all["changes"][1]["id"], runner["id"]);
    let none = user.get(&after(&all, 0)).await.ok();
    assert_eq!(
        (&none["place"], &none["changes"]),
        (&all["place"], &json!([]))
    );
}

#[tokio::test]
async fn nobody_hears_of_another_organization() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let other = plane.caller("other", Role::SandboxUser).await;
    let begun = other.get(CHANGES).await.ok();
    profiles::make(&admin, "web").await;
    let told = other.get(&after(&begun, 1)).await.ok();
    assert_eq!(told, begun);
    // Not by how far the place moved, nor by what was forgotten.
    plane.store.prune_changes(1).await.unwrap();
    assert_eq!(other.get(&after(&begun, 0)).await.ok(), begun);
    assert_eq!(other.get(CHANGES).await.ok(), begun);
}

#[tokio::test]
async fn a_wait_is_ended_by_a_change_of_one_s_own_behind_those_of_others() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let other = plane.caller("other", Role::SandboxAdmin).await;
    let begun = other.get(CHANGES).await.ok();
    let path = after(&begun, 25);
    let changes = async {
        for name in ["one", "two", "three"] {
            profiles::make(&admin, name).await;
        }
        profiles::make(&other, "web").await
    };
    let (told, made) = tokio::join!(time::timeout(PATIENCE, other.get(&path)), changes);
    let told = told.unwrap().ok();
    assert_eq!(
        told["changes"],
        json!([{ "kind": "profile", "id": made["id"] }])
    );
}

#[tokio::test]
async fn a_place_that_is_too_old_or_unknown_is_a_gap_and_no_place_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let begun = admin.get(CHANGES).await.ok();
    for name in ["one", "two", "three"] {
        profiles::make(&admin, name).await;
    }
    plane.store.prune_changes(1).await.unwrap();
    let told = admin.get(&after(&begun, 0)).await.ok();
    assert_eq!(
        (&told["isGap"], &told["changes"]),
        (&json!(true), &json!([]))
    );
    let unknown = admin.get(&format!("{CHANGES}?after=999999")).await.ok();
    assert_eq!(unknown["isGap"], true);
    assert_eq!(unknown["place"], told["place"]);
    for bad in [
        "after=x",
        "after=-1",
        "after=%2B1",
        "waitSeconds=soon",
        "wait=1",
    ] {
        let refused = admin.get(&format!("{CHANGES}?{bad}")).await;
        refused.refused(400, "INVALID_REQUEST");
    }
    plane
        .stranger(None)
        .get(CHANGES)
        .await
        .refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_keep_nobody_from_working() {
    let limits = Limits {
        waits_max: 1,
        ..Limits::default()
    };
    let plane = Plane::start_with(limits).await;
    let admin = plane.admin().await;
    let begun = admin.get(CHANGES).await.ok();
    let (path, second) = (after(&begun, 25), after(&begun, 0));
    // Whoever is first waits; until then there is room.
    let refused = async {
        let mut answer = admin.get(&second).await;
        while answer.status == 200 {
            answer = admin.get(&second).await;
        }
        answer
    };
    let crowd = async {
        let refused = time::timeout(PATIENCE, refused).await.unwrap();
        refused.refused(429, "OVERLOADED");
        profiles::make(&admin, "web").await
    };
    let (told, _) = tokio::join!(time::timeout(PATIENCE, admin.get(&path)), crowd);
    assert_eq!(told.unwrap().ok()["changes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_wait_without_a_change_ends_in_time() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let begun = admin.get(CHANGES).await.ok();
    let path = after(&begun, 1);
    let told = time::timeout(Duration::from_secs(20), admin.get(&path));
    assert_eq!(told.await.unwrap().ok()["changes"], json!([]));
}
