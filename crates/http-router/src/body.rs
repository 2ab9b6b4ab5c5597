//! Bodies on their way, which end if they stop or their route goes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Why a body ended before its end.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Any body.
pub(crate) type Body = BoxBody<Bytes, BoxError>;

#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Broken {
    #[error("nothing arrived for too long")]
    Silent,
    #[error("the sandbox is gone")]
    Gone,
}

/// A body whose pauses are bounded.
pub(crate) struct Watched {
    inner: Incoming,
    pause: Duration,
    silence: Pin<Box<Sleep>>,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Given back with the last of the body.
    _room: Option<OwnedSemaphorePermit>,
}

impl Watched {
    /// Watches a body; `room` is held until it has ended.
    pub(crate) fn new(
        inner: Incoming,
        pause: Duration,
        gone: CancellationToken,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            inner,
            pause,
            silence: Box::pin(sleep(pause)),
            gone: Box::pin(gone.cancelled_owned()),
            _room: room,
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.gone.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Broken::Gone.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            let later = Instant::now() + self.pause;
            self.silence.as_mut().reset(later);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Some(Err(Broken::Silent.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that is here already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}
