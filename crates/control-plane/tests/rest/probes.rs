//! Whether the server lives, and whether it can work.

use http::Method;

use crate::plane::Plane;

#[tokio::test]
async fn a_server_with_a_store_lives_and_is_ready() {
    let plane = Plane::start().await;
    let anybody = plane.stranger(None);
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(anybody.get(path).await.ok()["status"], "ok", "{path}");
    }
}

#[tokio::test]
async fn a_server_without_its_store_lives_and_is_not_ready() {
    let plane = Plane::start().await;
    plane.store.close().await;
    let anybody = plane.stranger(None);
    anybody.get("/livez").await.ok();
    let refused = anybody.get("/readyz").await;
    refused.refused(503, "BACKEND_UNAVAILABLE");
    let text = refused.body.to_string().to_lowercase();
    assert!(!text.contains("pool") && !text.contains("sql"), "{text}");
}

#[tokio::test]
async fn a_request_keeps_the_id_that_its_caller_gave_if_it_is_sound() {
    let plane = Plane::start().await;
    let anybody = plane.stranger(None);
    let with = async |id: &str| {
        let headers = [("x-request-id", id)];
        let answer = anybody.send(Method::GET, "/livez", &headers, "").await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(with("abc-123").await, "abc-123");
    for odd in ["", "a b", &"x".repeat(200)] {
        let id = with(odd).await;
        assert_ne!(id, odd);
        assert_eq!(id.len(), 36);
    }
}
