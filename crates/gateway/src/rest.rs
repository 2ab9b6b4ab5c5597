//! The calls of clients as REST, from the handlers that gRPC has.
//!
//! A request becomes the message of its call and goes the way of every call: the
//! same guard, the same service. Only what stands before and behind is another
//! protocol, so that there is no second meaning of anything.
//!
//! ```text
//!  path ─► call ─► guard ─► body ─► message ─► service ─► answer ─► JSON
//!                    └── a refusal, from wherever, becomes a status in JSON ──┘
//! ```

use std::sync::Arc;

use axum::RequestPartsExt as _;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, any, on};
use axum::{Json, Router};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::transcode::{self, RULES, Rule, Texts, Verb};
use palisade_wire::{grpc_call, grpc_status, headers, query};
use tower::ServiceExt as _;

use crate::bulk::Berth;
use crate::context::{Context, status};
use crate::error::{ApiError, ApiResult};
use crate::guard::{self, AfterReply, Guard};

mod body;

/// What comes before a message in gRPC: whether it is compressed, and its length.
pub(crate) const PREFIX_LEN: usize = 5;

const GRPC: HeaderValue = HeaderValue::from_static(headers::GRPC);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const TE: HeaderName = HeaderName::from_static("te");

/// Which call a request is, found from its path.
#[derive(Clone, Debug)]
struct Called {
    rule: &'static Rule,
    texts: Arc<Texts>,
}

/// What HTTP says more exactly than the code of a refusal.
#[derive(Clone, Copy, Debug)]
struct HttpStatus(StatusCode);

/// Everything behind the guard.
#[derive(Clone, Debug)]
struct Behind(Router);

/// The services behind `guard`, in front of which nothing stands yet.
pub(crate) fn router(services: Router, guard: Guard) -> Router {
    let behind = Router::new()
        .fallback(any(call))
        .with_state(Behind(services))
        .layer(from_fn_with_state(guard, guard::call));
    let mut router = Router::new();
    for rule in RULES {
        let behind = behind.clone();
        let enter = move |request: Request| enter(rule, behind, request);
        router = router.route(&path(rule), on(filter(rule.verb), enter));
    }
    router.method_not_allowed_fallback(no_such_method)
}

/// As the router spells it. A file is the rest of the path, so that its slashes
/// may be written as they are.
fn path(rule: &Rule) -> String {
    rule.path.replace("{filepath}", "{*filepath}")
}

fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
        Verb::Delete => MethodFilter::DELETE,
    }
}

/// The texts of a path and a query, or what is wrong and where.
async fn texts(parts: &mut Parts) -> Result<Texts, (&'static str, String)> {
    query::check_path(parts.uri.path()).map_err(|error| ("path", error.to_string()))?;
    let places = parts.extract::<RawPathParams>().await.map_err(|_| {
        let wrong = "is not UTF-8 text, with other characters written as in %20";
        ("path", wrong.to_owned())
    })?;
    let places = places
        .iter()
        .map(|(key, text)| (key.to_owned(), place(key, text)))
        .collect();
    let query = query::pairs(parts.uri.query().unwrap_or_default());
    let query = query.map_err(|error| ("query", error.to_string()))?;
    Ok(Texts { places, query })
}

/// What a place of a path says. Every file is meant from the root down, whether
/// its first slash is written twice, as `%2F`, or not at all.
fn place(key: &str, text: &str) -> String {
    if key == "filepath" && !text.starts_with('/') {
        return format!("/{text}");
    }
    text.to_owned()
}

/// A refusal of what never becomes a call, and so passes no guard.
fn malformed(field: &str, description: &str, headers: &HeaderMap) -> Response {
    let path = FieldPath::root().key(field);
    let violation = Violation::new(path, ViolationKind::Invalid, description);
    no_call(&Refusal::invalid(vec![violation]), headers)
}

/// A refusal under the name that the guard would have given the call.
fn no_call(refusal: &Refusal, headers: &HeaderMap) -> Response {
    let id = guard::request_id(headers);
    guard::named(told(&grpc_status::status(refusal, &id)), &id)
}

