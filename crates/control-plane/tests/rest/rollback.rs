//! Going back to what an earlier revision said.

use serde_json::{Value, json};

use crate::plane::{Caller, Plane, RUNNERS};
use crate::profiles::{make, path};
use crate::runners;

async fn rolled(admin: &Caller<'_>, profile: &Value, to: u32, query: &str) -> crate::plane::Answer {
    let path = format!("{}/revisions/{to}/rollback{query}", path(profile));
    admin.post(&path, &json!({})).await
}

#[tokio::test]
async fn a_rollback_is_a_new_revision_that_says_what_the_old_one_said() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = make(&admin, "web").await;
    let change = json!({ "description": "second", "spec": {}, "labels": { "a": "b" } });
    admin.patch(&path(&first), &change).await.ok();
    let tried = rolled(&admin, &first, 1, "?validateOnly=true").await.ok();
    assert_eq!(tried["revision"], 3);
    assert_eq!(admin.get(&path(&first)).await.ok()["revision"], 2);
    let back = rolled(&admin, &first, 1, "").await.ok();
    assert_eq!(back["revision"], 3);
    for field in ["description", "spec", "labels", "displayName", "id"] {
        assert_eq!(back[field], first[field], "{field}");
    }
    // What it says already makes no revision.
    assert_eq!(rolled(&admin, &first, 3, "").await.ok()["revision"], 3);
}

#[tokio::test]
async fn a_rollback_that_a_runner_could_not_offer_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = make(&admin, "web").await;
    let limits =
        json!({ "spec": { "resourceDefaults": { "cpuLimit": "1", "memoryLimit": "1Gi" } } });
    admin.patch(&path(&first), &limits).await.ok();
    let mut draft = runners::draft("local", &[&first]);
    draft["runner"]["managedSpec"]["enforceResourceLimits"] = json!(true);
    admin.post(RUNNERS, &draft).await.ok();
    let refused = rolled(&admin, &first, 1, "").await;
    let message = refused.refused(400, "INVALID_REQUEST");
    assert!(message.contains("local"), "{message}");
    assert_eq!(admin.get(&path(&first)).await.ok()["revision"], 2);
}

#[tokio::test]
async fn only_administrators_of_the_organization_go_back() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = make(&admin, "web").await;
    let user = plane.user().await;
    rolled(&user, &first, 1, "")
        .await
        .refused(403, "PERMISSION_DENIED");
    let other = plane
        .caller("other", palisade_model::tenant::Role::SandboxAdmin)
        .await;
    rolled(&other, &first, 1, "")
        .await
        .refused(404, "PROFILE_NOT_FOUND");
    rolled(&admin, &first, 9, "")
        .await
        .refused(404, "PROFILE_NOT_FOUND");
    let stale = [("if-match", "\"9-0\"")];
    let path = format!("{}/revisions/1/rollback", path(&first));
    let refused = admin.send(http::Method::POST, &path, &stale, "").await;
    refused.refused(409, "ETAG_MISMATCH");
}
