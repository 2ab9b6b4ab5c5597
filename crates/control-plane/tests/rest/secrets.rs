//! Putting secrets in, and what is told of them.

use http::{Method, StatusCode};
use palisade_model::clock::Timestamp;
use palisade_model::id::SecretStoreId;
use palisade_model::tenant::Role;
use palisade_store::SecretStores as _;
use palisade_store::secret::SecretStoreRecord;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::plane::{Caller, Plane};

const SECRETS: &str = "/v1beta2/sandbox/secret-stores/team/secrets";

/// A store `team` of acme.
async fn stored(plane: &Plane) {
    plane.admin().await;
    let store = SecretStoreRecord {
        id: SecretStoreId::new(Uuid::now_v7()),
        organization: "acme".parse().unwrap(),
        name: "team".parse().unwrap(),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    };
    plane.store.create_secret_store(store, 10).await.unwrap();
}

async fn put(caller: &Caller<'_>, body: Value) -> (StatusCode, Value) {
    let answer = caller
        .send(Method::PUT, SECRETS, &[], body.to_string())
        .await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_value_goes_in_and_only_its_name_comes_out() {
    let plane = Plane::start().await;
    stored(&plane).await;
    let admin = plane.admin().await;
    let (status, first) = put(
        &admin,
        json!({ "path": "db", "field": "password", "value": "hunter2" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let (status, second) = put(
        &admin,
        json!({ "path": "db", "field": "password", "valueBase64": "AA==" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(first["createdAt"], second["createdAt"]);
    assert_ne!(first["updatedAt"], second["updatedAt"]);
    put(&admin, json!({ "path": "a/b", "value": "hunter2" })).await;
    let user = plane.user().await;
    let page = user.get(&format!("{SECRETS}?pageSize=1")).await.ok();
    assert_eq!(page["secrets"][0]["path"], "a/b");
    let token = page["nextPageToken"].as_str().unwrap();
    let rest = user.get(&format!("{SECRETS}?pageToken={token}")).await.ok();
    assert_eq!(rest["secrets"][0]["field"], "password");
    assert_eq!(rest["nextPageToken"], "");
    for told in [first, second, page, rest] {
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }
    let path = format!("{SECRETS}?path=db&field=password");
    admin.send(Method::DELETE, &path, &[], "").await.ok();
    let gone = admin.send(Method::DELETE, &path, &[], "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn writing_is_for_administrators_and_nothing_is_for_others() {
    let plane = Plane::start().await;
    stored(&plane).await;
    let user = plane.user().await;
    let body = json!({ "path": "a", "value": "x" });
    assert_eq!(put(&user, body.clone()).await.0, StatusCode::FORBIDDEN);
    let path = format!("{SECRETS}?path=a");
    let deleted = user.send(Method::DELETE, &path, &[], "").await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN);
    let stranger = plane.caller("other", Role::SandboxAdmin).await;
    assert_eq!(put(&stranger, body).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(SECRETS).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_is_refused_without_the_value() {
    let plane = Plane::start().await;
    stored(&plane).await;
    let admin = plane.admin().await;
    for body in [
        json!({ "value": "hunter2" }),
        json!({ "path": "/a", "value": "hunter2" }),
        json!({ "path": "a", "valueBase64": "hunter2" }),
        json!({ "path": "a", "value": "hunter2", "more": "hunter2" }),
        json!({ "path": "a", "value": "hunter2".repeat(10_000) }),
    ] {
        let (status, told) = put(&admin, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }
    let absent = SECRETS.replace("team", "absent");
    let body = json!({ "path": "a", "value": "x" }).to_string();
    let answer = admin.send(Method::PUT, &absent, &[], body).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
