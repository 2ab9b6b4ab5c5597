//! Lost updates, refused to those who say what they saw.

use http::Method;
use serde_json::{Value, json};

use crate::plane::Plane;
use crate::{profiles, runners};

fn tag(object: &Value) -> String {
    format!("\"{}\"", object["etag"].as_str().unwrap())
}

#[tokio::test]
async fn a_change_from_an_older_state_of_a_profile_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = profiles::make(&admin, "web").await;
    let path = profiles::path(&first);
    let read = admin.get(&path).await;
    assert_eq!(read.header("etag"), Some(tag(&first).as_str()));
    let change = json!({ "description": "second", "etag": first["etag"] });
    let second = admin.patch(&path, &change).await.ok();
    assert_ne!(second["etag"], first["etag"]);
    let stale = json!({ "description": "third", "etag": first["etag"] });
    let refused = admin.patch(&path, &stale).await;
    refused.refused(409, "ETAG_MISMATCH");
    let if_match = |object: &Value| [("if-match", tag(object))];
    let [(name, value)] = if_match(&first);
    let headers = [(name, value.as_str())];
    let body = json!({ "description": "third" }).to_string();
    let refused = admin
        .send(Method::PATCH, &path, &headers, body.clone())
        .await;
    refused.refused(409, "ETAG_MISMATCH");
    let refused = admin.send(Method::DELETE, &path, &headers, "").await;
    refused.refused(409, "ETAG_MISMATCH");
    assert_eq!(admin.get(&path).await.ok(), second);
    let [(name, value)] = if_match(&second);
    let headers = [(name, value.as_str())];
    admin.send(Method::PATCH, &path, &headers, body).await.ok();
    // Whoever says nothing overwrites what is there.
    admin
        .patch(&path, &json!({ "description": "fourth" }))
        .await
        .ok();
}

#[tokio::test]
async fn a_profile_that_was_made_anew_is_another_one() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let first = profiles::make(&admin, "web").await;
    admin.delete(&profiles::path(&first)).await.ok();
    profiles::make(&admin, "web").await;
    let path = format!("{}/web", crate::plane::PROFILES);
    let stale = json!({ "description": "x", "etag": first["etag"] });
    admin
        .patch(&path, &stale)
        .await
        .refused(409, "ETAG_MISMATCH");
}

#[tokio::test]
async fn a_change_from_an_older_state_of_a_runner_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let first = runners::make(&admin, "local", &[&web]).await;
    let path = runners::path("local");
    let change = json!({ "displayName": "second", "etag": first["etag"] });
    let second = admin.patch(&path, &change).await.ok();
    let stale = json!({ "displayName": "third", "etag": first["etag"] });
    admin
        .patch(&path, &stale)
        .await
        .refused(409, "ETAG_MISMATCH");
    let value = tag(&first);
    let headers = [("if-match", value.as_str())];
    let refused = admin.send(Method::DELETE, &path, &headers, "").await;
    refused.refused(409, "ETAG_MISMATCH");
    assert_eq!(admin.get(&path).await.ok(), second);
    let value = tag(&second);
    let headers = [("if-match", value.as_str())];
    admin.send(Method::DELETE, &path, &headers, "").await.ok();
}
