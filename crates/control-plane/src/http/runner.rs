//! `/v1beta2/sandbox/managed-runners`.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use palisade_model::name::RunnerId;
use palisade_model::runner::Runner;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::document::Node;
use palisade_wire::envelope::{Envelope, Object, split_mask};
use palisade_wire::page_token::Listing;
use palisade_wire::runner_document::{
    RunnerEdit, read_runner_draft, read_runner_edit, runner_mask,
};
use palisade_wire::spelling::Finding;
use palisade_wire::{Located, rest};

use super::answer::{empty, tagged};
use super::auth::{Admin, Reader};
use super::body::Document;
use super::params::{Known, Params, Place};
use super::{placing, usage};
use crate::error::{ApiError, ApiResult};
use crate::page;
use crate::plane::ControlPlane;
use crate::profiles::Change;
use crate::runners::{Ending, RunnerFilter, etag_of};

/// The name of the list, for page tokens.
const RUNNERS: &str = "runners";

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new()
        .route("/", get(list).post(create))
        .route("/{id}", get(read).patch(update).delete(delete))
        .route("/{id}/apply-update", post(apply_update))
        .route("/{id}/undrain", post(undrain))
        .route("/{id}/usage", get(usage::of_runner))
        .route("/{id}/preview", post(placing::preview_runner))
        .route("/{id}/network", get(network))
}

async fn create(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly", "runnerId"])?;
    let envelope = Envelope::open(body, Object::Runner).map_err(ApiError::invalid)?;
    let change = params.change(&known, envelope.is_dry_run)?;
    let id = runner_id(envelope.runner_id.as_deref().or(known.get("runnerId")))?;
    let draft = read_runner_draft(&envelope.object, &envelope.source, id.as_ref());
    let draft = draft.map_err(ApiError::invalid)?;
    let runner = plane
        .create_runner(&caller, draft, change.is_dry_run)
        .await?;
    Ok(answer(&plane, &runner))
}

fn runner_id(text: Option<&str>) -> ApiResult<Option<RunnerId>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error: palisade_model::name::NameError| {
            let path = FieldPath::root().key("runnerId");
            let violation = Violation::new(path, ViolationKind::Invalid, error.to_string());
            ApiError::invalid(vec![Finding {
                violation,
                place: None,
            }])
        })
}

async fn read(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let runner = plane.get_runner(&caller, &id).await?;
    Ok(answer(&plane, &runner))
}

async fn list(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["pageSize", "pageToken", "cluster", "zone"])?;
    let listing = Listing::new(RUNNERS, &caller.organization)
        .with("cluster", known.get("cluster").unwrap_or_default())
        .with("zone", known.get("zone").unwrap_or_default());
    let request =
        page::request::<RunnerId>(&listing, known.get("pageSize"), known.get("pageToken"))?;
    let filter = RunnerFilter {
        cluster: known.parsed("cluster")?,
        zone: known.parsed("zone")?,
    };
    let found = plane.list_runners(&caller, &filter, request).await?;
    let runners = found.items.iter();
    let answer = rest::ListManagedRunnersAnswer {
        managed_runners: runners.map(|runner| body(&plane, runner)).collect(),
        next_page_token: listing.token(found.next),
    };
    Ok(Json(answer).into_response())
}

async fn update(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let known = params.known(&["updateMask", "validateOnly"])?;
    let (edit, change) = read_edit(body, &params, &known)?;
    let runner = plane.update_runner(&caller, &id, edit, change).await?;
    Ok(answer(&plane, &runner))
}

/// What a request changes, within its mask, and how.
pub(super) fn read_edit(
    body: Node,
    params: &Params,
    known: &Known,
) -> ApiResult<(Located<RunnerEdit>, Change)> {
    let envelope = Envelope::open(body, Object::Runner).map_err(ApiError::invalid)?;
    let change = params.change(known, envelope.is_dry_run)?;
    let edit = read_runner_edit(&envelope.object, &envelope.source);
    let edit = edit.map_err(ApiError::invalid)?;
    let mask = envelope
        .update_mask
        .or_else(|| known.get("updateMask").and_then(split_mask));
    Ok((masked(edit, mask.as_deref())?, change))
}

