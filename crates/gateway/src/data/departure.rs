//! How a client left its stream: with a word, or because it was cut off.
//!
//! A client that cancels, or whose deadline passed, resets its stream. A client
//! that died, or whose network did, says nothing, and its connection breaks or
//! is given up. Only the body of the request tells them apart, and the layer
//! that reads messages from it does not pass that on: to it a reset looks like
//! the end of what the client says. So the body is watched below that layer.
//!
//! | what happened | what the body says |
//! |---|---|
//! | the client closed its half | its end, and it knows that it is one |
//! | a reset with `CANCEL` | that error |
//! | a reset after the client closed its half | its end, once more |
//! | a lost connection | any other error |
//! | a connection that was given up | an end that is none |
//!
//! Invariant: what reads the body sees the client's own end and nothing else. A
//! stream that is gone goes on for ever there; whoever answers it is told.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::HttpBody as _;
use futures_util::stream;
use http::Request;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

/// Frames that are passed over in search of how a body ended.
const LOOKS_MAX: usize = 1024;

/// How a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It said that it wants no more.
    Said,
    /// It said nothing, and may come back.
    Cut,
}

/// Knows how the client of one stream left. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    body: Body,
    left: Option<Left>,
}

/// A service that knows how its clients leave.
#[derive(Clone, Debug)]
pub(crate) struct Watch<S>(pub(super) S);

impl Departure {
    /// The body to read instead, and who knows how it ends.
    fn watch(body: Body) -> (Self, Body) {
        let watched = Watched { body, left: None };
        let departure = Self(Arc::new(Mutex::new(watched)));
        let seen = departure.clone();
        let frames = stream::poll_fn(move |context| seen.lock().poll(context));
        (departure, Body::new(StreamBody::new(frames)))
    }

    /// How the client left; only asked once it did.
    pub(super) fn how(&self) -> Left {
        let mut watched = self.lock();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..LOOKS_MAX {
            if watched.left.is_some() || watched.poll(&mut context).is_pending() {
                break;
            }
        }
        // A stream that is reset after its own end only ends once more.
        watched.left.unwrap_or(Left::Said)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Frame = Option<Result<http_body::Frame<bytes::Bytes>, Status>>;

impl Watched {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Frame> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(status))) => {
                let is_said = status.code() == Code::Cancelled;
                let left = if is_said { Left::Said } else { Left::Cut };
                self.left.get_or_insert(left);
                Poll::Pending
            }
            Poll::Ready(None) if !self.body.is_end_stream() => {
                self.left.get_or_insert(Left::Cut);
                Poll::Pending
            }
            seen @ (Poll::Ready(_) | Poll::Pending) => seen,
        }
    }
}

impl<S: NamedService> NamedService for Watch<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Watch<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let (mut parts, body) = request.into_parts();
        let (departure, body) = Departure::watch(body);
        parts.extensions.insert(departure);
        self.0.call(Request::from_parts(parts, body))
    }
}
