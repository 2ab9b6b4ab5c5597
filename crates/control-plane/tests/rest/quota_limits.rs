//! Limits that administrators set for users of their organization.

use http::Method;
use palisade_model::quota::{Limits, Quota};
use palisade_model::tenant::{Role, SandboxQuota};
use palisade_store::{Organizations as _, SqliteStore};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::plane::{Answer, Caller, Plane};

const LIMITS: &str = "/v1beta2/sandbox/quota/limits";
const EACH_USER: &str = "/v1beta2/sandbox/quota/limits/each-user";
const ADA: &str = "/v1beta2/sandbox/quota/limits/users/ada";

/// What the operator gives acme: four CPUs for a sandbox, ten sandboxes.
async fn given(plane: &Plane) -> Caller<'_> {
    let admin = plane.admin().await;
    let quota = Quota {
        organization: Limits {
            sandbox: SandboxQuota {
                cpu: Some("4".parse().unwrap()),
                ..SandboxQuota::default()
            },
            sandboxes: Some(10),
            ..Limits::default()
        },
        ..Quota::default()
    };
    let acme = "acme".parse().unwrap();
    plane.store.update_quota(&acme, quota, None).await.unwrap();
    admin
}

async fn put(caller: &Caller<'_>, path: &str, limits: &Value) -> Answer {
    caller
        .send(Method::PUT, path, &[], limits.to_string())
        .await
}

async fn quota(store: &SqliteStore) -> Quota {
    let acme = "acme".parse().unwrap();
    store.get_organization(&acme).await.unwrap().quota
}

#[tokio::test]
async fn an_administrator_sets_the_limits_of_users() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    let each = json!({ "maxSandboxes": 3, "maxStartsPerMinute": 30 });
    let answer = put(&admin, EACH_USER, &each).await;
    let etag = answer.header("etag").unwrap().to_owned();
    let set = answer.ok();
    assert_eq!(set["eachUser"], each);
    assert_eq!(etag, format!("\"{}\"", set["etag"].as_str().unwrap()));
    let own = json!({ "maxCpu": "2500m", "maxSnapshotBytes": 1_u64 << 33 });
    put(&admin, ADA, &own).await.ok();
    let all = admin.get(LIMITS).await.ok();
    let given = json!({ "maxCpu": "4", "maxSandboxes": 10 });
    assert_eq!(all["organization"], given);
    assert_eq!(all["eachUser"], each);
    assert_eq!(all["users"], json!({ "ada": own }));
    // They hold from now on.
    let user = plane.user().await;
    let told = user.get("/v1beta2/sandbox/quota").await.ok();
    assert_eq!(told["user"]["maxCpu"], "2500m");
    let removed = admin.delete(ADA).await.ok();
    assert_eq!(removed["users"], json!({}));
    let told = user.get("/v1beta2/sandbox/quota").await.ok();
    assert_eq!(told["user"]["sandboxes"]["max"], 3);
    // Whoever has none of his own is none to be taken away from.
    let again = admin.delete(ADA).await.ok();
    assert_eq!(again["etag"], removed["etag"]);
}

#[tokio::test]
async fn what_is_beyond_the_organization_is_refused_with_limit_asked_and_allowed() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    let before = quota(&plane.store).await;
    let asked = json!({ "maxCpu": "5", "maxSandboxes": 11 });
    for path in [EACH_USER, ADA] {
        let refused = put(&admin, path, &asked).await;
        let message = refused.refused(400, "INVALID_REQUEST");
        assert!(message.contains("asks for 5"), "{message}");
        let fields = ["maxCpu FORBIDDEN", "maxSandboxes FORBIDDEN"];
        assert_eq!(refused.fields(), fields);
        let facts = &refused.detail("ErrorInfo")["metadata"];
        let told = ["limit", "scope", "asked", "allowed"].map(|key| facts[key].as_str().unwrap());
        assert_eq!(told, ["cpu", "organization", "5", "4"]);
    }
    assert_eq!(quota(&plane.store).await, before);
    put(&admin, ADA, &json!({ "maxCpu": "4", "maxSandboxes": 10 }))
        .await
        .ok();
}

