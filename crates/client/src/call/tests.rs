use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// A server on loopback, which ends with the handle.
async fn serve(router: Router) -> (Client, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let tracker = tokio_util::task::TaskTracker::new();
    let serving = tracker.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let client = Client::new(server.parse().unwrap(), "pal_secret").unwrap();
    (client, AbortOnDropHandle::new(serving))
}

fn refusal(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap();
    (status, axum::Json(Status::new(refusal, "req-7"))).into_response()
}

fn call() -> Call<'static> {
    Call::new(Method::GET, &["x"])
}

#[tokio::test]
async fn a_refusal_comes_back_typed() {
    let busy =
        || async { refusal(&Refusal::new(Reason::ProfileInUse, "bound").with("runners", "a")) };
    let (client, _serving) = serve(Router::new().route("/x", get(busy))).await;
    let Err(CallError::Refused(refused)) = client.read::<Value>(call()).await else {
        panic!("a refusal");
    };
    assert_eq!(refused.code(), Some(Code::Aborted));
    assert_eq!(refused.reason(), Some("CWSANDBOX_PROFILE_IN_USE"));
    assert_eq!(refused.metadata("runners"), Some("a"));
    assert_eq!(refused.request_id(), Some("req-7"));
    assert_eq!((refused.http_status(), refused.message()), (409, "bound"));
}

#[tokio::test]
async fn a_read_comes_back_when_the_server_asks_for_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let answer = move || {
        let is_first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        let wait = Duration::from_millis(1);
        let busy = Refusal::new(Reason::Overloaded, "busy").retry_after(wait);
        std::future::ready(if is_first {
            refusal(&busy)
        } else {
            axum::Json(Value::from(1)).into_response()
        })
    };
    let router = Router::new().route("/x", get(answer.clone()).post(answer));
    let (client, _serving) = serve(router).await;
    assert_eq!(client.read::<Value>(call()).await.unwrap(), 1);
    assert_eq!(asked.swap(0, Ordering::SeqCst), 2);
    let post = Call::new(Method::POST, &["x"]);
    assert!(client.write::<Value>(post).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_token_does_not_follow_a_redirect() {
    let elsewhere = || async { Redirect::temporary("/y") };
    let there = || async { axum::Json(Value::from(1)) };
    let router = Router::new()
        .route("/x", get(elsewhere))
        .route("/y", get(there));
    let (client, _serving) = serve(router).await;
    let error = client.read::<Value>(call()).await.unwrap_err();
    assert!(
        matches!(error, CallError::NotUnderstood { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_of_another_service_is_told_apart() {
    let page = || async { "<html>" };
    let broken = || async { (StatusCode::BAD_GATEWAY, "<html>") };
    let router = Router::new()
        .route("/x", get(page))
        .route("/y", get(broken));
    let (client, _serving) = serve(router).await;
    for path in [&["x"], &["y"]] {
        let error = client.read::<Value>(Call::new(Method::GET, path)).await;
        assert!(
            matches!(error, Err(CallError::NotUnderstood { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let endless = || async {
        let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; 1024 * 1024]));
        let chunks = std::iter::repeat_with(chunk);
        axum::body::Body::from_stream(futures_util::stream::iter(chunks))
    };
    let (client, _serving) = serve(Router::new().route("/x", get(endless))).await;
    let error = client.read::<Value>(call()).await.unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(server.parse().unwrap(), "t").unwrap();
    let error = client.read::<Value>(call()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&server), "{error}");
}

#[tokio::test]
async fn a_name_that_would_be_another_place_is_not_sent() {
    let client = Client::new("http://127.0.0.1:1".parse().unwrap(), "t").unwrap();
    for name in ["", ".", ".."] {
        let error = client.get_profile(name).await.unwrap_err();
        assert!(matches!(error, CallError::NotAName { .. }), "{error:?}");
    }
}

#[test]
fn the_token_is_not_shown() {
    let client = Client::new("http://x".parse().unwrap(), "pal_secret").unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    let error = Client::new("http://x".parse().unwrap(), "a\nb").unwrap_err();
    assert!(matches!(error, SetupError::BadToken));
}
