//! Who is told what: credentials, tokens and redirects.

use std::path::PathBuf;

use super::{pull, sample};
use crate::ImageError;
use crate::registry::Registries;
use crate::registry::testing::{Hosted, Place, Reply, Request, Scripted, hasty};

/// Wants the header `authorization`, and says with `challenge` how to get it.
fn locked(
    hosted: Hosted,
    authorization: &'static str,
    challenge: impl Fn() -> String + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| {
        if request.header("authorization") == Some(authorization) {
            return hosted.reply(request);
        }
        Reply::status(401)
            .header("content-length", "0")
            .header("www-authenticate", &challenge())
    }
}

fn bearer(server: &Scripted) -> impl Fn() -> String + Send + Sync + 'static {
    let realm = format!("http://{}/token?a=b", server.address);
    move || format!(r#"Bearer realm="{realm}",service="it & co",scope="repository:other:*""#)
}

fn login(place: &tempfile::TempDir, registry: &Scripted) -> PathBuf {
    let path = place.path().join("config.json");
    let entry = serde_json::json!({"username": "me", "password": "s3cret"});
    let json = serde_json::json!({"auths": {registry.address.to_string(): entry}});
    std::fs::write(&path, json.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_token_is_asked_for_this_repository_and_used_throughout() {
    let tokens = Scripted::start(|_| Reply::ok(r#"{"token":"tok"}"#)).await;
    let hosted = Hosted::of(&sample());
    let registry = Scripted::start(locked(hosted, "Bearer tok", bearer(&tokens))).await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].path,
        "/token?a=b&service=it+%26+co&scope=repository%3Aapp%3Apull"
    );
    assert_eq!(asked[0].header("authorization"), None);
}

#[tokio::test]
async fn a_login_goes_to_the_token_server_and_not_to_the_registry() {
    let tokens = Scripted::start(|request| match request.header("authorization") {
        // me:s3cret
        Some("Basic bWU6czNjcmV0") => Reply::ok(r#"{"access_token":"tok"}"#),
        Some(_) | None => Reply::status(401).header("content-length", "0"),
    })
    .await;
    let hosted = Hosted::of(&sample());
    let registry = Scripted::start(locked(hosted, "Bearer tok", bearer(&tokens))).await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(Registries {
        credentials: Some(login(&folder, &registry)),
        ..hasty()
    })
    .await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    let told = registry.requests();
    let basic = |request: &&Request| {
        request
            .header("authorization")
            .is_some_and(|it| it.starts_with("Basic"))
    };
    assert_eq!(told.iter().filter(basic).count(), 0);

    let stranger = Place::new(hasty()).await;
    let refused = pull(&stranger, &registry.name("app:1")).await;
    assert!(matches!(refused, Err(ImageError::Unauthorized { .. })));
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_replaced() {
    let hosted = Hosted::of(&sample());
    let count = std::sync::atomic::AtomicUsize::new(0);
    let tokens = Scripted::start(move |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Reply::ok(format!(r#"{{"token":"tok{n}"}}"#))
    })
    .await;
    let challenge = bearer(&tokens);
    let registry = Scripted::start(move |request| {
        let wanted = if request.path.contains("blobs") {
            "Bearer tok1"
        } else {
            "Bearer tok0"
        };
        if request.header("authorization") == Some(wanted) {
            return hosted.reply(request);
        }
        let reply = Reply::status(401).header("content-length", "0");
        reply.header("www-authenticate", &challenge())
    })
    .await;
    let place = Place::new(hasty()).await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    assert_eq!(tokens.requests().len(), 2);
}

#[tokio::test]
async fn answers_that_are_no_token_are_refused_and_not_shown() {
    for answer in [
        r#"{"token":"s3cret\nX-Evil: 1"}"#,
        r#"{"token":""}"#,
        r#"{"token":5}"#,
        "s3cret",
        "{}",
    ] {
        let tokens = Scripted::start(move |_| Reply::ok(answer)).await;
        let hosted = Hosted::of(&sample());
        let registry = Scripted::start(locked(hosted, "Bearer tok", bearer(&tokens))).await;
        let place = Place::new(hasty()).await;
        let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
        assert!(matches!(refused, ImageError::Malformed { .. }), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn nobody_else_is_asked_for_a_token_in_plain() {
    let hosted = Hosted::of(&sample());
    let challenge = || r#"Bearer realm="http://tokens.example/""#.to_owned();
    let registry = Scripted::start(locked(hosted, "Bearer tok", challenge)).await;
    let place = Place::new(hasty()).await;
    let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
    assert!(
        matches!(refused, ImageError::NotAllowed { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_authorization_away() {
    let hosted = Hosted::of(&sample());
    let storage = {
        let hosted = hosted.clone();
        Scripted::start(move |request| match request.header("authorization") {
            Some(_) => Reply::status(400).header("content-length", "0"),
            None => hosted.reply(request),
        })
        .await
    };
    let elsewhere = storage.address;
    let lock = locked(hosted, "Basic bWU6czNjcmV0", || "Basic realm=x".to_owned());
    let registry = Scripted::start(move |request| match request.header("authorization") {
        Some(_) if request.path.contains("blobs") => {
            Reply::to(&format!("http://{elsewhere}{}", request.path)).header("content-length", "0")
        }
        Some(_) | None => lock(request),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(Registries {
        credentials: Some(login(&folder, &registry)),
        ..hasty()
    })
    .await;
    pull(&place, &registry.name("app:1")).await.unwrap();
    let blobs = storage.requests();
    assert_eq!(blobs.len(), 3);
    assert!(
        blobs
            .iter()
            .all(|blob| blob.header("authorization").is_none())
    );
}

#[tokio::test]
async fn a_redirect_to_another_plain_place_or_in_a_circle_is_refused() {
    let hosted = Hosted::of(&sample());
    for (target, is_circle) in [
        ("http://storage.example/x", false),
        ("http://169.254.169.254/latest", false),
        ("ftp://127.0.0.1/x", false),
        ("/v2/app/blobs/again", true),
    ] {
        let registry = leading_to(target, hosted.clone()).await;
        let place = Place::new(hasty()).await;
        let refused = pull(&place, &registry.name("app:1")).await.unwrap_err();
        let is_told = if is_circle {
            matches!(refused, ImageError::Malformed { .. })
        } else {
            matches!(refused, ImageError::NotAllowed { .. })
        };
        assert!(is_told, "{target}: {refused}");
        place.becomes_clean().await;
    }
}

/// Has no layers itself, and says that they are at `target`.
async fn leading_to(target: &str, hosted: Hosted) -> Scripted {
    let away = Reply::to(target).header("content-length", "0");
    Scripted::start(move |request| {
        let is_blob = request.path.contains("blobs");
        if is_blob {
            away.clone()
        } else {
            hosted.reply(request)
        }
    })
    .await
}
