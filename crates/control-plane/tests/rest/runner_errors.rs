//! Runners that are refused, and why.

use serde_json::json;

use crate::plane::{Plane, RUNNERS};
use crate::profiles;
use crate::runners::{draft, make, path};

#[tokio::test]
async fn a_second_runner_of_a_cluster_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let first = make(&admin, "local", &[&web]).await;
    for cluster in ["clusterName", "clusterId"] {
        let mut second = draft("second", &[&web]);
        let value = first["identity"][cluster].clone();
        second["runner"]["identity"] = json!({ "zone": "eu-1", cluster: value });
        let refused = admin.post(RUNNERS, &second).await;
        let message = refused.refused(409, "CLUSTER_HAS_RUNNER");
        assert_eq!(refused.body["code"], 6, "ALREADY_EXISTS");
        assert!(message.contains("runner local"), "{message}");
        second["validateOnly"] = json!(true);
        admin
            .post(RUNNERS, &second)
            .await
            .refused(409, "CLUSTER_HAS_RUNNER");
    }
}

#[tokio::test]
async fn a_runner_id_that_is_taken_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    make(&admin, "local", &[&web]).await;
    let mut second = draft("local", &[&web]);
    second["runner"]["identity"]["clusterName"] = json!("elsewhere");
    let refused = admin.post(RUNNERS, &second).await;
    refused.refused(409, "RUNNER_ID_TAKEN");
    second["validateOnly"] = json!(true);
    admin
        .post(RUNNERS, &second)
        .await
        .refused(409, "RUNNER_ID_TAKEN");
}

#[tokio::test]
async fn a_cluster_that_is_known_by_nobody_is_refused_by_its_id() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let mut new = draft("local", &[&web]);
    let id = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d";
    new["runner"]["identity"] = json!({ "zone": "eu-1", "clusterId": id });
    let refused = admin.post(RUNNERS, &new).await;
    refused.refused(400, "INVALID_REQUEST");
    assert_eq!(refused.fields(), ["runner.identity.clusterId INVALID"]);
}

#[tokio::test]
async fn what_never_changes_is_not_changed() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let made = make(&admin, "local", &[&web]).await;
    let changes = [
        ("runnerId", "other"),
        ("clusterName", "elsewhere"),
        ("clusterId", "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d"),
    ];
    for (field, value) in changes {
        let refused = admin
            .patch(&path("local"), &json!({ "identity": { field: value } }))
            .await;
        refused.refused(400, "INVALID_REQUEST");
        assert_eq!(refused.fields(), [format!("identity.{field} IMMUTABLE")]);
    }
    assert_eq!(admin.get(&path("local")).await.ok(), made);
}

#[tokio::test]
async fn unknown_fields_are_refused_with_what_was_meant() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let mut new = draft("local", &[&web]);
    new["runner"]["managedSpec"]["relaeseChannel"] = json!("RELEASE_CHANNEL_RAPID");
    new["runner"]["profileBindings"][0]["isDefalt"] = json!(true);
    let refused = admin.post(RUNNERS, &new).await;
    refused.refused(400, "INVALID_REQUEST");
    let fields = refused.fields();
    assert!(
        fields.contains(&"runner.managedSpec.relaeseChannel UNKNOWN_FIELD".to_owned()),
        "{fields:?}"
    );
    assert!(
        fields.contains(&"runner.profileBindings[0].isDefalt UNKNOWN_FIELD".to_owned()),
        "{fields:?}"
    );
    let text = refused.body.to_string();
    assert!(text.contains("did you mean releaseChannel?"), "{text}");
    assert!(text.contains("did you mean isDefault?"), "{text}");
    admin
        .get(&path("local"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
}

#[tokio::test]
async fn a_runner_that_is_not_there_is_told_with_the_nearest_id() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    make(&admin, "local", &[&web]).await;
    let message = admin
        .get(&path("locla"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
    assert!(message.contains("did you mean local?"), "{message}");
    for missing in ["Not%20A%20Label", "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d"] {
        admin
            .patch(&path(missing), &json!({}))
            .await
            .refused(404, "RUNNER_NOT_FOUND");
        admin
            .delete(&path(missing))
            .await
            .refused(404, "RUNNER_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_runner_that_enforces_limits_takes_no_profile_without_them() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    // It has a limit on memory and none on CPU.
    let web = profiles::make(&admin, "web").await;
    let mut new = draft("local", &[&web]);
    new["runner"]["managedSpec"]["enforceResourceLimits"] = json!(true);
    let message = admin
        .post(RUNNERS, &new)
        .await
        .refused(400, "INVALID_REQUEST");
    assert!(message.contains("cpuLimit"), "{message}");
    let overrides = json!({ "resource_defaults": { "cpuLimit": "2" } });
    new["runner"]["profileBindings"][0]["overridesJson"] = json!(overrides.to_string());
    admin.post(RUNNERS, &new).await.ok();
    // Nor may the profile lose what it needs there later.
    let spec = json!({ "spec": {} });
    let message = admin
        .patch(&profiles::path(&web), &spec)
        .await
        .refused(400, "INVALID_REQUEST");
    assert!(message.contains("runner local"), "{message}");
}
