//! Room for requests that are large.
//!
//! A request is in memory as a whole before anybody can decide about it. Most are
//! small; of those that are not, such as files, only so many are taken in at once,
//! and half as many of one organization. The others wait where they are: what was
//! not read is still with their clients. How many wait is bounded too, and nobody
//! waits, or takes to arrive, for longer than a call may take.
//!
//! A stream is in memory a message at a time ([`messages`]), with room of its own.
//!
//! Invariant: nothing of a request is handed on beyond what is small before its berth
//! is there. With the largest messages all berths together hold 3.2 GiB, and as much
//! for streams.

use std::collections::HashMap;
use std::error::Error;
use std::iter::successors;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use palisade_model::name::OrganizationId;
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Sleep};
use tonic::Status;

use crate::context::status;
use crate::rest::PREFIX_LEN;

mod messages;

/// What nobody has to wait with.
const SMALL: usize = 64 * 1024;
/// How many large ones are taken in at once.
const AT_ONCE: usize = 32;
/// How many of them may be of one organization.
const OF_ONE: usize = AT_ONCE / 2;
/// How many of them on streams: a command that does not read its input holds on to one.
const OF_ONE_ON_STREAMS: usize = AT_ONCE / 8;
/// How many of one organization may wait; more are refused at once.
const WAITING_OF_ONE: usize = 256;
/// How long a caller is told to wait when there was no room.
const RETRY: Duration = Duration::from_secs(1);

/// The room for large requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    all: Arc<Semaphore>,
    /// How much of it one organization may have.
    of_one: usize,
    each: Arc<Mutex<HashMap<OrganizationId, Weak<Own>>>>,
}

/// What one organization has of it.
#[derive(Debug)]
struct Own {
    berths: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// What a request has of the room, once it turned out to be large. It is given back
/// with the last of these. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Berth {
    taken: Arc<OnceLock<Taken>>,
    wait: Wait,
}

/// What a request takes of the room.
#[derive(Debug)]
struct Taken {
    _permits: [OwnedSemaphorePermit; 2],
    /// So that it counts for as long as it is taken.
    _own: Arc<Own>,
}

/// Whether a request is held back at this moment, so that nothing was done with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait(Arc<AtomicBool>);

impl Wait {
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_on: bool) {
        self.0.store(is_on, Ordering::Relaxed);
    }
}

/// What is said of a request to those who send it.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub(crate) organization: OrganizationId,
    /// How long it may wait, and then how long it may take to arrive.
    pub(crate) limit: Duration,
    pub(crate) request_id: String,
    /// Whether its length comes before it, as in gRPC.
    pub(crate) is_prefixed: bool,
}

type Turn = Pin<Box<dyn Future<Output = Option<Taken>> + Send>>;
type Piece = Option<Result<Frame<Bytes>, axum::BoxError>>;

/// A body that waits for room before it grows large.
struct Measured {
    body: Body,
    seen: usize,
    /// Read, and not handed on yet.
    held: Option<Piece>,
    /// Set when it has to be large, until it may.
    turn: Option<Turn>,
    berth: Berth,
    late: Pin<Box<Sleep>>,
    bulk: Bulk,
    measure: Measure,
}

/// One of those who wait; no more once it is dropped.
struct Waiter(Arc<Own>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self::new(OF_ONE)
    }
}

impl Bulk {
    /// The room for large messages of streams.
    pub(crate) fn on_streams() -> Self {
        Self::new(OF_ONE_ON_STREAMS)
    }

    fn new(of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            of_one,
            each: Arc::default(),
        }
    }

    /// The same body, which waits before it is large; and the berth that it then has.
    pub(crate) fn measure(&self, body: Body, measure: Measure) -> (Body, Berth) {
        let berth = Berth::default();
        let measured = Measured {
            body,
            seen: 0,
            held: None,
            turn: None,
            berth: berth.clone(),
            late: Box::pin(time::sleep(measure.limit)),
            bulk: self.clone(),
            measure,
        };
        (Body::new(measured), berth)
    }

    /// A turn that comes when there is room; none if too many wait already.
    fn turn(&self, organization: &OrganizationId) -> Option<Turn> {
        let (all, own) = (self.all.clone(), self.of(organization));
        let before = own.waiting.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter(own.clone());
        if before >= WAITING_OF_ONE {
            return None;
        }
        Some(Box::pin(async move {
            let _waiter = waiter;
            // Its own first: nobody holds what is everybody's while he waits.
            let berth = own.berths.clone().acquire_owned().await.ok()?;
            Some(Taken {
                _permits: [berth, all.acquire_owned().await.ok()?],
                _own: own,
            })
        }))
    }

    fn of(&self, organization: &OrganizationId) -> Arc<Own> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = each.get(organization).and_then(Weak::upgrade) {
            return own;
        }
        // Who has nothing large any more is forgotten.
        each.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Own {
            berths: Arc::new(Semaphore::new(self.of_one)),
            waiting: AtomicUsize::new(0),
        });
        each.insert(organization.clone(), Arc::downgrade(&own));
        own
    }
}