/// Sends a request on as the call that it is, and tells its refusal in JSON.
async fn enter(rule: &'static Rule, behind: Router, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let texts = match texts(&mut parts).await {
        Ok(texts) => texts,
        Err((field, wrong)) => return malformed(field, &wrong, &parts.headers),
    };
    let Ok(uri) = rule.grpc_path().parse() else {
        return malformed("path", "is no call", &parts.headers);
    };
    parts.uri = uri;
    // How messages of gRPC are packed says nothing about this one.
    parts.headers.remove(grpc_call::ENCODING);
    let texts = Arc::new(texts);
    parts.extensions.insert(Called { rule, texts });
    let sent = behind.oneshot(Request::from_parts(parts, body)).await;
    let Ok(response) = sent;
    let mut response = match tonic::Status::from_header_map(response.headers()) {
        Some(status) => {
            let mut told = told(&status);
            if let Some(HttpStatus(exactly)) = response.extensions().get() {
                *told.status_mut() = *exactly;
            }
            keep_id(response.headers(), told.headers_mut());
            told
        }
        None => response,
    };
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// What the guard lets through: from the body to the answer.
async fn call(State(Behind(services)): State<Behind>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let berth = parts.extensions.remove::<Berth>();
    let (Some(called), Some(context)) = (
        parts.extensions.get::<Called>().cloned(),
        parts.extensions.get::<Context>().cloned(),
    ) else {
        // The way in and the guard put both there.
        return tonic::Status::internal("the call passed no guard").into_http();
    };
    let id = context.request_id.clone();
    if called.rule.verb.has_body()
        && let Err(violation) = body::check(&parts.headers, &body)
    {
        body::discard(&parts.headers, body, 0).await;
        return unsupported(violation, &id);
    }
    let large = (body, berth);
    match answered(services, &called, context, parts.headers, large).await {
        Ok(response) => response,
        Err(error) => status(&error, &id).into_http(),
    }
}

/// The refusal of a body that is no JSON.
fn unsupported(violation: Violation, id: &str) -> Response {
    let refusal = Refusal::invalid(vec![violation]);
    let mut response = status(&refusal.into(), id).into_http();
    let exactly = HttpStatus(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    response.extensions_mut().insert(exactly);
    response
}

async fn answered(
    services: Router,
    called: &Called,
    context: Context,
    headers: HeaderMap,
    (body, berth): (Body, Option<Berth>),
) -> ApiResult<Response> {
    let body = body::read(&headers, body).await?;
    let message = transcode::encode_request(called.rule, &called.texts, &body);
    let message = message.map_err(Refusal::invalid)?;
    drop(body);
    let mut request = grpc_request(called.rule, context, headers, &message)?;
    drop(message);
    if let Some(berth) = berth {
        // From here on it is the handler's.
        request.extensions_mut().insert(berth);
    }
    let Ok(answer) = services.oneshot(request).await;
    let (mut parts, body) = answer.into_parts();
    // A refusal goes on as it is: whoever let the request in tells it.
    if parts.headers.contains_key(GRPC_STATUS) {
        return Ok(Response::from_parts(parts, body));
    }
    let collected = body.collect().await.map_err(ApiError::internal)?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    if tonic::Status::from_header_map(&trailers).is_some_and(|it| it.code() != tonic::Code::Ok) {
        parts.headers.extend(trailers);
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let json = json(called.rule, collected.to_bytes())?;
    let mut response = ([(CONTENT_TYPE, "application/json")], json).into_response();
    if let Some(after) = parts.extensions.remove::<AfterReply>() {
        response.extensions_mut().insert(after);
    }
    Ok(response)
}

/// The request that a client of gRPC would have sent.
fn grpc_request(
    rule: &Rule,
    context: Context,
    mut headers: HeaderMap,
    message: &[u8],
) -> ApiResult<Request> {
    let length = u32::try_from(message.len()).map_err(|_| body::too_large())?;
    let mut framed = BytesMut::with_capacity(PREFIX_LEN + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let mut request = http::Request::post(rule.grpc_path())
        .version(http::Version::HTTP_2)
        .body(Body::from(framed.freeze()))
        .map_err(ApiError::internal)?;
    *request.headers_mut() = headers;
    request.extensions_mut().insert(context);
    Ok(request)
}

/// The message of an answer, as JSON.
fn json(rule: &Rule, mut framed: Bytes) -> ApiResult<Vec<u8>> {
    if framed.len() < PREFIX_LEN || framed[0] != 0 {
        return Err(ApiError::internal(NoMessage));
    }
    framed.advance(PREFIX_LEN);
    transcode::decode_answer(rule, &framed).map_err(ApiError::internal)
}

/// A service answered without a message that can be read.
#[derive(Debug, thiserror::Error)]
#[error("the answer holds no message")]
struct NoMessage;

async fn no_such_method(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(128).collect();
    let message = format!("{} is not supported at {path}", request.method());
    let refusal = Refusal::new(Reason::NotImplemented, message).with_code(Code::Unimplemented);
    let mut response = no_call(&refusal, request.headers());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// A refusal in JSON, with the headers that go with it.
fn told(status: &tonic::Status) -> Response {
    let code = http_status(status);
    let told = grpc_status::read(status);
    let wait = told.retry_after();
    let mut response = (code, Json(told)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(wait) = wait {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            headers.insert(RETRY_AFTER, value);
        }
    }
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What is too large has a status of its own in HTTP.
fn http_status(status: &tonic::Status) -> StatusCode {
    let reason = grpc_status::read(status);
    if reason.reason() == Some(Reason::RequestTooLarge.as_str()) {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    let code = Code::of_number(status.code() as i32).map_or(500, Code::http_status);
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn keep_id(from: &HeaderMap, to: &mut HeaderMap) {
    const ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);
    if let Some(id) = from.get(&ID) {
        to.insert(ID, id.clone());
    }
}
