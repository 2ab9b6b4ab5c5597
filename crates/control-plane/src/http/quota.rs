//! `/v1beta2/sandbox/quota`, and the limits under it that can be set.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use palisade_model::name::UserId;
use palisade_model::quota::{Limits, Whose};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::{Principal, Role};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::rest::{QuotaLimits, read_limits};

use super::answer::tagged;
use super::auth::{Admin, Reader};
use super::body::Document;
use super::params::{Params, Place};
use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new()
        .route("/", get(report))
        .route("/limits", get(limits))
        .route("/limits/each-user", put(set_each_user))
        .route("/limits/users/{user}", put(set_user).delete(remove_user))
}

async fn report(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["user"])?;
    let user = match known.get("user").filter(|name| !name.is_empty()) {
        None => caller.user.clone(),
        Some(name) => user_id(name)?,
    };
    if user != caller.user && !caller.role.includes(Role::SandboxAdmin) {
        let message =
            "the quota of another user is for administrators; leave user out for your own";
        return Err(ApiError::new(Reason::PermissionDenied, message));
    }
    let standing = plane.standing(&caller, user).await?;
    Ok(Json(standing.report(&caller)).into_response())
}

async fn limits(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    Ok(answer(&plane.quota_limits(&caller).await?))
}

async fn set_each_user(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let limits = read_limits(&body.to_value())?;
    set(&plane, &caller, &params, &Whose::EachUser, Some(limits)).await
}

async fn set_user(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(user): Place<String>,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let limits = read_limits(&body.to_value())?;
    let whose = Whose::User(user_id(&user)?);
    set(&plane, &caller, &params, &whose, Some(limits)).await
}

async fn remove_user(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(user): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let whose = Whose::User(user_id(&user)?);
    set(&plane, &caller, &params, &whose, None).await
}

async fn set(
    plane: &ControlPlane,
    caller: &Principal,
    params: &Params,
    whose: &Whose,
    limits: Option<Limits>,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly"])?;
    let change = params.change(&known, false)?;
    let set = plane.set_quota_limits(caller, whose, limits, &change);
    Ok(answer(&set.await?))
}

fn answer(limits: &QuotaLimits) -> Response {
    tagged(limits, &limits.etag)
}

fn user_id(name: &str) -> ApiResult<UserId> {
    name.parse().map_err(|error| {
        let path = FieldPath::root().key("user");
        let what = format!("is no name of a user: {error}");
        Refusal::invalid(vec![Violation::new(path, ViolationKind::Invalid, what)]).into()
    })
}
