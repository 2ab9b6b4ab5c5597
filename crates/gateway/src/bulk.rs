//! Room for requests that are large.
//!
//! A request is in memory as a whole before anybody can decide about it. Most are
//! small; of those that are not, such as files, only so many are taken in at once,
//! and half as many of one organization. The others wait where they are: what was
//! not read is still with their clients. How many wait is bounded too, and nobody
//! waits, or takes to arrive, for longer than a call may take.
//!
//! A stream is in memory a message at a time, with room of its own. What grows large in
//! a body of either kind is told by [`request`] and [`messages`]; [`held`] waits for it.
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
use std::time::Duration;

use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

mod held;
mod messages;
mod request;

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
    opened: Opened,
    wait: Wait,
}

/// How a request begins, if it is larger than any that is read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened(Arc<OnceLock<Opening>>);

impl Opened {
    pub(crate) fn get(&self) -> Option<&Opening> {
        self.0.get()
    }

    fn set(&self, opening: Opening) {
        // It begins but once.
        drop(self.0.set(opening));
    }
}

/// How a message begins that is larger than any that is read.
#[derive(Debug)]
pub(crate) struct Opening {
    /// How large it says that it is.
    pub(crate) message_bytes: usize,
    /// What came of it with its size.
    pub(crate) head: Vec<u8>,
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

    /// Tells how the request begins, and takes no part in it.
    pub(crate) fn opened(&self) -> Opened {
        self.opened.clone()
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