#[tokio::test]
async fn what_the_operator_gives_is_not_set_here_and_users_set_nothing() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    let before = quota(&plane.store).await;
    let more = json!({ "maxSandboxes": 1000 });
    for path in [LIMITS, "/v1beta2/sandbox/quota"] {
        let refused = put(&admin, path, &more).await;
        refused.refused(405, "NOT_IMPLEMENTED");
    }
    let nowhere = put(&admin, "/v1beta2/sandbox/quota/limits/organization", &more).await;
    nowhere.refused(404, "RESOURCE_NOT_FOUND");
    let user = plane.user().await;
    for path in [EACH_USER, ADA] {
        let refused = put(&user, path, &json!({})).await;
        refused.refused(403, "PERMISSION_DENIED");
    }
    user.delete(ADA).await.refused(403, "PERMISSION_DENIED");
    user.get(LIMITS).await.refused(403, "PERMISSION_DENIED");
    assert_eq!(quota(&plane.store).await, before);
    // An administrator of another organization touches his own alone.
    let globex = plane.caller("globex", Role::SandboxAdmin).await;
    put(&globex, ADA, &more).await.ok();
    assert_eq!(quota(&plane.store).await, before);
}

#[tokio::test]
async fn a_change_from_an_older_state_is_refused() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    let first = admin.get(LIMITS).await.ok();
    let etag = first["etag"].as_str().unwrap();
    let from = |etag: &str| [("if-match", format!("\"{etag}\""))];
    let set = async |headers: &[(&str, String)], limits: Value| {
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let body = limits.to_string();
        admin.send(Method::PUT, ADA, &headers, body).await
    };
    let set_once = set(&from(etag), json!({ "maxSandboxes": 1 })).await.ok();
    let late = set(&from(etag), json!({ "maxSandboxes": 2 })).await;
    let message = late.refused(409, "ETAG_MISMATCH");
    assert!(message.contains("organization acme"), "{message}");
    let headers = [("if-match", etag)];
    let late = admin.send(Method::DELETE, ADA, &headers, "").await;
    late.refused(409, "ETAG_MISMATCH");
    assert_eq!(admin.get(LIMITS).await.ok(), set_once);
    let now = set_once["etag"].as_str().unwrap();
    set(&from(now), json!({ "maxSandboxes": 2 })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_once_none_is_lost() {
    let plane = std::sync::Arc::new(Plane::start().await);
    given(&plane).await;
    let mut rivals = JoinSet::new();
    for number in 0..4_u32 {
        let plane = plane.clone();
        rivals.spawn(async move {
            let admin = plane.admin().await;
            let path = format!("{LIMITS}/users/user-{number}");
            put(&admin, &path, &json!({ "maxSandboxes": number }))
                .await
                .ok();
        });
    }
    rivals.join_all().await;
    let users = quota(&plane.store).await.users;
    assert_eq!(users.len(), 4, "{users:?}");
}

#[tokio::test]
async fn a_change_can_be_tried_and_what_is_wrong_is_named() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    let before = quota(&plane.store).await;
    let path = format!("{ADA}?validateOnly=true");
    let tried = put(&admin, &path, &json!({ "maxGpus": 1 })).await.ok();
    assert_eq!(tried["users"]["ada"]["maxGpus"], 1);
    let wrong = put(&admin, ADA, &json!({ "maxCpus": "1", "maxGpus": "1" })).await;
    wrong.refused(400, "INVALID_REQUEST");
    assert_eq!(
        wrong.fields(),
        ["maxCpus UNKNOWN_FIELD", "maxGpus WRONG_TYPE"]
    );
    let nobody = put(&admin, &format!("{LIMITS}/users/a%20b"), &json!({})).await;
    nobody.refused(400, "INVALID_REQUEST");
    assert_eq!(nobody.fields(), ["user INVALID"]);
    assert_eq!(quota(&plane.store).await, before);
}

#[tokio::test]
async fn what_holds_already_is_not_refused_once_the_organization_has_less() {
    let plane = Plane::start().await;
    let admin = given(&plane).await;
    put(&admin, EACH_USER, &json!({ "maxSandboxes": 10 }))
        .await
        .ok();
    let mut less = quota(&plane.store).await;
    less.organization.sandboxes = Some(5);
    let acme = "acme".parse().unwrap();
    plane.store.update_quota(&acme, less, None).await.unwrap();
    let same = json!({ "maxSandboxes": 10, "maxCpu": "1" });
    for path in [EACH_USER, ADA] {
        put(&admin, path, &same).await.ok();
    }
    let refused = put(&admin, ADA, &json!({ "maxSandboxes": 9 })).await;
    refused.refused(400, "INVALID_REQUEST");
}
