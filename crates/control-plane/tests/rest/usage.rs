//! Who offers a profile, and what lives under it.

use palisade_model::profile::Revision;
use palisade_model::tenant::Role;
use palisade_store::conformance::fixture::Fleet;
use palisade_store::{Profiles as _, Runners as _};
use serde_json::json;

use crate::plane::Plane;
use crate::{profiles, runners};

#[tokio::test]
async fn usage_tells_bindings_and_live_sandboxes() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let batch = profiles::make(&admin, "batch").await;
    runners::make(&admin, "local", &[&web, &batch]).await;
    let acme = "acme".parse().unwrap();
    let web_id: palisade_model::id::ProfileId = web["id"].as_str().unwrap().parse().unwrap();
    let fleet = Fleet {
        quota: Revision::FIRST,
        profile: plane
            .store
            .get_profile(&acme, &web_id.into())
            .await
            .unwrap(),
        runner: plane
            .store
            .get_runner(&acme, &"local".parse().unwrap())
            .await
            .unwrap(),
        organization: acme,
    };
    let sandbox = fleet.start(&*plane.store).await;
    let over = fleet.start(&*plane.store).await;
    fleet.end(&*plane.store, over.id).await;

    let user = plane.user().await;
    let usage = user
        .get(&format!("{}/usage", profiles::path(&web)))
        .await
        .ok();
    assert_eq!(usage["bindings"][0]["runnerId"], "local");
    assert_eq!(usage["bindings"][0]["binding"]["isDefault"], true);
    assert_eq!(usage["liveSandboxes"], 1);
    let part = json!([{
        "runnerId": "local", "profileTemplateId": web["id"], "profileName": "web",
        "liveSandboxes": 1, "sandboxIds": [sandbox.id.to_string()],
    }]);
    assert_eq!(usage["parts"], part);
    let usage = user
        .get(&format!("{}/usage", profiles::path(&batch)))
        .await
        .ok();
    assert_eq!(
        (&usage["liveSandboxes"], &usage["parts"]),
        (&json!(0), &json!([]))
    );
    let usage = user
        .get(&format!("{}/usage", runners::path("local")))
        .await
        .ok();
    assert_eq!(usage["bindings"].as_array().unwrap().len(), 2);
    assert_eq!(usage["parts"], part);
}

#[tokio::test]
async fn usage_of_another_organization_is_not_found() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    runners::make(&admin, "local", &[&web]).await;
    let other = plane.caller("other", Role::SandboxAdmin).await;
    let path = format!("{}/usage", profiles::path(&web));
    other.get(&path).await.refused(404, "PROFILE_NOT_FOUND");
    let path = format!("{}/usage", runners::path("local"));
    other.get(&path).await.refused(404, "RUNNER_NOT_FOUND");
    plane
        .stranger(None)
        .get(&path)
        .await
        .refused(401, "UNAUTHENTICATED");
}
