//! Who may call, and what of.

use std::time::Duration;

use http::Method;
use palisade_model::clock::Clock as _;
use palisade_model::tenant::Role;
use palisade_model::token::Grant;
use palisade_store::Tokens as _;
use serde_json::json;

use crate::plane::{Answer, Caller, PROFILES, Plane, RUNNERS};
use crate::{profiles, runners};

/// Every operation, with a body that would do.
async fn each_operation(caller: &Caller<'_>, writes: bool) -> Vec<Answer> {
    let (profile, runner) = (format!("{PROFILES}/web"), format!("{RUNNERS}/local"));
    let body = json!({ "displayName": "new", "spec": {} });
    let mut answers = vec![];
    if writes {
        answers.push(caller.post(PROFILES, &body).await);
        answers.push(caller.patch(&profile, &json!({})).await);
        answers.push(caller.delete(&profile).await);
        answers.push(caller.post(RUNNERS, &json!({})).await);
        answers.push(caller.patch(&runner, &json!({})).await);
        answers.push(caller.delete(&runner).await);
        answers.push(
            caller
                .post(&format!("{runner}/apply-update"), &json!({}))
                .await,
        );
    } else {
        answers.push(caller.get(PROFILES).await);
        answers.push(caller.get(&profile).await);
        answers.push(caller.get(&format!("{profile}/revisions")).await);
        answers.push(caller.get(&format!("{profile}/revisions/1")).await);
        answers.push(caller.get(RUNNERS).await);
        answers.push(caller.get(&runner).await);
    }
    answers
}

async fn furnished(plane: &Plane) {
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    runners::make(&admin, "local", &[&web]).await;
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_answered() {
    let plane = Plane::start().await;
    furnished(&plane).await;
    let forged = format!("Bearer pal_{}_{}", "0".repeat(32), "0".repeat(64));
    let headers = [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer nonsense"),
        Some("Basic YTpi"),
        Some(forged.as_str()),
    ];
    for header in headers {
        let stranger = plane.stranger(header);
        let mut answers = each_operation(&stranger, false).await;
        answers.extend(each_operation(&stranger, true).await);
        for answer in answers {
            answer.refused(401, "UNAUTHENTICATED");
            assert_eq!(answer.body["code"], 16);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[tokio::test]
async fn a_user_reads_and_does_not_write() {
    let plane = Plane::start().await;
    furnished(&plane).await;
    let user = plane.user().await;
    for answer in each_operation(&user, false).await {
        answer.ok();
    }
    for answer in each_operation(&user, true).await {
        let message = answer.refused(403, "PERMISSION_DENIED");
        assert_eq!(answer.body["code"], 7);
        assert!(message.contains("sandbox_admin"), "{message}");
    }
    let admin = plane.admin().await;
    admin.get(&format!("{PROFILES}/web")).await.ok();
}

#[tokio::test]
async fn a_token_that_expired_is_refused() {
    let plane = Plane::start().await;
    let grant = Grant::Caller {
        organization: "acme".parse().unwrap(),
        user: "ada".parse().unwrap(),
        role: Role::SandboxUser,
    };
    plane.admin().await;
    let hour = Duration::from_hours(1);
    let expiry = plane.clock.now().saturating_add(hour);
    let caller = plane.caller_with(grant, Some(expiry)).await;
    caller.get(PROFILES).await.ok();
    plane.clock.advance(hour);
    let message = caller.get(PROFILES).await.refused(401, "UNAUTHENTICATED");
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn a_token_that_was_revoked_is_refused_at_once() {
    let plane = Plane::start().await;
    let user = plane.user().await;
    user.get(PROFILES).await.ok();
    let acme = "acme".parse().unwrap();
    plane
        .store
        .revoke_token(&acme, user.id.unwrap())
        .await
        .unwrap();
    user.get(PROFILES).await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_join_token_is_no_token_of_a_caller() {
    let plane = Plane::start().await;
    plane.admin().await;
    let grant = Grant::Runner {
        organization: "acme".parse().unwrap(),
        cluster: "cluster-1".parse().unwrap(),
    };
    let runner = plane.caller_with(grant, None).await;
    runner.get(PROFILES).await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn what_another_organization_has_is_not_there() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let local = runners::make(&admin, "local", &[&web]).await;
    let other = plane.caller("other", Role::SandboxAdmin).await;
    let uid = local["id"].as_str().unwrap();
    for profile in [profiles::path(&web), format!("{PROFILES}/web")] {
        other.get(&profile).await.refused(404, "PROFILE_NOT_FOUND");
        other
            .patch(&profile, &json!({}))
            .await
            .refused(404, "PROFILE_NOT_FOUND");
        other
            .delete(&profile)
            .await
            .refused(404, "PROFILE_NOT_FOUND");
        let revisions = other.get(&format!("{profile}/revisions")).await;
        revisions.refused(404, "PROFILE_NOT_FOUND");
        let revision = other.get(&format!("{profile}/revisions/1")).await;
        revision.refused(404, "PROFILE_NOT_FOUND");
    }
    for runner in [runners::path(uid), runners::path("local")] {
        other.get(&runner).await.refused(404, "RUNNER_NOT_FOUND");
        other
            .patch(&runner, &json!({}))
            .await
            .refused(404, "RUNNER_NOT_FOUND");
        other
            .delete(&format!("{runner}?force=true"))
            .await
            .refused(404, "RUNNER_NOT_FOUND");
    }
    assert_eq!(
        other.get(PROFILES).await.ok()["profileTemplates"],
        json!([])
    );
    assert_eq!(other.get(RUNNERS).await.ok()["managedRunners"], json!([]));
    // The foreign profile cannot be bound, and its name is free.
    let bound = other.post(RUNNERS, &runners::draft("local", &[&web])).await;
    bound.refused(400, "BOUND_PROFILE_NOT_FOUND");
    let own = profiles::make(&other, "web").await;
    runners::make(&other, "local", &[&own]).await;
    assert_eq!(admin.get(&profiles::path(&web)).await.ok(), web);
}

#[tokio::test]
async fn a_refusal_holds_no_secret() {
    let plane = Plane::start().await;
    let user = plane.user().await;
    let answer = user.post(PROFILES, &json!({})).await;
    let text = format!("{:?} {}", answer.headers, answer.body);
    assert!(!text.contains("pal_") && !text.contains("0909"), "{text}");
    let odd = [("authorization", "Bearer pal_secretsecret")];
    let stranger = plane.stranger(None);
    let answer = stranger.send(Method::GET, PROFILES, &odd, "").await;
    assert!(!format!("{answer:?}").contains("secretsecret"));
}
