//! Room for requests that are large.
//!
//! A request is in memory as a whole before anybody can decide about it. Most are
//! small; of those that are not, such as files, only so many are taken in at once,
//! and half as many of one organization. The others wait where they are: what was
//! not read is still with their clients. No request waits or arrives for longer
//! than a call may take.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Sleep};
use tonic::Status;

use crate::context::status;

/// What nobody has to wait with.
const SMALL: usize = 64 * 1024;
/// How many large ones are taken in at once.
const AT_ONCE: usize = 32;
/// How many of them may be of one organization.
const OF_ONE: usize = AT_ONCE / 2;
/// How long a caller is told to wait when there was no room.
const RETRY: Duration = Duration::from_secs(1);

/// The room for large requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    all: Arc<Semaphore>,
    each: Arc<Mutex<HashMap<OrganizationId, Weak<Semaphore>>>>,
}

/// The room that a request has, once it turned out to be large. Whoever has the
/// request holds this.
pub(crate) type Room = Arc<OnceLock<[OwnedSemaphorePermit; 2]>>;

type Turn = Pin<Box<dyn Future<Output = Option<[OwnedSemaphorePermit; 2]>> + Send>>;

/// A body that waits for room before it grows large.
struct Measured {
    body: Body,
    seen: usize,
    /// Set when it has to be large, until it may.
    turn: Option<Turn>,
    room: Room,
    limit: Duration,
    /// Until when all of it must be there.
    late: Pin<Box<Sleep>>,
    bulk: Bulk,
    organization: OrganizationId,
    request_id: String,
}

impl Default for Bulk {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            each: Arc::default(),
        }
    }
}

impl Bulk {
    /// The same body, which waits before it is large; and the room that it then has.
    pub(crate) fn measure(
        &self,
        body: Body,
        organization: &OrganizationId,
        limit: Duration,
        request_id: &str,
    ) -> (Body, Room) {
        let room = Room::default();
        let measured = Measured {
            body,
            seen: 0,
            turn: None,
            room: room.clone(),
            limit,
            late: Box::pin(time::sleep(limit)),
            bulk: self.clone(),
            organization: organization.clone(),
            request_id: request_id.to_owned(),
        };
        (Body::new(measured), room)
    }

    fn turn(&self, organization: &OrganizationId) -> Turn {
        let (all, own) = (self.all.clone(), self.of(organization));
        Box::pin(async move {
            // Its own first: nobody holds what is everybody's while he waits.
            let own = own.acquire_owned().await.ok()?;
            Some([own, all.acquire_owned().await.ok()?])
        })
    }

    fn of(&self, organization: &OrganizationId) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = each.get(organization).and_then(Weak::upgrade) {
            return own;
        }
        // As many as have something under way; the rest is forgotten.
        each.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(OF_ONE));
        each.insert(organization.clone(), Arc::downgrade(&own));
        own
    }
}

impl Measured {
    fn refuse(&self, refusal: Refusal) -> Status {
        status(&refusal.into(), &self.request_id)
    }

    fn no_room(&self) -> Status {
        let text = "the server takes in too many large requests at once; try again in a moment";
        self.refuse(Refusal::new(Reason::Overloaded, text).retry_after(RETRY))
    }

    fn too_late(&self) -> Status {
        let seconds = self.limit.as_secs();
        let text = format!("the request did not arrive whole within {seconds} s");
        self.refuse(Refusal::new(Reason::InvalidRequest, text))
    }

