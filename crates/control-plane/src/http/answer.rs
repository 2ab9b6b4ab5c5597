//! Successes, and the refusals of the router itself.

use axum::Json;
use axum::http::header::ETAG;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use serde::Serialize;

use crate::error::ApiError;

/// An object and the name of its present state.
pub(super) fn tagged<T: Serialize>(object: &T, etag: &str) -> Response {
    let mut response = Json(object).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// The answer that has nothing to tell.
pub(super) fn empty() -> Response {
    Json(serde_json::json!({})).into_response()
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    let path = shortened(uri.path());
    let message = format!("there is nothing at {path}; /openapi.json lists all paths");
    ApiError::new(Reason::ResourceNotFound, message)
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let path = shortened(uri.path());
    let message = format!("{method} is not supported at {path}");
    let refusal = Refusal::new(Reason::NotImplemented, message).with_code(Code::Unimplemented);
    ApiError {
        status: Some(StatusCode::METHOD_NOT_ALLOWED),
        ..ApiError::from(refusal)
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(128).collect()
}
