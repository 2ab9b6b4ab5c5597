//! Bounds of what comes before a body: the address and the headers of a request.
//!
//! What cannot be read at all, or goes beyond what the library reads, is answered by
//! it, without a body. These bounds are narrower than its own over HTTP/1.1, so that
//! what is merely too long gets an answer that says so.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version};
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_wire::headers;
use palisade_wire::status::Status;
use uuid::Uuid;

use super::host;

/// The longest path and query: the longest path of a file with every byte written as
/// in `%20`, and room.
const ADDRESS_BYTES_MAX: usize = 16 * 1024;
/// The most headers.
const HEADERS_MAX: usize = 100;
/// What they may count together, names included.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The most headers that are read at all, so that more than may be are told so.
pub(super) const HEADERS_READ_MAX: usize = 4 * HEADERS_MAX;

const REQUEST_ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);

/// The refusal of a head that does not say whom it is for.
pub(super) fn misaddressed(version: Version, map: &HeaderMap) -> Option<Response> {
    let text = host::fault(version, map)?;
    let refusal = Refusal::new(Reason::InvalidRequest, text);
    Some(told(StatusCode::BAD_REQUEST, &refusal, map))
}

/// The refusal of a head that is too long.
pub(super) fn refused(uri: &Uri, map: &HeaderMap) -> Option<Response> {
    let address = uri.path_and_query().map_or(0, |it| it.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        let text = format!("the address has {address} bytes; at most {ADDRESS_BYTES_MAX} are read");
        let refusal = Refusal::new(Reason::RequestTooLarge, text);
        return Some(told(StatusCode::URI_TOO_LONG, &refusal, map));
    }
    let bytes = map.iter();
    let bytes: usize = bytes
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if map.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let text = format!(
            "there are {} headers with {bytes} bytes; at most {HEADERS_MAX} with {HEADER_BYTES_MAX} are read",
            map.len()
        );
        let code = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let refusal = Refusal::new(Reason::RequestTooLarge, text);
        return Some(told(code, &refusal, map));
    }
    None
}

fn told(code: StatusCode, refusal: &Refusal, map: &HeaderMap) -> Response {
    let given = map.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let id = match headers::request_id(given) {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    };
    let mut response = (code, Json(Status::new(refusal, &id))).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}
