//! `/v1beta2/sandbox/quota`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::Role;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use super::auth::Reader;
use super::params::Params;
use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/", get(report))
}

async fn report(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["user"])?;
    let user = match known.get("user").filter(|name| !name.is_empty()) {
        None => caller.user.clone(),
        Some(name) => name.parse().map_err(|error| {
            let path = FieldPath::root().key("user");
            let what = format!("is no name of a user: {error}");
            Refusal::invalid(vec![Violation::new(path, ViolationKind::Invalid, what)])
        })?,
    };
    if user != caller.user && !caller.role.includes(Role::SandboxAdmin) {
        let message =
            "the quota of another user is for administrators; leave user out for your own";
        return Err(ApiError::new(Reason::PermissionDenied, message));
    }
    let standing = plane.standing(&caller, user).await?;
    Ok(Json(standing.report(&caller)).into_response())
}