    /// Waits for room if it is needed.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.seen <= SMALL || self.room.get().is_some() {
            return Poll::Ready(());
        }
        let turn = self
            .turn
            .get_or_insert_with(|| self.bulk.turn(&self.organization));
        if let Some(permits) = ready!(turn.as_mut().poll(context)) {
            // Nobody else sets it.
            drop(self.room.set(permits));
        }
        self.turn = None;
        Poll::Ready(())
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.poll_room(context).is_pending() {
            ready!(self.late.as_mut().poll(context));
            return Poll::Ready(Some(Err(self.no_room().into())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.late.as_mut().poll(context));
            return Poll::Ready(Some(Err(self.too_late().into())));
        };
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        let read = data.map_or(0, Bytes::len);
        self.seen = self.seen.saturating_add(read);
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;
    use tonic_types::StatusExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    /// A body of so many bytes, of which the rest comes when it is polled for the
    /// last time, or never.
    fn body(bytes: usize, ends: bool) -> Body {
        let pieces = (0..bytes.div_ceil(SMALL)).map(|_| Ok(Bytes::from(vec![0; SMALL])));
        let pieces = stream::iter(pieces);
        let rest = stream::once(async move {
            if !ends {
                std::future::pending::<()>().await;
            }
            Ok::<_, axum::BoxError>(Bytes::new())
        });
        Body::from_stream(stream::StreamExt::chain(pieces, rest))
    }

    async fn read(body: Body) -> Result<usize, Status> {
        match body.collect().await {
            Ok(whole) => Ok(whole.to_bytes().len()),
            Err(error) => Err(Status::from_error(error.into())),
        }
    }

    fn reason(outcome: Result<usize, Status>) -> String {
        let details = outcome.unwrap_err().get_error_details();
        details.error_info().unwrap().reason.clone()
    }

    async fn taken(bulk: &Bulk, organization: &str, count: usize) -> Vec<Room> {
        let organization = organization.parse().unwrap();
        let mut rooms = Vec::new();
        for _ in 0..count {
            let (body, room) = bulk.measure(body(3 * SMALL, true), &organization, LIMIT, "");
            assert_eq!(read(body).await.unwrap(), 3 * SMALL);
            rooms.push(room);
        }
        rooms
    }

    #[tokio::test(start_paused = true)]
    async fn one_organization_takes_half_of_the_room_and_small_requests_none() {
        let bulk = Bulk::default();
        let acme = "acme".parse().unwrap();
        let mut rooms = taken(&bulk, "acme", OF_ONE).await;
        let (small, _small) = bulk.measure(body(SMALL, true), &acme, LIMIT, "");
        assert_eq!(read(small).await.unwrap(), SMALL);
        let (large, _large) = bulk.measure(body(2 * SMALL, true), &acme, LIMIT, "");
        let mut waiting = Box::pin(read(large));
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        taken(&bulk, "globex", OF_ONE).await;
        rooms.pop();
        assert_eq!(waiting.await.unwrap(), 2 * SMALL);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_is_told_so_and_who_is_slow_too() {
        let bulk = Bulk::default();
        let acme = "acme".parse().unwrap();
        let (slow, room) = bulk.measure(body(2 * SMALL, false), &acme, LIMIT, "");
        assert_eq!(reason(read(slow).await), "CWSANDBOX_INVALID_REQUEST");
        drop(room);
        let rooms = [
            taken(&bulk, "acme", OF_ONE).await,
            taken(&bulk, "globex", OF_ONE).await,
        ];
        for organization in ["acme", "initech"] {
            let organization = organization.parse().unwrap();
            let (large, _room) = bulk.measure(body(2 * SMALL, true), &organization, LIMIT, "");
            assert_eq!(reason(read(large).await), "CWSANDBOX_OVERLOADED");
        }
        drop(rooms);
        taken(&bulk, "acme", OF_ONE).await;
    }

    #[tokio::test]
    async fn nothing_is_kept_of_organizations_that_send_nothing_large() {
        let bulk = Bulk::default();
        for number in 0..100 {
            let organization = format!("org-{number}").parse().unwrap();
            drop(bulk.turn(&organization).await);
        }
        assert_eq!(bulk.each.lock().unwrap().len(), 1);
        assert_eq!(bulk.all.available_permits(), AT_ONCE);
    }
}
