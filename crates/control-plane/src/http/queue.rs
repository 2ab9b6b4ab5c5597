//! `/v1beta2/sandbox/queue`.
//!
//! Members see their own starts and how long the line is; administrators see all
//! of the organization.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use palisade_model::tenant::{Principal, Role};
use palisade_wire::rest::StartQueue;

use super::auth::Reader;
use super::params::Params;
use crate::error::ApiResult;
use crate::plane::ControlPlane;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/", get(list))
}

async fn list(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let all = plane.live.waiting(&caller.organization);
    Ok(Json(seen_by(&caller, all)).into_response())
}

fn seen_by(caller: &Principal, all: StartQueue) -> StartQueue {
    let StartQueue {
        length,
        mut waiting,
    } = all;
    if !caller.role.includes(Role::SandboxAdmin) {
        waiting.retain(|start| start.user == caller.user.as_str());
    }
    StartQueue { length, waiting }
}
