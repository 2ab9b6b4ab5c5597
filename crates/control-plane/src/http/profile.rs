//! `/v1beta2/sandbox/profile-templates`.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use palisade_model::name::DisplayName;
use palisade_model::profile::{Profile, Revision};
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_store::profile::ProfileRevision;
use palisade_wire::document::Node;
use palisade_wire::envelope::{Envelope, Object, split_mask};
use palisade_wire::page_token::Listing;
use palisade_wire::profile_document::{
    ProfileEdit, profile_mask, read_profile_draft, read_profile_edit,
};
use palisade_wire::{Located, rest, timestamp};

use super::answer::{empty, tagged};
use super::auth::{Admin, Reader};
use super::body::Document;
use super::params::{Known, Params, Place};
use super::{placing, usage};
use crate::error::{ApiError, ApiResult};
use crate::page;
use crate::plane::ControlPlane;
use crate::profiles::{Change, etag_of};

/// The names of the lists, for page tokens.
const PROFILES: &str = "profiles";
const REVISIONS: &str = "profile-revisions";

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new()
        .route("/", get(list).post(create))
        .route("/{id}", get(read).patch(update).delete(delete))
        .route("/{id}/denials", get(denials))
        .route("/{id}/revisions", get(list_revisions))
        .route("/{id}/revisions/{revision}", get(read_revision))
        .route("/{id}/revisions/{revision}/rollback", post(roll_back))
        .route("/{id}/usage", get(usage::of_profile))
        .route("/{id}/resolved", get(placing::resolved))
        .route("/{id}/preview", post(placing::preview_profile))
}

async fn create(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly"])?;
    let envelope = Envelope::open(body, Object::Profile).map_err(ApiError::invalid)?;
    let change = params.change(&known, envelope.is_dry_run)?;
    let draft = read_profile_draft(&envelope.object, &envelope.source);
    let draft = draft.map_err(ApiError::invalid)?;
    let profile = plane
        .create_profile(&caller, draft, change.is_dry_run)
        .await?;
    Ok(answer(&profile))
}

async fn read(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let profile = plane.get_profile(&caller, &id).await?;
    Ok(answer(&profile))
}

async fn denials(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let (id, totals, uncounted) = plane.profile_denials(&caller, &id).await?;
    Ok(Json(rest::ProfileDenials::new(id, totals, uncounted)).into_response())
}

async fn list(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["pageSize", "pageToken"])?;
    let listing = Listing::new(PROFILES, &caller.organization);
    let request =
        page::request::<DisplayName>(&listing, known.get("pageSize"), known.get("pageToken"))?;
    let found = plane.list_profiles(&caller, request).await?;
    let profiles = found.items.iter();
    let answer = rest::ListProfileTemplatesAnswer {
        profile_templates: profiles
            .map(|profile| rest::ProfileTemplate::new(profile, etag_of(profile)))
            .collect(),
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
    let profile = plane.update_profile(&caller, &id, edit, change).await?;
    Ok(answer(&profile))
}

/// What a request changes, within its mask, and how.
pub(super) fn read_edit(
    body: Node,
    params: &Params,
    known: &Known,
) -> ApiResult<(Located<ProfileEdit>, Change)> {
    let envelope = Envelope::open(body, Object::Profile).map_err(ApiError::invalid)?;
    let change = params.change(known, envelope.is_dry_run)?;
    let edit = read_profile_edit(&envelope.object, &envelope.source);
    let edit = edit.map_err(ApiError::invalid)?;
    let mask = envelope
        .update_mask
        .or_else(|| known.get("updateMask").and_then(split_mask));
    Ok((masked(edit, mask.as_deref())?, change))
}

/// What the mask leaves of the document; all of it without a mask.
fn masked(edit: Located<ProfileEdit>, mask: Option<&[String]>) -> ApiResult<Located<ProfileEdit>> {
    let Some(paths) = mask else {
        return Ok(edit);
    };
    let at = FieldPath::root().key("updateMask");
    let fields = profile_mask(paths, &at).map_err(ApiError::invalid)?;
    let Located { value, origin } = edit;
    match value.masked(&fields) {
        Ok(value) => Ok(Located { value, origin }),
        Err(missing) => {
            let path = FieldPath::root().key("spec");
            let kind = ViolationKind::Required;
            let violation = Violation::new(path, kind, missing.to_string());
            Err(ApiError::invalid(vec![origin.locate(violation)]))
        }
    }
}

async fn delete(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly"])?;
    let change = params.change(&known, false)?;
    plane.delete_profile(&caller, &id, change).await?;
    Ok(empty())
}

async fn list_revisions(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(id): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["pageSize", "pageToken"])?;
    let listing = Listing::new(REVISIONS, &caller.organization).with("profile", &id);
    let request =
        page::request::<RevisionKey>(&listing, known.get("pageSize"), known.get("pageToken"))?;
    let request = palisade_store::PageRequest {
        after: request.after.map(|key| key.0),
        size: request.size,
    };
    let found = plane.list_profile_revisions(&caller, &id, request).await?;
    let answer = rest::ListProfileRevisionsAnswer {
        profile_revisions: found.items.iter().map(revision_answer).collect(),
        next_page_token: listing.token(found.next.map(|key| key.0)),
    };
    Ok(Json(answer).into_response())
}

async fn read_revision(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place((id, revision)): Place<(String, String)>,
    params: Params,
) -> ApiResult<Response> {
    params.known(&[])?;
    let revision = number(&revision)?;
    let found = plane.get_profile_revision(&caller, &id, revision).await?;
    Ok(Json(revision_answer(&found)).into_response())
}

/// The number of a revision, as it stands in a path.
fn number(text: &str) -> ApiResult<Revision> {
    let parsed = text.parse::<RevisionKey>();
    parsed.map(|key| key.0).map_err(|_| {
        let path = FieldPath::root().key("revision");
        let what = "must be the number of a revision, counted from 1";
        ApiError::from(Refusal::invalid(vec![Violation::new(
            path,
            ViolationKind::Invalid,
            what,
        )]))
    })
}

async fn roll_back(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place((id, revision)): Place<(String, String)>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["validateOnly"])?;
    let change = params.change(&known, false)?;
    let to = number(&revision)?;
    let profile = plane.rollback_profile(&caller, &id, to, change).await?;
    Ok(answer(&profile))
}

/// The number of a revision as text.
struct RevisionKey(Revision);

impl std::str::FromStr for RevisionKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|number| Self(Revision(number)))
    }
}

fn answer(profile: &Profile) -> Response {
    let etag = etag_of(profile);
    let mut body = rest::ProfileTemplate::new(profile, etag.clone());
    if profile.id.as_uuid().is_nil() {
        // What was only tried has no identity and no state.
        body.id.clear();
        body.etag.clear();
        return Json(body).into_response();
    }
    tagged(&body, &etag)
}

fn revision_answer(found: &ProfileRevision) -> rest::ProfileRevision {
    let ProfileRevision {
        id,
        revision,
        display_name,
        description,
        labels,
        spec,
        stamp,
    } = found;
    rest::ProfileRevision {
        revision: revision.0,
        profile_template_id: id.to_string(),
        display_name: display_name.to_string(),
        description: description.clone(),
        spec: rest::ProfileSpec::from(spec),
        labels: labels.clone(),
        created_by: stamp.by.to_string(),
        created_at: timestamp::format(stamp.at),
    }
}
