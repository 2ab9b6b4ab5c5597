//! `/v1beta2/sandbox/secret-stores/{store}/secrets`.
//!
//! Values go in here and never come out: they are read by the sandboxes that
//! ask for them, and by nobody else.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use palisade_model::secret::SecretAddress;
use palisade_store::PageRequest;
use palisade_store::secret::SecretHead;
use palisade_wire::page_token::Listing;
use palisade_wire::rest::{ListSecretsAnswer, StoredSecret, read_secret, secret_address};
use palisade_wire::timestamp;
use palisade_wire::v1beta2::secret_store_name;

use super::answer::empty;
use super::auth::{Admin, Reader};
use super::body::Document;
use super::params::{Params, Place};
use crate::error::ApiResult;
use crate::page;
use crate::plane::ControlPlane;

/// The name of the list, for page tokens.
const SECRETS: &str = "secrets";

pub(super) fn routes() -> Router<ControlPlane> {
    Router::new().route("/{store}/secrets", get(list).put(put).delete(delete))
}

async fn put(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(store): Place<String>,
    params: Params,
    Document(body): Document,
) -> ApiResult<Response> {
    params.known(&[])?;
    let store = secret_store_name(&store)?;
    let (address, value) = read_secret(&body.to_value())?;
    let secrets = &plane.secrets;
    let kept = secrets
        .put(&caller.organization, &store, address, value)
        .await?;
    Ok(Json(told(&kept)).into_response())
}

async fn list(
    State(plane): State<ControlPlane>,
    Reader(caller): Reader,
    Place(store): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["pageSize", "pageToken"])?;
    let store = secret_store_name(&store)?;
    let listing = Listing::new(SECRETS, &caller.organization).with("store", &store);
    let request = page::request::<Key>(&listing, known.get("pageSize"), known.get("pageToken"))?;
    let request = PageRequest {
        after: request.after.map(|Key(address)| address),
        size: request.size,
    };
    let listed = plane
        .secrets
        .list(&caller.organization, &store, request)
        .await?;
    Ok(Json(ListSecretsAnswer {
        secrets: listed.items.iter().map(told).collect(),
        next_page_token: listing.token(listed.next.map(Key)),
    })
    .into_response())
}

async fn delete(
    State(plane): State<ControlPlane>,
    Admin(caller): Admin,
    Place(store): Place<String>,
    params: Params,
) -> ApiResult<Response> {
    let known = params.known(&["path", "field"])?;
    let store = secret_store_name(&store)?;
    let path = known.required("path", "is needed: it is the name of the secret")?;
    let address = secret_address(path, known.get("field").unwrap_or_default())?;
    let secrets = &plane.secrets;
    secrets
        .delete(&caller.organization, &store, &address)
        .await?;
    Ok(empty())
}

/// A place in the list, as a token carries it. Neither part has a space.
struct Key(SecretAddress);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.path, self.0.field_text())
    }
}

impl std::str::FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (path, field) = text.split_once(' ').ok_or(())?;
        secret_address(path, field).map(Self).map_err(|_| ())
    }
}

fn told(head: &SecretHead) -> StoredSecret {
    let SecretHead {
        address,
        created_at,
        updated_at,
    } = head;
    StoredSecret {
        path: address.path.to_string(),
        field: address.field_text().to_owned(),
        created_at: timestamp::format(*created_at),
        updated_at: timestamp::format(*updated_at),
    }
}
