//! What can be done with profiles.

use http::Method;
use serde_json::{Value, json};

use crate::plane::{Caller, PROFILES, Plane};

pub(crate) fn spec() -> Value {
    json!({
        "containerImage": "python:3.11",
        "resourceDefaults": { "cpuRequest": "500m", "memoryRequest": "1.50Gi", "memoryLimit": "4Gi" },
        "instanceTypes": ["b", "a"],
        "networkConfigJson":
            "{\"egress\":{\"default\":\"deny-all\",\"modes\":{\"deny-all\":{\"type\":\"none\"}}}}",
    })
}

/// Makes a profile that says something.
pub(crate) async fn make(admin: &Caller<'_>, name: &str) -> Value {
    let profile = json!({ "displayName": name, "description": "first", "spec": spec() });
    admin
        .post(PROFILES, &json!({ "profileTemplate": profile }))
        .await
        .ok()
}

pub(crate) fn path(profile: &Value) -> String {
    format!("{PROFILES}/{}", profile["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_profile_comes_back_as_it_was_sent() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "Agent 1 é").await;
    assert_eq!(made["displayName"], "Agent 1 é");
    assert_eq!(made["organizationId"], "acme");
    assert_eq!(made["revision"], 1);
    let sent = spec();
    for field in ["containerImage", "resourceDefaults", "instanceTypes"] {
        assert_eq!(made["spec"][field], sent[field], "{field}");
    }
    let network = |spec: &Value| {
        let text = spec["networkConfigJson"].as_str().unwrap();
        serde_json::from_str::<Value>(text).unwrap()
    };
    assert_eq!(network(&made["spec"]), network(&sent));
    let user = plane.user().await;
    assert_eq!(user.get(&path(&made)).await.ok(), made);
    let by_name = format!("{PROFILES}/Agent%201%20%C3%A9");
    assert_eq!(user.get(&by_name).await.ok(), made);
}

#[tokio::test]
async fn a_profile_may_be_sent_without_an_envelope_and_in_either_spelling() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let bare = json!({ "display_name": "bare", "spec": {
        "resource_defaults": { "cpu_request": "1" },
    } });
    let made = admin.post(PROFILES, &bare).await.ok();
    assert_eq!(made["spec"]["resourceDefaults"]["cpuRequest"], "1");
    let text = "displayName: yaml\nspec: {}\n";
    let yaml = [("content-type", "application/yaml")];
    let made = admin.send(Method::POST, PROFILES, &yaml, text).await.ok();
    assert_eq!(made["displayName"], "yaml");
}

#[tokio::test]
async fn an_id_finds_its_profile_even_if_another_is_called_like_it() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = make(&admin, "first").await;
    let second = make(&admin, first["id"].as_str().unwrap()).await;
    assert_eq!(admin.get(&path(&first)).await.ok(), first);
    assert_eq!(admin.get(&path(&second)).await.ok(), second);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let empty = admin.get(PROFILES).await.ok();
    assert_eq!(
        empty,
        json!({ "profileTemplates": [], "nextPageToken": "" })
    );
    for name in ["d", "b", "a", "e", "c"] {
        make(&admin, name).await;
    }
    let mut names = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let page = admin
            .get(&format!("{PROFILES}?pageSize=2&pageToken={token}"))
            .await
            .ok();
        for profile in page["profileTemplates"].as_array().unwrap() {
            names.push(profile["displayName"].as_str().unwrap().to_owned());
        }
        pages += 1;
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((names.concat().as_str(), pages), ("abcde", 3));
    let whole = admin.get(&format!("{PROFILES}?page_size=5")).await.ok();
    assert_eq!(whole["nextPageToken"], "");
}

#[tokio::test]
async fn an_update_replaces_the_fields_that_it_holds() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    let body = json!({ "profileTemplate": { "description": "second" } });
    let updated = admin.patch(&path(&made), &body).await.ok();
    assert_eq!(updated["description"], "second");
    assert_eq!(updated["spec"], made["spec"]);
    assert_eq!(updated["revision"], 2);
    assert_ne!(updated["updatedAt"], made["updatedAt"]);
    assert_eq!(updated["createdAt"], made["createdAt"]);
    // The spec is one field: what it leaves out is gone.
    let body = json!({ "spec": { "containerImage": "node:22" } });
    let updated = admin.patch(&format!("{PROFILES}/web"), &body).await.ok();
    assert_eq!(updated["spec"], json!({ "containerImage": "node:22" }));
    assert_eq!(admin.get(&path(&made)).await.ok(), updated);
}

