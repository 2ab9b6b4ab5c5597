//! What placement would do, now and after a change.

use palisade_model::placement::{Live, Presence};
use palisade_model::tenant::Role;
use palisade_model::testing::fleet::sample_live;
use palisade_store::Runners as _;
use serde_json::{Value, json};

use crate::plane::{Caller, Plane};
use crate::{profiles, runners};

const EXPLAIN: &str = "/v1beta2/sandbox/placement/explain";

/// A runner that is there, with two profiles.
async fn connected(plane: &Plane, admin: &Caller<'_>) -> (Value, Value) {
    let web = profiles::make(admin, "web").await;
    let open = json!({ "displayName": "open", "spec": {
        "containerImage": "python:3.11",
        "resourceCeiling": { "cpu": "4" },
        "networkConfigJson": "{\"egress\":{\"default\":\"internet\",\"modes\":{\"internet\":{\"type\":\"internet\"}}}}",
    } });
    let open = admin.post(crate::plane::PROFILES, &open).await.ok();
    runners::make(admin, "local", &[&open, &web]).await;
    say(plane, "local", &live()).await;
    (open, web)
}

/// What the profiles of these tests need.
fn live() -> Live {
    let mut live = sample_live();
    let report = std::sync::Arc::make_mut(live.report.as_mut().unwrap());
    report.capabilities.instance_types = ["a".to_owned()].into();
    live
}

async fn say(plane: &Plane, runner: &str, live: &Live) {
    let acme = "acme".parse().unwrap();
    let reference = runner.parse().unwrap();
    let runner = plane.store.get_runner(&acme, &reference).await.unwrap();
    plane.live.say(&runner, live);
}

#[tokio::test]
async fn a_quota_that_is_used_up_refuses_what_placement_would_admit() {
    use palisade_model::quota::{Limits, Quota};
    use palisade_store::Organizations as _;
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    connected(&plane, &admin).await;
    let answer = admin.post(EXPLAIN, &json!({})).await.ok();
    assert_eq!(answer["isAdmitted"], true);
    assert_eq!(answer["quota"]["organization"]["sandboxes"]["used"], 0);
    let quota = Quota {
        organization: Limits {
            sandboxes: Some(0),
            ..Limits::default()
        },
        ..Quota::default()
    };
    let acme = "acme".parse().unwrap();
    plane.store.update_quota(&acme, quota, None).await.unwrap();
    let answer = admin.post(EXPLAIN, &json!({})).await.ok();
    assert_eq!(answer["isAdmitted"], false);
    assert_eq!(answer["refusal"]["reason"], "CWSANDBOX_QUOTA_EXCEEDED");
    assert_eq!(answer["quota"]["organization"]["sandboxes"]["max"], 0);
    assert!(answer.get("winner").is_none());
}

#[tokio::test]
async fn an_admitted_request_is_told_where_it_goes_and_what_it_gets() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let (open, _) = connected(&plane, &admin).await;
    let user = plane.user().await;
    let request = json!({ "resource_requests": { "cpu": "1" }, "resourceLimits": { "cpu": "2" } });
    let answer = user.post(EXPLAIN, &request).await.ok();
    assert_eq!(answer["isAdmitted"], true, "{answer:#}");
    let winner = &answer["winner"];
    assert_eq!(winner["runnerId"], "local");
    assert_eq!(winner["profileTemplateId"], open["id"]);
    assert_eq!(winner["egressMode"], "internet");
    assert_eq!(winner["resources"]["cpuLimit"], "2");
    let candidates = answer["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert_eq!(candidates[0]["isWinner"], true);
    assert_eq!(
        candidates[0]["checks"][0],
        json!({ "constraint": "runner_selector", "verdict": "met" })
    );
    assert_eq!(candidates[1]["isAdmissible"], true);
}

#[tokio::test]
async fn a_refused_request_is_told_what_each_candidate_lacks_and_what_would_fit() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    connected(&plane, &admin).await;
    let request = json!({ "profile_names": ["open"], "network": { "egress_mode": "deny-all" } });
    let answer = admin.post(EXPLAIN, &request).await.ok();
    assert_eq!(answer["isAdmitted"], false);
    assert_eq!(answer["winner"], Value::Null);
    assert_eq!(answer["refusal"]["reason"], "CWSANDBOX_PROFILE_MISMATCH");
    assert_eq!(answer["refusal"]["code"], "FAILED_PRECONDITION");
    let [open, web] = &answer["candidates"].as_array().unwrap()[..] else {
        panic!("{answer:#}");
    };
    let unmet =
        json!({ "constraint": "egress_mode", "requested": "deny-all", "allowed": "internet" });
    assert_eq!(open["firstUnmet"], unmet);
    assert_eq!(open["closest"]["words"], "choose egress mode internet");
    assert_eq!(
        open["closest"]["fields"],
        json!({ "network.egress_mode": "internet" })
    );
    assert_eq!(web["firstUnmet"]["constraint"], "profile_selector");
    assert_eq!(web["closest"]["words"], "name profile web");
}

#[tokio::test]
async fn what_was_just_written_and_who_went_away_is_seen() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let (open, _) = connected(&plane, &admin).await;
    let request = json!({ "profile_names": ["open"], "resources": { "cpu": "3" } });
    assert_eq!(admin.post(EXPLAIN, &request).await.ok()["isAdmitted"], true);
    let change =
        json!({ "spec": { "containerImage": "python:3.11", "resourceCeiling": { "cpu": "2" } } });
    admin.patch(&profiles::path(&open), &change).await.ok();
    let answer = admin.post(EXPLAIN, &request).await.ok();
    let first = &answer["candidates"][0]["firstUnmet"];
    assert_eq!(
        (&first["constraint"], &first["allowed"]),
        (&json!("cpu_ceiling"), &json!("2"))
    );
    let away = Live {
        presence: Presence::Lost,
        ..live()
    };
    say(&plane, "local", &away).await;
    let answer = admin.post(EXPLAIN, &json!({})).await.ok();
    assert_eq!(answer["refusal"]["code"], "UNAVAILABLE");
    assert_eq!(
        answer["candidates"][0]["firstUnmet"]["constraint"],
        "connected"
    );
}

