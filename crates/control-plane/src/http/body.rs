//! Bodies, read within bounds.
//!
//! Of a body that is too large the rest is thrown away before the refusal goes
//! out, as far as that is not much more: most clients read no answer before they
//! have sent everything, and would see a broken connection instead.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_wire::document::{Format, Node, parse};
use palisade_wire::media::Media;
use palisade_wire::spelling::Finding;

use super::BODY_BYTES_MAX;
use crate::error::{ApiError, ApiResult};
use crate::plane::ControlPlane;

/// How much of a body is read and thrown away, so that its sender gets to read
/// why it is refused.
const DISCARDED_BYTES_MAX: usize = 32 * BODY_BYTES_MAX;

/// The document that a request carries.
pub(super) struct Document(pub(super) Node);

impl FromRequest<ControlPlane> for Document {
    type Rejection = ApiError;

    async fn from_request(request: Request, plane: &ControlPlane) -> ApiResult<Self> {
        let (parts, body) = request.into_parts();
        let length = parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > DISCARDED_BYTES_MAX as u64) {
            return Err(too_large());
        }
        let mut reading = Reading::default();
        let all = reading.all(body);
        let ended = tokio::time::timeout(plane.limits.body_time, all).await;
        // Once all has come, so that whoever sent it reads what was wrong with it.
        let format = format(&parts.headers)?;
        let bytes = reading.bytes(ended.unwrap_or_else(|_| Err(broken())))?;
        let node = parse(&bytes, format)
            .map_err(|fault| ApiError::invalid(vec![located(Finding::from(fault))]))?;
        Ok(Self(node))
    }
}

/// The language that the body says it is written in.
fn format(headers: &HeaderMap) -> ApiResult<Format> {
    let values = |name: HeaderName| {
        let values = headers.get_all(name).into_iter();
        values.map(HeaderValue::as_bytes)
    };
    let (types, codings) = (values(CONTENT_TYPE), values(CONTENT_ENCODING));
    match Media::of_body(types, codings, Media::ALL) {
        Ok(Media::Json) => Ok(Format::Json),
        Ok(Media::Yaml) => Ok(Format::Yaml),
        Err(violation) => Err(ApiError {
            status: Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ..Refusal::invalid(vec![violation]).into()
        }),
    }
}

/// What has been read of a body.
#[derive(Debug, Default)]
struct Reading {
    kept: BytesMut,
    len: usize,
}

impl Reading {
    async fn all(&mut self, mut body: Body) -> ApiResult<()> {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else {
                continue;
            };
            self.len = self.len.saturating_add(data.len());
            if self.len <= BODY_BYTES_MAX {
                self.kept.extend_from_slice(&data);
            } else if self.len <= DISCARDED_BYTES_MAX {
                self.kept = BytesMut::new();
            } else {
                break;
            }
        }
        Ok(())
    }

    /// The whole body. That it is too large counts more than how it ended.
    fn bytes(self, ended: ApiResult<()>) -> ApiResult<Bytes> {
        if self.len > BODY_BYTES_MAX {
            return Err(too_large());
        }
        ended.map(|()| self.kept.freeze())
    }
}

/// A fault of grammar has no path, so that its place goes into the text.
fn located(mut finding: Finding) -> Finding {
    if let Some(place) = finding.place {
        let description = &finding.violation.description;
        finding.violation.description = format!("{description}, at {place}");
    }
    finding.violation.description = in_body(&finding.violation.description);
    finding
}

/// Says of what a text tells: of the body as a whole, or of something in it.
fn in_body(description: &str) -> String {
    let whole = description.strip_prefix("the document ");
    let whole = whole.unwrap_or(description);
    let verbs = ["is ", "has ", "holds ", "nests ", "grows ", "ends "];
    if verbs.iter().any(|verb| whole.starts_with(verb)) {
        format!("the body {whole}")
    } else {
        format!("in the body, {description}")
    }
}

fn too_large() -> ApiError {
    let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
    ApiError {
        status: Some(StatusCode::PAYLOAD_TOO_LARGE),
        ..ApiError::new(Reason::RequestTooLarge, message)
    }
}

fn broken() -> ApiError {
    ApiError::new(Reason::InvalidRequest, "the body did not arrive whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_sentence_about_the_body() {
        for (text, expected) in [
            ("", "the body is empty"),
            ("{", "the body is not JSON: "),
            ("[[1], 1e999]", "in the body, the number 1e999 "),
            (
                "{\"a\": 1, \"a\": 2}",
                "in the body, the key \"a\" is given twice",
            ),
        ] {
            let fault = parse(text.as_bytes(), Format::Json).unwrap_err();
            let refusal = ApiError::invalid(vec![located(Finding::from(fault))]).refusal;
            assert!(refusal.message.starts_with(expected), "{}", refusal.message);
        }
    }
}
