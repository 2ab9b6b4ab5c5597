//! `/v1beta2/sandbox/placement`, and what profiles and runners come to.
//!
//! Everybody may ask about requests of his own, and about what the organization
//! offers; what a change would do is for those who may make it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use palisade_model::reason::Reason;
use palisade_model::sandbox::{Selectors, StartRequest};
use palisade_wire::rest::{PlacementExplanation, PlacementPreview, ResolvedProfile};
use palisade_wire::spelling::Dialect;
use palisade_wire::start_document::{Unread, read_start_request};
use palisade_wire::{Located, Source};

use super::auth::{Admin, Reader};
use super::body::Document;
use super::params::{Params, Place};
use super::{profile, runner};
use crate::error::{ApiError, ApiResult};
use crate::placing::{Instead, Offered, plain_request};
use crate::plane::ControlPlane;
use crate::profiles::Change;

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/explain", post(explain))
}

async fn explain(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    params.known(&[])?;
    let request = read_start_request(&body, &Source::whole(Dialect::Wire));
    let Located {
        value: request,
        origin,
    } = request.map_err(|unread| match unread {
        Unread::Findings(findings) => ApiError::invalid(findings),
        Unread::Refused(refusal) => refusal.into(),
    })?;
    let explanation = plane.explain(&caller, &request, Instead::Nothing).await?;
    let answer = PlacementExplanation::new(&explanation)
        .map_err(|violations| ApiError::fields(Reason::InvalidRequest, violations, &origin))?;
    plane.check_secrets(&caller, &request, &origin).await?;
    plane.check_file_system(&caller, &request).await?;
    let standing = plane.standing(&caller, caller.user.clone()).await?;
    let answer = answer.within(standing.report(&caller), standing.refusal(&caller).as_ref());
    Ok(Json(answer).into_response())
}

pub(super) async fn resolved(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["runner"])?;
    let what = "is required; name the runner that offers the profile";
    let name = known.required("runner", what)?;
    let Offered {
        runner,
        binding,
        profile,
        resolved,
    } = plane.offered(&caller, &id, name).await?;
    let alias = binding.alias.as_ref().map(ToString::to_string);
    let answer = ResolvedProfile {
        profile_name: alias.unwrap_or_else(|| profile.display_name.to_string()),
        profile_revision: profile.revision.0,
        ..ResolvedProfile::new(&runner, &binding, &resolved)
    };
    Ok(Json(answer).into_response())
}

/// What the runners that bind a profile would make of it after a change.
pub(super) async fn preview_profile(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let known = params.known(&["updateMask"])?;
    let (edit, change) = profile::read_edit(body, &params, &known)?;
    let change = Change {
        is_dry_run: true,
        ..change
    };
    let wanted = plane.update_profile(&caller, &id, edit, change).await?;
    let request = plain_request(wanted.id);
    let instead = Instead::Profile(Box::new(wanted.clone()));
    let explanation = plane.explain(&caller, &request, instead).await?;
    let candidates = explanation.candidates.iter();
    let of_profile = candidates.filter(|candidate| candidate.profile_id == wanted.id);
    Ok(Json(PlacementPreview::new(of_profile)).into_response())
}

/// What a runner would make of the profiles that it binds after a change.
pub(super) async fn preview_runner(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let known = params.known(&["updateMask"])?;
    let (edit, change) = runner::read_edit(body, &params, &known)?;
    let change = Change {
        is_dry_run: true,
        ..change
    };
    let wanted = plane.update_runner(&caller, &id, edit, change).await?;
    let request = StartRequest {
        selectors: Selectors {
            runners: vec![wanted.id.to_string()],
            ..Selectors::default()
        },
        ..StartRequest::default()
    };
    let uid = wanted.uid;
    let instead = Instead::Runner(Box::new(wanted));
    let explanation = plane.explain(&caller, &request, instead).await?;
    let candidates = explanation.candidates.iter();
    let of_runner = candidates.filter(|candidate| candidate.runner_uid == uid);
    Ok(Json(PlacementPreview::new(of_runner)).into_response())
}
