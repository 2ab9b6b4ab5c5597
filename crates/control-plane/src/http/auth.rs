//! Who is calling, and whether they may.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use palisade_model::reason::Reason;
use palisade_model::tenant::{Principal, Role};
use palisade_model::token::{PresentedToken, TokenError};
use palisade_store::GetError;

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
    if !caller.role.includes(needed) {
        let message = format!(
            "this needs the role {}; the token of {} has {}",
            needed.as_str(),
            caller.user,
            caller.role.as_str()
        );
        return Err(ApiError::new(Reason::PermissionDenied, message));
    }
    Ok(caller)
}

fn presented(parts: &Parts) -> ApiResult<PresentedToken> {
    let missing = || {
        let message = "a token is needed, as in: Authorization: Bearer TOKEN";
        ApiError::new(Reason::Unauthenticated, message)
    };
    let header = parts.headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let text = header.to_str().map_err(|_| missing())?;
    let (scheme, token) = text.trim().split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    PresentedToken::parse(token.trim()).map_err(|_| refused(TokenError::WrongSecret))
}

fn refused(error: TokenError) -> ApiError {
    ApiError::new(Reason::Unauthenticated, error.to_string())
}
