//! `usage` of profiles and of runners.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::auth::Reader;
use super::params::{Params, Place};
use crate::error::ApiResult;
use crate::plane::ControlPlane;

pub(super) async fn of_profile(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let usage = plane.profile_usage(&caller, &id).await?;
    Ok(Json(usage).into_response())
}

pub(super) async fn of_runner(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let usage = plane.runner_usage(&caller, &id).await?;
    Ok(Json(usage).into_response())
}
