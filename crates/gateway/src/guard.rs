//! What holds for every call: an id, bounds, and a caller whose token is valid.
//!
//! A call holds its place until its answer has been sent, streams included. A
//! call that is refused here never reaches a service, and its refusal has the
//! same shape as any other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_wire::v1beta2::{FILE_BYTES_MAX, announced_file_bytes};
use palisade_wire::{grpc_call, headers};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tracing::{Instrument as _, Span, info_span};
use uuid::Uuid;

use crate::auth::Gate;
use crate::bulk::{self, Berth, Bulk, Measure, Opening};
use crate::context::{Context, status};
use crate::error::{ApiError, ApiResult};
use crate::hub::Held;
use crate::tools::Tools;

const REQUEST_ID: HeaderName = HeaderName::from_static(headers::REQUEST_ID);
const DEADLINE: HeaderName = HeaderName::from_static(grpc_call::TIMEOUT);
const ENCODING: HeaderName = HeaderName::from_static(grpc_call::ENCODING);
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static(grpc_call::ACCEPT_ENCODING);
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Codes of gRPC, as they stand in its headers.
const OUT_OF_RANGE: &[u8] = b"11";
const UNIMPLEMENTED: &[u8] = b"12";
const INTERNAL: &[u8] = b"13";

/// The call that carries files to sandboxes.
const ADD_FILE: &str = "/coreweave.sandbox.v1beta2.GatewayService/AddFile";

/// How long a caller is told to wait when there is too much to do.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// Calls that last as long as what they run or wait for; they keep their own time.
const LONG_CALLS: [&str; 7] = [
    "/coreweave.sandbox.v1beta2.GatewayService/Exec",
    "/coreweave.sandbox.v1beta2.GatewayService/Raw",
    "/coreweave.sandbox.v1beta2.GatewayService/Pause",
    "/coreweave.sandbox.v1beta2.GatewayService/Resume",
    "/coreweave.sandbox.v1beta2.GatewayService/Start",
    "/coreweave.sandbox.v1beta2.GatewayService/Stop",
    "/coreweave.sandbox.v1beta2.GatewayService/CreateFileSystemSnapshot",
];

/// Lets callers in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    gate: Gate,
    places: Arc<Semaphore>,
    bulk: Bulk,
    /// Of messages on streams.
    bulk_on_streams: Bulk,
    call_time: Duration,
}

/// What happens once the answer has been handed to the network.
#[derive(Clone, Debug)]
pub(crate) struct AfterReply {
    /// Lets go when it is dropped.
    _held: Arc<Held>,
}

impl AfterReply {
    pub(crate) fn new(held: Held) -> Self {
        Self {
            _held: Arc::new(held),
        }
    }
}

impl Guard {
    pub(crate) fn new(tools: &Tools, gate: Gate) -> Self {
        Self {
            gate,
            places: Arc::new(Semaphore::new(tools.config.calls_max)),
            bulk: Bulk::default(),
            bulk_on_streams: Bulk::on_streams(),
            call_time: tools.config.call_time,
        }
    }

    fn place(&self) -> ApiResult<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let message = "the server has too many calls at once; try again in a moment";
            let refusal = Refusal::new(Reason::Overloaded, message);
            refusal.retry_after(BUSY_RETRY).into()
        })
    }

    fn measured(&self, request: &Request, id: &str) -> Option<Measure> {
        let context = request.extensions().get::<Context>()?;
        let kind = request.headers().get(CONTENT_TYPE);
        Some(Measure {
            organization: context.caller.organization.clone(),
            limit: self.call_time,
            request_id: id.to_owned(),
            is_prefixed: headers::is_grpc(kind.map(HeaderValue::as_bytes)),
        })
    }

    /// Holds a large body back until there is room for it, which is taken for as long as
    /// somebody has what is returned. A handler finds it in the extensions.
    fn measure(&self, request: &mut Request, id: &str) -> Berth {
        let Some(measure) = self.measured(request, id) else {
            return Berth::default();
        };
        let body = std::mem::take(request.body_mut());
        let (body, berth) = self.bulk.measure(body, measure);
        *request.body_mut() = body;
        request.extensions_mut().insert(berth.clone());
        berth
    }

    /// Holds large messages of a stream back until there is room for each.
    fn measure_messages(&self, request: &mut Request, id: &str) {
        if let Some(measure) = self.measured(request, id) {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = self.bulk_on_streams.measure_messages(body, measure);
        }
    }

    async fn admit(&self, request: &mut Request, id: &str) -> ApiResult<OwnedSemaphorePermit> {
        let place = self.place()?;
        let caller = self.gate.caller(request.headers()).await?;
        let context = Context {
            caller,
            request_id: id.to_owned(),
        };
        request.extensions_mut().insert(context);
        Ok(place)
    }
}

/// What a call must keep to.
enum Bounds {
    /// It stays open, and is read piece by piece.
    Open,
    /// It is read as a whole, and answered once.
    Once {
        /// Within this time, if it has one.
        limit: Option<Duration>,
        /// It lasts as long as what it runs or waits for.
        is_long: bool,
    },
}

/// For calls that are answered once.
pub(crate) async fn call(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let asked = deadline(request.headers());
    let is_long = LONG_CALLS.contains(&request.uri().path());
    let limit = match (asked, is_long) {
        (Some(asked), true) => Some(asked),
        (None, true) => None,
        (asked, false) => Some(asked.map_or(guard.call_time, |it| it.min(guard.call_time))),
    };
    enter(guard, request, next, Bounds::Once { limit, is_long }).await
}

/// For calls that stay open.
pub(crate) async fn stream(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    enter(guard, request, next, Bounds::Open).await
}

