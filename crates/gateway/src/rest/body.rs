//! Bodies of requests, read within bounds.
//!
//! Of a body that is refused before its end the rest is read and thrown away, as far
//! as that is not much: most clients read no answer before they have sent everything,
//! and would see a broken connection instead. Whoever waits to be asked for a body is
//! not asked for one that is refused anyway.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::violation::Violation;
use palisade_wire::media::Media;
use tokio::time;

use crate::bulk::Refused;
use crate::error::{ApiError, ApiResult};

/// The largest body: the largest file that a call carries, as base64, and room.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of a body comes that is thrown away.
const DISCARDED_BYTES_MAX: usize = 2 * BYTES_MAX;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Refuses a body that says that it is no JSON. Where there is none, nothing is
/// wrong with its type, which some clients say all the same.
pub(super) fn check(headers: &HeaderMap, body: &Body) -> Result<(), Violation> {
    if body.is_end_stream() {
        return Ok(());
    }
    let values = |name: HeaderName| {
        let values = headers.get_all(name).into_iter();
        values.map(HeaderValue::as_bytes)
    };
    let (types, codings) = (values(CONTENT_TYPE), values(CONTENT_ENCODING));
    Media::of_body(types, codings, &[Media::Json]).map(drop)
}

/// The whole body.
pub(super) async fn read(headers: &HeaderMap, mut body: Body) -> ApiResult<Bytes> {
    if said(headers).is_some_and(|length| length > BYTES_MAX) {
        discard(headers, body, 0).await;
        return Err(too_large());
    }
    let mut kept = BytesMut::new();
    // Whoever let it in ends it when it takes too long.
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Refused::among(&error).map_or_else(broken_off, ApiError::from))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if kept.len() + data.len() > BYTES_MAX {
            let seen = kept.len() + data.len();
            drop((kept, data));
            discard(headers, body, seen).await;
            return Err(too_large());
        }
        kept.extend_from_slice(&data);
    }
    Ok(kept.freeze())
}

/// Lets a client send the rest of a body of which this much came, if that is not much.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body, seen: usize) {
    let is_hopeless = said(headers).is_some_and(|length| length > DISCARDED_BYTES_MAX);
    if is_hopeless || headers.contains_key(EXPECT) {
        return;
    }
    let rest = async {
        let mut seen = seen;
        while seen <= DISCARDED_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // However far it came, the answer is the same.
    drop(time::timeout(DISCARD_TIME, rest).await);
}

/// How long the body is, if that is said before.
fn said(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // More digits than a number holds are more than the most.
    Some(length.parse().unwrap_or(usize::MAX))
}

fn broken_off() -> ApiError {
    Refusal::new(Reason::InvalidRequest, "the body did not arrive whole").into()
}

pub(super) fn too_large() -> ApiError {
    let message =
        format!("the body has more than {BYTES_MAX} bytes; larger files go through an exec stream");
    Refusal::new(Reason::RequestTooLarge, message).into()
}