#[tokio::test]
async fn another_organization_sees_no_candidate_of_ours() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    connected(&plane, &admin).await;
    let other = plane.caller("other", Role::SandboxAdmin).await;
    let answer = other
        .post(EXPLAIN, &json!({ "profile_names": ["open"] }))
        .await
        .ok();
    assert_eq!(answer["candidates"], json!([]));
    assert!(!answer.to_string().contains("local"), "{answer:#}");
    plane
        .stranger(None)
        .post(EXPLAIN, &json!({}))
        .await
        .refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_request_that_is_wrong_in_itself_is_refused_field_by_field() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let request = json!({ "resources": { "cpu": "lots" }, "network": { "exposedPorts": [80] } });
    let refused = admin.post(EXPLAIN, &request).await;
    refused.refused(400, "INVALID_REQUEST");
    assert!(
        refused.fields()[0].starts_with("resources.cpu "),
        "{:?}",
        refused.fields()
    );
    let request = json!({ "network": { "exposedPorts": [80] } });
    let refused = admin.post(EXPLAIN, &request).await;
    refused.refused(400, "INVALID_REQUEST");
    assert!(
        refused.fields()[0].starts_with("network."),
        "{:?}",
        refused.fields()
    );
    let unknown = admin.post(EXPLAIN, &json!({ "mounted_file": [] })).await;
    unknown.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn every_field_of_a_resolved_profile_has_its_layer() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let mut draft = runners::draft("local", &[&web]);
    let runner = &mut draft["runner"];
    runner["managedSpec"]["zoneDefaults"] =
        json!({ "runtimeClass": "gvisor", "containerImage": "x:1" });
    runner["profileBindings"][0]["overridesJson"] =
        json!("{\"resource_defaults\":{\"cpuRequest\":\"250m\"}}");
    admin.post(crate::plane::RUNNERS, &draft).await.ok();
    let user = plane.user().await;
    let path = format!("{}/resolved?runner=local", profiles::path(&web));
    let answer = user.get(&path).await.ok();
    assert_eq!(
        (&answer["profileName"], &answer["profileRevision"]),
        (&json!("web"), &json!(1))
    );
    let field = |path: &str| {
        let fields = answer["fields"].as_array().unwrap();
        let found = fields.iter().find(|field| field["path"] == path);
        found.unwrap_or_else(|| panic!("no {path} in {answer:#}"))
    };
    for (path, value, layer, is_request_default) in [
        ("runtime_class", json!("gvisor"), "zone_defaults", false),
        ("container_image", json!("python:3.11"), "profile", true),
        (
            "resource_defaults.cpuRequest",
            json!("250m"),
            "binding",
            true,
        ),
        ("network.egress.default", json!("deny-all"), "profile", true),
        ("instance_types", json!(["b", "a"]), "profile", false),
        ("namespace.strategy", json!("per-user"), "built_in", false),
    ] {
        let field = field(path);
        assert_eq!(field["value"], value, "{path}");
        assert_eq!(field["layer"], layer, "{path}");
        assert_eq!(field["isRequestDefault"], is_request_default, "{path}");
    }
    assert_eq!(
        field("container_image")["source"],
        "profile \"web\", revision 1"
    );
}

#[tokio::test]
async fn what_a_runner_does_not_bind_it_does_not_explain() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let other = profiles::make(&admin, "other").await;
    runners::make(&admin, "local", &[&web]).await;
    let path = format!("{}/resolved", profiles::path(&other));
    admin.get(&path).await.refused(400, "INVALID_REQUEST");
    let refused = admin.get(&format!("{path}?runner=local")).await;
    let message = refused.refused(400, "PROFILE_MISMATCH");
    assert!(message.contains("does not bind"), "{message}");
    let foreign = plane.caller("foreign", Role::SandboxAdmin).await;
    let path = format!("{}/resolved?runner=local", profiles::path(&web));
    foreign.get(&path).await.refused(404, "PROFILE_NOT_FOUND");
}

#[tokio::test]
async fn a_preview_tells_what_a_change_would_do_and_changes_nothing() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let (open, web) = connected(&plane, &admin).await;
    let path = format!("{}/preview", profiles::path(&open));
    let change = json!({ "profileTemplate": { "spec": { "containerImage": "x:1" } } });
    let answer = admin.post(&path, &change).await.ok();
    let candidates = answer["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0]["isAdmissible"], true, "{answer:#}");
    let change = json!({ "spec": { "resourceDefaults": { "cpuRequest": "64" } } });
    let answer = admin.post(&path, &change).await.ok();
    let first = &answer["candidates"][0]["firstUnmet"];
    assert_eq!(first["constraint"], "image", "{answer:#}");
    assert_eq!(admin.get(&profiles::path(&open)).await.ok()["revision"], 1);
    plane
        .user()
        .await
        .post(&path, &change)
        .await
        .refused(403, "PERMISSION_DENIED");

    let path = format!("{}/preview", runners::path("local"));
    let bindings = json!([{ "profileTemplateId": web["id"], "isDefault": true }]);
    let answer = admin
        .post(&path, &json!({ "profileBindings": bindings }))
        .await
        .ok();
    let candidates = answer["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0]["profileName"], "web");
    let kept = admin.get(&runners::path("local")).await.ok();
    assert_eq!(kept["profileBindings"].as_array().unwrap().len(), 2);
}
