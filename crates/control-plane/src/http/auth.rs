//! Who is calling, and whether they may.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use palisade_model::refusal::Refusal;
use palisade_model::tenant::{Principal, Role};
use palisade_model::token::{PresentedToken, TokenError};
use palisade_store::GetError;
use palisade_wire::headers::bearer;

use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

/// Somebody who may read.
pub(super) struct Reader(pub(super) Principal);

/// Somebody who may write.
pub(super) struct Admin(pub(super) Principal);

impl FromRequestParts<ControlPlane> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> ApiResult<Self> {
        caller(parts, plane, Role::SandboxUser).await.map(Self)
    }
}

impl FromRequestParts<ControlPlane> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> ApiResult<Self> {
        caller(parts, plane, Role::SandboxAdmin).await.map(Self)
    }
}

async fn caller(parts: &Parts, plane: &ControlPlane, needed: Role) -> ApiResult<Principal> {
    let presented = presented(parts)?;
    let record = match plane.store.find_token(presented.id()).await {
        Ok(record) => record,
        Err(GetError::NotFound) => return Err(refused(TokenError::WrongSecret)),
        Err(GetError::Fault(fault)) => return Err(fault.into()),
    };
    let caller = presented.caller(&record, plane.now()).map_err(refused)?;
    caller.must_be(needed)?;
    Ok(caller)
}

fn presented(parts: &Parts) -> ApiResult<PresentedToken> {
    let authorization = parts.headers.get(AUTHORIZATION);
    let token = bearer(authorization.and_then(|value| value.to_str().ok()));
    token.map_err(ApiError::from)
}

fn refused(error: TokenError) -> ApiError {
    Refusal::from(error).into()
}
