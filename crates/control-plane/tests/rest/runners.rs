//! What can be done with runners.

use serde_json::{Value, json};

use crate::plane::{Caller, Plane, RUNNERS};
use crate::profiles;

/// A runner for the cluster of its own name that offers the profiles, the first
/// as the default.
pub(crate) fn draft(id: &str, offered: &[&Value]) -> Value {
    let bindings = offered.iter().enumerate().map(
        |(place, profile)| json!({ "profileTemplateId": profile["id"], "isDefault": place == 0 }),
    );
    json!({
        "runnerId": id,
        "runner": {
            "displayName": format!("Runner {id}"),
            "identity": { "zone": "eu-1", "clusterName": format!("cluster-of-{id}") },
            "managedSpec": { "releaseChannel": "RELEASE_CHANNEL_STABLE" },
            "profileBindings": bindings.collect::<Vec<_>>(),
        },
    })
}

pub(crate) async fn make(admin: &Caller<'_>, id: &str, offered: &[&Value]) -> Value {
    admin.post(RUNNERS, &draft(id, offered)).await.ok()
}

pub(crate) fn path(id: &str) -> String {
    format!("{RUNNERS}/{id}")
}

#[tokio::test]
async fn a_runner_is_found_by_uid_and_by_id() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let made = make(&admin, "local", &[&web]).await;
    assert_eq!(made["identity"]["runnerId"], "local");
    assert_eq!(made["identity"]["clusterName"], "cluster-of-local");
    assert_eq!(made["managementMode"], "MANAGEMENT_MODE_MANAGED");
    assert_eq!(made["profileBindings"][0]["profileTemplateId"], web["id"]);
    assert_eq!(made["targetRevision"], 1);
    let user = plane.user().await;
    assert_eq!(user.get(&path("local")).await.ok(), made);
    let uid = made["id"].as_str().unwrap();
    assert_eq!(user.get(&path(uid)).await.ok(), made);
}

#[tokio::test]
async fn runners_are_listed_page_by_page_and_by_cluster_and_zone() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    for id in ["c", "a", "b"] {
        make(&admin, id, &[&web]).await;
    }
    let patch = json!({ "identity": { "zone": "US-2" } });
    admin.patch(&path("b"), &patch).await.ok();
    let ids = |page: &Value| {
        let list = page["managedRunners"].as_array().unwrap().clone();
        let ids = list
            .iter()
            .map(|each| each["identity"]["runnerId"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let first = admin.get(&format!("{RUNNERS}?pageSize=2")).await.ok();
    assert_eq!(ids(&first), ["a", "b"]);
    let token = first["nextPageToken"].as_str().unwrap();
    let second = admin
        .get(&format!("{RUNNERS}?pageSize=2&pageToken={token}"))
        .await
        .ok();
    assert_eq!(
        (ids(&second), &second["nextPageToken"]),
        (vec!["c".to_owned()], &json!(""))
    );
    let filters = [
        ("cluster=cluster-of-c", vec!["c"]),
        ("zone=us-2", vec!["b"]),
        ("zone=EU-1&cluster=cluster-of-a", vec!["a"]),
        ("cluster=none", vec![]),
    ];
    for (filter, expected) in filters {
        let page = admin.get(&format!("{RUNNERS}?{filter}")).await.ok();
        assert_eq!(ids(&page), expected, "{filter}");
    }
    let foreign = admin
        .get(&format!("{}?pageToken={token}", crate::plane::PROFILES))
        .await;
    foreign.refused(400, "INVALID_REQUEST");
    let filtered = format!("{RUNNERS}?zone=us-2&pageToken={token}");
    let message = admin.get(&filtered).await;
    let message = message.refused(400, "INVALID_REQUEST");
    assert!(message.contains("filter"), "{message}");
}

#[tokio::test]
async fn an_update_replaces_what_the_mask_names() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let made = make(&admin, "local", &[&web]).await;
    let runner = json!({
        "displayName": "Renamed",
        "identity": { "zone": "us-2", "runnerGroupId": "gpu" },
        "managedSpec": { "releaseChannel": "RELEASE_CHANNEL_RAPID" },
    });
    let body = json!({ "runner": runner, "updateMask": "identity.zone" });
    let updated = admin.patch(&path("local"), &body).await.ok();
    assert_eq!(updated["identity"]["zone"], "us-2");
    assert_eq!(updated["displayName"], made["displayName"]);
    assert_eq!(updated["targetRevision"], 2);
    let mask = "display_name,identity.runner_group_id,managed_spec.release_channel";
    let body = json!({ "runner": runner, "updateMask": mask });
    let updated = admin.patch(&path("local"), &body).await.ok();
    assert_eq!(updated["displayName"], "Renamed");
    assert_eq!(updated["identity"]["runnerGroupId"], "gpu");
    assert_eq!(
        updated["managedSpec"]["releaseChannel"],
        "RELEASE_CHANNEL_RAPID"
    );
    assert_eq!(updated["profileBindings"], made["profileBindings"]);
    assert_eq!(admin.get(&path("local")).await.ok(), updated);
}

#[tokio::test]
async fn trying_a_runner_only_changes_nothing() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let tried = admin
        .post(
            &format!("{RUNNERS}?validateOnly=1"),
            &draft("local", &[&web]),
        )
        .await;
    assert_eq!(tried.ok()["id"], "");
    admin
        .get(&path("local"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
    let made = make(&admin, "local", &[&web]).await;
    let body = json!({ "runner": { "displayName": "x" }, "validateOnly": true });
    assert_eq!(
        admin.patch(&path("local"), &body).await.ok()["displayName"],
        "x"
    );
    admin
        .delete(&format!("{}?validateOnly=true", path("local")))
        .await
        .ok();
    assert_eq!(admin.get(&path("local")).await.ok(), made);
}

#[tokio::test]
async fn deleting_a_runner_frees_its_id_its_cluster_and_its_profiles() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let first = make(&admin, "local", &[&web]).await;
    assert_eq!(admin.delete(&path("local")).await.ok(), json!({}));
    admin
        .get(&path("local"))
        .await
        .refused(404, "RUNNER_NOT_FOUND");
    let second = make(&admin, "local", &[&web]).await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(
        second["identity"]["clusterId"],
        first["identity"]["clusterId"]
    );
    admin.delete(&path("local")).await.ok();
    admin.delete(&profiles::path(&web)).await.ok();
}

#[tokio::test]
async fn there_is_no_update_to_apply() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let made = make(&admin, "local", &[&web]).await;
    let applied = admin
        .post(&format!("{}/apply-update", path("local")), &json!({}))
        .await
        .ok();
    assert_eq!(applied["updateStarted"], false);
    assert_eq!(applied["runner"], made);
}