/// What the mask leaves of the document; all of it without a mask.
fn masked(edit: Located<RunnerEdit>, mask: Option<&[String]>) -> ApiResult<Located<RunnerEdit>> {
    let Some(paths) = mask else {
        return Ok(edit);
    };
    let at = FieldPath::root().key("updateMask");
    let fields = runner_mask(paths, &at).map_err(ApiError::invalid)?;
    let Located { value, origin } = edit;
    match value.masked(&fields) {
        Ok(value) => Ok(Located { value, origin }),
        Err(missing) => {
            let what = "is named by the update mask but not given";
            let findings = missing
                .into_iter()
                .map(|path| origin.locate(Violation::new(path, ViolationKind::Required, what)));
            Err(ApiError::invalid(findings.collect()))
        }
    }
}

async fn delete(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly", "force", "drain"])?;
    let change = params.change(&known, false)?;
    let ending = ending(&known)?;
    let left = plane.delete_runner(&caller, &id, change, ending).await?;
    Ok(left.map_or_else(empty, |runner| answer(&plane, &runner)))
}

async fn undrain(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let runner = plane.undrain_runner(&caller, &id).await?;
    Ok(answer(&plane, &runner))
}

/// The longest drain, in seconds: a week.
const DRAIN_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

fn ending(known: &Known) -> ApiResult<Ending> {
    let drain = known.parsed::<u32>("drain")?;
    let wrong = |kind, what: String| {
        let violation = Violation::new(FieldPath::root().key("drain"), kind, what);
        let finding = Finding {
            violation,
            place: None,
        };
        ApiError::invalid(vec![finding])
    };
    match (known.flag("force")?, drain) {
        (true, Some(_)) => {
            let what = "contradicts force, which ends the sandboxes now".to_owned();
            Err(wrong(ViolationKind::Conflict, what))
        }
        (_, Some(seconds)) if seconds > DRAIN_SECONDS_MAX => {
            let what = format!("must be at most {DRAIN_SECONDS_MAX} seconds, which is a week");
            Err(wrong(ViolationKind::Invalid, what))
        }
        (false, Some(seconds)) => Ok(Ending::Drain(Duration::from_secs(seconds.into()))),
        (true, None) => Ok(Ending::Force),
        (false, None) => Ok(Ending::Refuse),
    }
}

/// Nothing updates a runner from here: its operator installs what it runs.
async fn apply_update(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&["validateOnly"])?;
    let runner = plane.get_runner(&caller, &id).await?;
    let body = body(&plane, &runner);
    let version = match body.active_config_version.as_str() {
        "" => "its version is not known, as it is not connected".to_owned(),
        version => format!("it runs version {version}"),
    };
    let message = format!(
        "there is nothing to update: a self-hosted runner runs the version that its operator \
         installed; {version}"
    );
    let answer = rest::ApplyUpdateAnswer {
        runner: body,
        update_started: false,
        message,
    };
    Ok(Json(answer).into_response())
}

/// The addresses of machines are for those who run them.
async fn network(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["profile"])?;
    let what = "is required: the id or name of a profile that the runner binds";
    let profile = known.required("profile", what)?;
    let found = plane.runner_network(&caller, &id, profile).await?;
    Ok(Json(found).into_response())
}

fn answer(plane: &ControlPlane, runner: &Runner) -> Response {
    let mut body = body(plane, runner);
    if runner.uid.as_uuid().is_nil() {
        // What was only tried has no identity and no state.
        body.id.clear();
        body.etag.clear();
        return Json(body).into_response();
    }
    let etag = body.etag.clone();
    tagged(&body, &etag)
}

fn body(plane: &ControlPlane, runner: &Runner) -> rest::Runner {
    let seen = plane.live.observe(runner.uid);
    rest::Runner::new(runner, &seen, etag_of(runner))
}
