//! Lists of bindings, replaced as a whole or not at all.

use serde_json::{Value, json};

use crate::plane::{Caller, Plane, RUNNERS};
use crate::profiles;
use crate::runners::{draft, make, path};

fn binding(profile: &Value, is_default: bool) -> Value {
    json!({ "profileTemplateId": profile["id"], "isDefault": is_default })
}

async fn rebind(admin: &Caller<'_>, bindings: Value) -> crate::plane::Answer {
    let body =
        json!({ "runner": { "profileBindings": bindings }, "updateMask": "profile_bindings" });
    admin.patch(&path("local"), &body).await
}

#[tokio::test]
async fn a_bound_profile_is_not_deleted_and_the_refusal_names_its_runners() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    make(&admin, "local", &[&web]).await;
    make(&admin, "a-second", &[&web]).await;
    for query in ["", "?validateOnly=true"] {
        let refused = admin
            .delete(&format!("{}{query}", profiles::path(&web)))
            .await;
        let message = refused.refused(409, "PROFILE_IN_USE");
        assert!(message.contains("a-second, local"), "{message}");
        let metadata = &refused.detail("ErrorInfo")["metadata"];
        assert_eq!(metadata["runners"], "a-second,local");
        assert_eq!(metadata["profile_template_id"], web["id"]);
    }
    admin.get(&profiles::path(&web)).await.ok();
}

#[tokio::test]
async fn a_list_that_breaks_a_rule_changes_nothing() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let batch = profiles::make(&admin, "batch").await;
    let made = make(&admin, "local", &[&web]).await;
    let unknown = json!({ "id": "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d" });
    let alias = |name: &str| json!({ "profileTemplateId": batch["id"], "profileName": name });
    let lists = [
        (json!([]), "at least one"),
        (
            json!([binding(&web, false), binding(&batch, false)]),
            "exactly one",
        ),
        (
            json!([binding(&web, true), binding(&batch, true)]),
            "second default",
        ),
        (
            json!([binding(&web, true), binding(&web, false)]),
            "a second time",
        ),
        (json!([binding(&web, true), alias("web")]), "a second time"),
    ];
    for (list, told) in lists {
        let refused = rebind(&admin, list).await;
        let message = refused.refused(400, "INVALID_REQUEST");
        assert!(message.contains(told), "{message}");
        assert_eq!(admin.get(&path("local")).await.ok(), made);
    }
    let list = json!([binding(&batch, true), binding(&unknown, false)]);
    let refused = rebind(&admin, list).await;
    refused.refused(400, "BOUND_PROFILE_NOT_FOUND");
    let fields = refused.fields();
    assert_eq!(
        fields,
        ["runner.profileBindings[1].profileTemplateId INVALID"]
    );
    assert_eq!(admin.get(&path("local")).await.ok(), made);
}

#[tokio::test]
async fn a_list_is_replaced_as_a_whole() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let batch = profiles::make(&admin, "batch").await;
    make(&admin, "local", &[&web]).await;
    let list = json!([binding(&batch, true)]);
    let updated = rebind(&admin, list).await.ok();
    assert_eq!(updated["profileBindings"].as_array().unwrap().len(), 1);
    assert_eq!(
        updated["profileBindings"][0]["profileTemplateId"],
        batch["id"]
    );
    admin.delete(&profiles::path(&web)).await.ok();
    admin
        .delete(&profiles::path(&batch))
        .await
        .refused(409, "PROFILE_IN_USE");
}

#[tokio::test]
async fn a_profile_can_be_bound_by_its_name_and_under_an_alias() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let mut new = draft("local", &[&web]);
    new["runner"]["profileBindings"] =
        json!([{ "profileTemplateId": "web", "profileName": "the web", "isDefault": true }]);
    let made = admin.post(RUNNERS, &new).await.ok();
    assert_eq!(made["profileBindings"][0]["profileTemplateId"], web["id"]);
    assert_eq!(made["profileBindings"][0]["profileName"], "the web");
    new["runnerId"] = json!("second");
    new["runner"]["identity"]["clusterName"] = json!("elsewhere");
    new["runner"]["profileBindings"][0]["profileTemplateId"] = json!("webb");
    let refused = admin.post(RUNNERS, &new).await;
    let message = refused.refused(400, "BOUND_PROFILE_NOT_FOUND");
    assert!(message.contains("did you mean web?"), "{message}");
}

#[tokio::test]
async fn overrides_are_checked_where_they_are_written() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let mut new = draft("local", &[&web]);
    let wrong = [
        (json!("{"), "overridesJson"),
        (json!("[]"), "overridesJson"),
        (json!("{\"containerImag\":\"x\"}"), "overridesJson"),
        (
            json!("{\"podTemplateJson\":\"{\\\"spec\\\":{\\\"hostPID\\\":true}}\"}"),
            "overridesJson",
        ),
    ];
    for (overrides, field) in wrong {
        new["runner"]["profileBindings"][0]["overridesJson"] = overrides.clone();
        let refused = admin.post(RUNNERS, &new).await;
        refused.refused(400, "INVALID_REQUEST");
        let fields = refused.fields();
        let expected = format!("runner.profileBindings[0].{field}");
        assert!(
            fields.iter().all(|told| told.starts_with(&expected)),
            "{overrides}: {fields:?}"
        );
    }
    let patch = "{\"containerImage\":\"node:22\",\"instanceTypes\":null}";
    new["runner"]["profileBindings"][0]["overridesJson"] = json!(patch);
    let made = admin.post(RUNNERS, &new).await.ok();
    let back = made["profileBindings"][0]["overridesJson"]
        .as_str()
        .unwrap();
    let back: Value = serde_json::from_str(back).unwrap();
    assert_eq!(back, serde_json::from_str::<Value>(patch).unwrap());
}
