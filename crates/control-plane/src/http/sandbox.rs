//! `/v1beta2/sandbox/sandboxes`: what operators ask about sandboxes.
//!
//! Starting, stopping and everything else about them is the gateway's.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use palisade_wire::rest;

use super::auth::Reader;
use super::params::{Params, Place};
use crate::error::ApiResult;
use crate::plane::ControlPlane;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/{id}/denials", get(denials))
}

async fn denials(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let (id, denials) = plane.denials(&caller, &id).await?;
    Ok(Json(rest::Denials::new(id, &denials)).into_response())
}