async fn enter(guard: Guard, mut request: Request, next: Next, bounds: Bounds) -> Response {
    let id = request_id(request.headers());
    let span = span(&request, &id);
    let path = request.uri().path().to_owned();
    let answer = async {
        let place = match guard.admit(&mut request, &id).await {
            Ok(place) => place,
            Err(error) => return refuse(&error, &id),
        };
        if let Err(refusal) = well_made(request.headers()) {
            return told_what_is_accepted(refuse(&refusal.into(), &id));
        }
        let (limit, is_long, berth) = match bounds {
            Bounds::Open => {
                guard.measure_messages(&mut request, &id);
                (None, true, Berth::default())
            }
            Bounds::Once { limit, is_long } => (limit, is_long, guard.measure(&mut request, &id)),
        };
        // Whoever serves a long one knows for how long it is large.
        let (wait, opened) = (berth.wait(), berth.opened());
        let _held = (!is_long).then_some(berth);
        let answer = next.run(request);
        let response = match limit {
            Some(limit) => time::timeout(limit, answer).await,
            None => Ok(answer.await),
        };
        match response {
            Ok(response) => until_sent(explained(response, &path, &id, opened.get()), place),
            Err(_) if wait.is_on() => refuse(&bulk::no_room().into(), &id),
            Err(_) => refuse(&too_slow(), &id),
        }
    };
    named(answer.instrument(span).await, &id)
}

/// For runners, which prove themselves by a join token.
pub(crate) async fn runner(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let span = span(&request, &id);
    let answer = async {
        match guard.gate.runner(request.headers()).await {
            Ok(runner) => {
                request.extensions_mut().insert(runner);
                next.run(request).await
            }
            Err(error) => refuse(&error, &id),
        }
    };
    named(answer.instrument(span).await, &id)
}

/// For paths that lead nowhere.
pub(crate) async fn nowhere(request: Request) -> Response {
    let id = request_id(request.headers());
    refuse(&no_method(request.uri().path()).into(), &id)
}

fn no_method(path: &str) -> Refusal {
    let path: String = path.chars().take(128).collect();
    let message = format!("this server has no method {path:?}");
    Refusal::new(Reason::NotImplemented, message).with("feature", path)
}

/// Gives a reason to a refusal of the layer that reads messages.
///
/// All of ours carry details, so that one without them comes from below, and
/// what is broken is the request: the layer calls that a fault of the server.
fn explained(response: Response, path: &str, id: &str, opening: Option<&Opening>) -> Response {
    let headers = response.headers();
    let status = headers.get(STATUS).map(HeaderValue::as_bytes);
    let refusal = match status {
        Some(_) if headers.contains_key(DETAILS) => return response,
        Some(OUT_OF_RANGE) if path == ADD_FILE => larger_than_any_file(opening),
        Some(OUT_OF_RANGE) => Refusal::new(
            Reason::RequestTooLarge,
            "the request is larger than this server reads",
        ),
        Some(UNIMPLEMENTED) => no_method(path),
        Some(INTERNAL) => Refusal::new(
            Reason::InvalidRequest,
            "the request is not a message that this method reads",
        ),
        Some(_) | None => return response,
    };
    refuse(&refusal.into(), id)
}

/// Clients that are told so stream the file instead. Its path comes behind its
/// content, which is not read; its size comes before.
fn larger_than_any_file(opening: Option<&Opening>) -> Refusal {
    let text = "the file is larger than one call may carry; stream it into a command";
    let mut refusal = Refusal::new(Reason::FileTooLarge, text)
        .with("max_size_bytes", FILE_BYTES_MAX.to_string())
        .with("operation", "write");
    if let Some(Opening {
        message_bytes,
        head,
    }) = opening
    {
        refusal = refusal.with("request_bytes", message_bytes.to_string());
        let size = announced_file_bytes(head);
        if let Some(size) = size.filter(|size| *size <= *message_bytes as u64) {
            refusal = refusal.with("size_bytes", size.to_string());
        }
    }
    refusal
}

fn span(request: &Request, id: &str) -> Span {
    info_span!("call", request.id = %id, grpc.path = %request.uri().path())
}

fn refuse(error: &ApiError, id: &str) -> Response {
    status(error, id).into_http()
}

/// Says that messages are taken as they are, as gRPC wants it with such a refusal.
fn told_what_is_accepted(mut response: Response) -> Response {
    let identity = HeaderValue::from_static(grpc_call::IDENTITY);
    response.headers_mut().insert(ACCEPT_ENCODING, identity);
    response
}

pub(crate) fn too_slow() -> ApiError {
    let message = "the call took too long; a change may have been made all the same";
    Refusal::new(Reason::BackendUnavailable, message)
        .with_code(Code::DeadlineExceeded)
        .retry_after(BUSY_RETRY)
        .into()
}

/// Keeps the place, and holds back what comes after the reply, until the last
/// of the answer was handed to the network, or its reader left.
fn until_sent(mut response: Response, place: OwnedSemaphorePermit) -> Response {
    let after = response.extensions_mut().remove::<AfterReply>();
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _kept = (&place, &after);
            frame
        }))
    })
}

pub(crate) fn named(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The id that the caller gave, if it can stand in a log as it is.
pub(crate) fn request_id(map: &HeaderMap) -> String {
    let given = map.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match headers::request_id(given) {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    }
}

/// The time that the caller gives the call; the guard lets none pass that is no time.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    grpc_call::timeout(headers.get(DEADLINE)?.as_bytes())
}

/// Refuses what headers say of how a call is made, and is not done here.
fn well_made(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = headers.get_all(DEADLINE).into_iter();
    grpc_call::check_timeout(said.map(HeaderValue::as_bytes))?;
    grpc_call::check_encoding(headers.get(ENCODING).map(HeaderValue::as_bytes))
}