impl Berth {
    /// That of a request, which its handler holds for as long as it has what is large.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Tells whether it is waited for, and takes no part in it.
    pub(crate) fn wait(&self) -> Wait {
        self.wait.clone()
    }
}

/// What is said when there was no room in time, or too many wait.
pub(crate) fn no_room() -> Refusal {
    let text = "the server takes in too many large requests at once; try again in a moment";
    Refusal::new(Reason::Overloaded, text).retry_after(RETRY)
}

/// What is said to whoever took too long to send a request.
fn too_late(limit: Duration) -> Refusal {
    let seconds = limit.as_secs();
    let text = format!("the request did not arrive whole within {seconds} s; nothing was done");
    Refusal::new(Reason::BackendUnavailable, text).with_code(Code::DeadlineExceeded)
}

/// A body that was not read to its end, and why.
#[derive(Debug, thiserror::Error)]
#[error("the body was refused")]
pub(crate) struct Refused {
    refusal: Refusal,
    /// What the layer that reads messages looks for.
    #[source]
    status: Status,
}

impl Refused {
    /// The refusal among the causes of an error.
    pub(crate) fn among(error: &(dyn Error + 'static)) -> Option<Refusal> {
        let mut causes = successors(Some(error), |cause: &&(dyn Error + 'static)| {
            (*cause).source()
        });
        causes.find_map(|cause| Some(cause.downcast_ref::<Self>()?.refusal.clone()))
    }
}

impl Measure {
    /// What is read instead of the rest of a body.
    fn refused(&self, refusal: Refusal) -> Poll<Piece> {
        let status = status(&refusal.clone().into(), &self.request_id);
        let refused = Refused { refusal, status };
        Poll::Ready(Some(Err(refused.into())))
    }
}

impl Measured {
    /// How large it is known to be: what came, and what it says that will come, for
    /// which whoever reads it makes room at once.
    fn weigh(&mut self, data: &Bytes) {
        let is_first = self.seen == 0;
        self.seen = self.seen.saturating_add(data.len());
        if let [_, a, b, c, d, ..] = data[..]
            && self.measure.is_prefixed
            && is_first
        {
            let says = u32::from_be_bytes([a, b, c, d]);
            let says = usize::try_from(says).unwrap_or(usize::MAX);
            self.seen = self.seen.max(says.saturating_add(PREFIX_LEN));
        }
    }

    /// Waits for room if it is needed; an error if too many do already.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if self.seen <= SMALL || self.berth.taken.get().is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.turn.is_none() {
            self.turn = self.bulk.turn(&self.measure.organization);
        }
        let Some(turn) = &mut self.turn else {
            return Poll::Ready(Err(no_room()));
        };
        let Poll::Ready(taken) = turn.as_mut().poll(context) else {
            self.berth.wait.set(true);
            return Poll::Pending;
        };
        self.turn = None;
        let Some(taken) = taken else {
            // Nobody closes it.
            return Poll::Ready(Err(no_room()));
        };
        self.berth.wait.set(false);
        // Nobody else sets it.
        drop(self.berth.taken.set(taken));
        // What we held back is not the client's delay.
        self.late = Box::pin(time::sleep(self.measure.limit));
        Poll::Ready(Ok(()))
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Piece> {
        if self.held.is_none() {
            let Poll::Ready(piece) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.late.as_mut().poll(context));
                let limit = self.measure.limit;
                return self.measure.refused(too_late(limit));
            };
            let piece: Piece = piece.map(|frame| frame.map_err(Into::into));
            if let Some(Ok(frame)) = &piece
                && let Some(data) = frame.data_ref()
            {
                let data = data.clone();
                self.weigh(&data);
            }
            self.held = Some(piece);
        }
        match self.poll_room(context) {
            Poll::Ready(Ok(())) => Poll::Ready(self.held.take().flatten()),
            Poll::Ready(Err(refusal)) => self.measure.refused(refusal),
            Poll::Pending => {
                ready!(self.late.as_mut().poll(context));
                self.measure.refused(no_room())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What is held was counted off by the body already.
        if self.held.is_some() {
            return SizeHint::default();
        }
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
