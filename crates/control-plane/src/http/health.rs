//! Whether the server lives and can work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use palisade_model::reason::Reason;
use serde_json::json;
use tokio::time::timeout;

use crate::error::ApiError;
use crate::plane::ControlPlane;

/// How long the store may take to answer.
const STORE_TIME: Duration = Duration::from_secs(2);

/// The process answers, and tells its version.
pub(super) async fn alive() -> Response {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})).into_response()
}

/// The store answers too.
pub(super) async fn ready(State(plane): State<ControlPlane>) -> Result<Response, ApiError> {
    match timeout(STORE_TIME, plane.store.head()).await {
        Ok(Ok(_)) => Ok(Json(json!({"status": "ok"})).into_response()),
        Ok(Err(fault)) => Err(fault.into()),
        Err(_) => Err(ApiError::new(
            Reason::BackendUnavailable,
            "the store does not answer in time",
        )),
    }
}