#[tokio::test]
async fn a_mask_says_which_fields_are_replaced() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    let profile = json!({ "description": "second", "labels": { "a": "b" }, "spec": {} });
    let masks = [
        (json!("labels"), "first", json!({ "a": "b" })),
        (
            json!({ "paths": ["description"] }),
            "second",
            json!({ "a": "b" }),
        ),
    ];
    for (mask, description, labels) in masks {
        let body = json!({ "profileTemplate": profile, "updateMask": mask });
        let updated = admin.patch(&path(&made), &body).await.ok();
        assert_eq!(updated["description"], description);
        assert_eq!(updated["labels"], labels);
        assert_eq!(updated["spec"], made["spec"]);
    }
    let in_query = format!("{}?updateMask=labels,description", path(&made));
    let updated = admin.patch(&in_query, &json!({ "labels": {} })).await.ok();
    assert_eq!(updated["labels"], json!({}));
    // Named by the mask and not given: back to nothing.
    assert_eq!(updated["description"], "");
    let bad = json!({ "profileTemplate": profile, "updateMask": "lables" });
    let refused = admin.patch(&path(&made), &bad).await;
    assert!(
        refused
            .refused(400, "INVALID_REQUEST")
            .contains("did you mean labels?")
    );
    let fixed = json!({ "profileTemplate": profile, "updateMask": "display_name" });
    admin
        .patch(&path(&made), &fixed)
        .await
        .refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn an_update_that_changes_nothing_makes_no_revision() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    let same = admin.patch(&path(&made), &made).await.ok();
    assert_eq!(same, made);
}

#[tokio::test]
async fn a_deleted_profile_is_gone_and_its_revisions_stay() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    let body = json!({ "description": "second" });
    admin.patch(&path(&made), &body).await.ok();
    assert_eq!(
        admin.delete(&format!("{PROFILES}/web")).await.ok(),
        json!({})
    );
    admin
        .get(&path(&made))
        .await
        .refused(404, "PROFILE_NOT_FOUND");
    admin
        .delete(&path(&made))
        .await
        .refused(404, "PROFILE_NOT_FOUND");
    let revisions = admin.get(&format!("{}/revisions", path(&made))).await.ok();
    let revisions = revisions["profileRevisions"].as_array().unwrap();
    let texts = revisions
        .iter()
        .map(|each| each["description"].as_str().unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), ["second", "first"]);
    assert_eq!(revisions[0]["createdBy"], "ada");
    let first = admin
        .get(&format!("{}/revisions/1", path(&made)))
        .await
        .ok();
    assert_eq!(first, revisions[1]);
    let third = admin.get(&format!("{}/revisions/3", path(&made))).await;
    third.refused(404, "PROFILE_NOT_FOUND");
    admin
        .get(&format!("{}/revisions/x", path(&made)))
        .await
        .refused(400, "INVALID_REQUEST");
    make(&admin, "web").await;
}

#[tokio::test]
async fn revisions_are_read_page_by_page() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let made = make(&admin, "web").await;
    for number in 2..=5 {
        let body = json!({ "description": format!("number {number}") });
        admin.patch(&path(&made), &body).await.ok();
    }
    let list = format!("{PROFILES}/web/revisions?pageSize=3");
    let first = admin.get(&list).await.ok();
    let token = first["nextPageToken"].as_str().unwrap();
    let second = admin.get(&format!("{list}&pageToken={token}")).await.ok();
    let numbers = |page: &Value| {
        let list = page["profileRevisions"].as_array().unwrap().clone();
        list.iter()
            .map(|each| each["revision"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (numbers(&first), numbers(&second)),
        (vec![5, 4, 3], vec![2, 1])
    );
    assert_eq!(second["nextPageToken"], "");
    make(&admin, "ci").await;
    let other = format!("{PROFILES}/ci/revisions?pageToken={token}");
    admin.get(&other).await.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn trying_only_changes_nothing() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let draft = json!({ "displayName": "web", "spec": {} });
    let tried = admin
        .post(&format!("{PROFILES}?validateOnly=true"), &draft)
        .await
        .ok();
    assert_eq!(
        (&tried["id"], &tried["displayName"]),
        (&json!(""), &json!("web"))
    );
    admin
        .get(&format!("{PROFILES}/web"))
        .await
        .refused(404, "PROFILE_NOT_FOUND");
    let made = make(&admin, "web").await;
    let wrapped = json!({ "profileTemplate": draft, "validateOnly": true });
    admin
        .post(PROFILES, &wrapped)
        .await
        .refused(409, "PROFILE_NAME_TAKEN");
    let change = json!({ "profileTemplate": { "description": "second" }, "validateOnly": true });
    let tried = admin.patch(&path(&made), &change).await.ok();
    assert_eq!(
        (&tried["description"], &tried["revision"]),
        (&json!("second"), &json!(2))
    );
    admin
        .delete(&format!("{}?validateOnly", path(&made)))
        .await
        .ok();
    assert_eq!(admin.get(&path(&made)).await.ok(), made);
    // A misspelling must not make the change.
    let misspelt = admin
        .delete(&format!("{}?validateonyl=true", path(&made)))
        .await;
    let message = misspelt.refused(400, "INVALID_REQUEST");
    assert!(message.contains("did you mean validateOnly?"), "{message}");
    admin.get(&path(&made)).await.ok();
}
