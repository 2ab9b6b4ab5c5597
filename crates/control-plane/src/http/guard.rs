//! What holds for every request: an id, bounds, and the shape of refusals.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_wire::headers;
use palisade_wire::status::Status;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, error, info_span, warn};
use uuid::Uuid;

use crate::error::ApiError;
use crate::plane::Limits;

const REQUEST_ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);

/// How long a caller is told to wait when there is too much to do.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Lets so many requests in at once, and each for so long.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Guard {
    pub(super) fn new(places: usize, limits: Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            limits,
        }
    }
}

/// Refuses what is too much at once, and ends what takes too long.
pub(super) async fn limit_concurrency(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = guard.places.try_acquire() else {
        let message = "the server has too many requests at once; try again in a moment";
        let refusal = Refusal::new(Reason::Overloaded, message);
        return ApiError::from(refusal.retry_after(BUSY_RETRY)).into_response();
    };
    let answer = tokio::time::timeout(guard.limits.request_time, next.run(request));
    answer.await.unwrap_or_else(|_| {
        let message = "the server took too long; a change may have been made all the same";
        let refusal =
            Refusal::new(Reason::BackendUnavailable, message).with_code(Code::DeadlineExceeded);
        ApiError::from(refusal.retry_after(BUSY_RETRY)).into_response()
    })
}

/// Gives each request an id, and refusals their body, which holds that id.
pub(super) async fn tell_refusals(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let span = info_span!(
        "request",
        request.id = %id,
        http.method = %request.method(),
        http.path = %request.uri().path(),
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let allowed = response.headers_mut().remove(ALLOW);
        response = span.in_scope(|| refuse(error, &id));
        response
            .headers_mut()
            .extend(allowed.map(|methods| (ALLOW, methods)));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// The id that the caller gave, if it can stand in a log as it is.
fn request_id(map: &HeaderMap) -> String {
    let given = map.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match headers::request_id(given) {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    }
}

fn refuse(error: ApiError, request_id: &str) -> Response {
    let ApiError {
        refusal,
        cause,
        status,
    } = error;
    let cause = cause.as_ref().map(|cause| chain(cause.as_ref()));
    match (refusal.code, cause) {
        (Code::Internal, cause) => error!(cause, reason = %refusal.reason, "request failed"),
        (_, Some(cause)) => warn!(cause, reason = %refusal.reason, "request failed"),
        (_, None) => {}
    }
    let status = status
        .or_else(|| StatusCode::from_u16(refusal.code.http_status()).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(Status::new(&refusal, request_id))).into_response();
    let headers = response.headers_mut();
    if let Some(wait) = refusal.retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            headers.insert(RETRY_AFTER, value);
        }
    }
    if refusal.code == Code::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The texts of an error and of all that lies behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    /// An answer that [`tell_refusals`] completes, which knows the request id.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
