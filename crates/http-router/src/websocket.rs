//! `WebSockets` of HTTP/2 (RFC 8441), asked of sandboxes as HTTP/1.1 knows them.
//!
//! A client of HTTP/2 opens one with an extended CONNECT and hears 200; a server of
//! HTTP/1.1 is asked with GET to change its protocol and answers 101, over a key that
//! only these two need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;

use crate::fault::Fault;

/// What sandboxes call it.
pub(crate) const PROTOCOL: HeaderValue = HeaderValue::from_static("websocket");

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const KEY_LEN: usize = 16;

/// Makes of an extended CONNECT what a sandbox understands; tells whether it was
/// one. Tunnels by a plain CONNECT are refused.
pub(crate) fn unfold<T>(request: &mut Request<T>) -> Result<bool, Fault> {
    if request.method() != Method::CONNECT {
        return Ok(false);
    }
    let protocol = request.extensions().get::<Protocol>();
    if protocol.is_none_or(|protocol| protocol.as_str().as_bytes() != PROTOCOL.as_bytes()) {
        return Err(Fault::Connect);
    }
    let mut key = [0; KEY_LEN];
    // It keeps caches from answering, and is no secret.
    let _ = getrandom::fill(&mut key);
    let key = HeaderValue::from_str(&STANDARD.encode(key)).map_err(|_| Fault::Connect)?;
    request.headers_mut().insert(KEY, key);
    *request.method_mut() = Method::GET;
    Ok(true)
}

/// Says in the words of HTTP/2 that the protocol has changed.
pub(crate) fn fold<T>(response: &mut Response<T>) {
    *response.status_mut() = StatusCode::OK;
    for name in [ACCEPT, CONNECTION, UPGRADE] {
        response.headers_mut().remove(name);
    }
}
