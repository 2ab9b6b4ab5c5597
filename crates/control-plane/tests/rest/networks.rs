//! What a runner makes of the network of a profile.

use palisade_model::policy::Surroundings;
use palisade_store::Runners as _;
use serde_json::{Value, json};

use crate::plane::{PROFILES, Plane};
use crate::runners;

fn profile(modes: &Value) -> Value {
    json!({"display_name": "web", "spec": {"network": {
        "egress": {"default": "closed", "modes": modes},
        "ingress": {"team": {"scope": "org", "service": {"serviceType": "ClusterIP"}}},
    }}})
}

#[tokio::test]
async fn the_network_of_a_profile_is_told_with_what_lies_around() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let modes = json!({"closed": {"type": "none"}});
    let web = admin.post(PROFILES, &profile(&modes)).await.ok();
    runners::make(&admin, "local", &[&web]).await;
    let path = format!("{}/network?profile=web", runners::path("local"));

    let refused = admin.get(&path).await;
    assert_eq!(refused.status, 503, "it is not connected");
    let runner = plane
        .store
        .get_runner(&"acme".parse().unwrap(), &"local".parse().unwrap())
        .await
        .unwrap();
    let here = Surroundings {
        host: vec!["192.0.2.7/32".parse().unwrap()],
        sandboxes: vec!["10.201.0.0/16".parse().unwrap()],
        ..Surroundings::default()
    };
    plane.live.surround(runner.uid, here);

    let told = admin.get(&path).await.ok();
    assert_eq!(told["profileTemplateId"], web["id"]);
    assert_eq!(told["profileName"], "web");
    assert_eq!(told["runnerId"], "local");
    assert_eq!(told["network"]["egress"]["modes"], modes);
    assert_eq!(told["network"]["ingress"]["team"]["scope"], "org");
    let around = json!({"host": ["192.0.2.7/32"], "sandboxes": ["10.201.0.0/16"], "control": [], "cluster": []});
    assert_eq!(told["surroundings"], around);
    let id = web["id"].as_str().unwrap();
    let by_id = format!("{}/network?profile={id}", runners::path("local"));
    assert_eq!(admin.get(&by_id).await.ok(), told);
}

#[tokio::test]
async fn the_network_is_for_those_who_keep_profiles() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let modes = json!({"closed": {"type": "none"}});
    let web = admin.post(PROFILES, &profile(&modes)).await.ok();
    runners::make(&admin, "local", &[&web]).await;
    let path = |rest: &str| format!("{}/network{rest}", runners::path("local"));
    let user = plane.user().await;
    assert_eq!(user.get(&path("?profile=web")).await.status, 403);
    assert_eq!(admin.get(&path("")).await.status, 400);
    assert_eq!(admin.get(&path("?profile=")).await.status, 400);
    assert_eq!(admin.get(&path("?profil=web")).await.status, 400);
    let other = admin.get(&path("?profile=other")).await;
    assert_eq!(other.status, 404);
    let elsewhere = format!("{}/network?profile=web", runners::path("else"));
    assert_eq!(admin.get(&elsewhere).await.status, 404);
}
