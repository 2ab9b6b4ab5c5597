//! `/v1beta2/sandbox/changes`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use palisade_store::Place;

use super::auth::Reader;
use super::params::Params;
use crate::error::ApiResult;
use crate::plane::ControlPlane;

/// The longest that a caller may wait in one call.
const WAIT_SECONDS_MAX: u32 = 25;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/", get(list))
}

async fn list(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["after", "waitSeconds"])?;
    let after = known.parsed::<Place>("after")?;
    let seconds = known.parsed::<u32>("waitSeconds")?.unwrap_or_default();
    let limit = Duration::from_secs(seconds.min(WAIT_SECONDS_MAX).into());
    let answer = plane.changes(&caller, after, limit).await?;
    Ok(Json(answer).into_response())
}
