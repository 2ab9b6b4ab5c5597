//! Sessions of logs, which outlive their streams for a short while.
//!
//! A session remembers places, not text: what a client missed is read again
//! from the log. A session belongs to one stream at a time; a stream that
//! resumes it takes it away from the one that held it, whose client is gone
//! even if nobody noticed. It is known only to the user who began it, for the
//! sandbox that it reads. Nothing here waits, and nothing runs by itself: what
//! is past its time is cleared when the next session begins or is left.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::name::{OrganizationId, UserId};
use palisade_model::tenant::Principal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lines::Place;

/// How long a session is kept for a client that is gone.
pub(super) const KEPT: Duration = Duration::from_secs(30);
/// Sessions without a stream that are kept at most; the oldest go first.
const DETACHED_MAX: usize = 10_000;
/// The places of a session that are remembered besides its first.
const PLACES_MAX: usize = 64;
/// Places are remembered this far apart at least.
const PLACE_BYTES: u64 = 256 * 1024;

/// All sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<String, Session>,
    /// Sessions that lost their stream, oldest first. Those that found another
    /// one meanwhile are passed over when their turn comes.
    left: VecDeque<Left>,
}

/// That a stream left its session.
#[derive(Debug)]
struct Left {
    id: String,
    number: u64,
    since: Instant,
}

/// What a session reads, which never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// Whose sandbox.
    pub(super) organization: OrganizationId,
    /// Who reads it.
    pub(super) user: UserId,
    /// The sandbox.
    pub(super) sandbox: SandboxId,
    /// Whether each line begins with an instant.
    pub(super) is_stamped: bool,
    /// Whether it goes on with what is written later.
    pub(super) follow: bool,
}

#[derive(Debug)]
struct Session {
    subject: Subject,
    /// Bytes that were handed to the transport.
    delivered: u64,
    /// In order; the first is where the session began.
    places: VecDeque<Place>,
    holder: Holder,
}

#[derive(Debug)]
enum Holder {
    Stream { number: u64, cut: CancellationToken },
    Nobody { since: Instant, number: u64 },
}

/// A session in the hands of a stream; let go when dropped.
#[derive(Debug)]
pub(super) struct Held {
    sessions: Sessions,
    id: String,
    number: u64,
    cut: CancellationToken,
}

/// A session that was taken up again, and where to go on.
#[derive(Debug)]
pub(super) struct Resumed {
    /// The session.
    pub(super) held: Held,
    /// What it reads.
    pub(super) subject: Subject,
    /// The nearest place that is remembered at or before the wanted one.
    pub(super) place: Place,
    /// Bytes between that place and the wanted one.
    pub(super) skip: u64,
}

/// Why a session cannot be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResumeError {
    /// It never was, is another caller's, or is past its time.
    #[error("there is no such session of this sandbox, or no longer; start a new one")]
    Unknown,
    /// It never came that far.
    #[error("the session delivered {delivered} bytes so far")]
    Offset {
        /// How far it came.
        delivered: u64,
    },
}

impl Sessions {
    /// Begins a session; `id` must be new.
    pub(super) fn begin(&self, id: String, subject: Subject) -> Held {
        let (number, cut) = (0, CancellationToken::new());
        let session = Session {
            subject,
            delivered: 0,
            places: VecDeque::new(),
            holder: Holder::Stream {
                number,
                cut: cut.clone(),
            },
        };
        let mut table = self.lock();
        table.clear();
        table.sessions.insert(id.clone(), session);
        drop(table);
        self.held(id, number, cut)
    }

    /// Takes a session up again behind its first `offset` bytes.
    pub(super) fn resume(
        &self,
        id: &str,
        caller: &Principal,
        sandbox: &str,
        offset: u64,
    ) -> Result<Resumed, ResumeError> {
        let mut table = self.lock();
        let session = table.sessions.get_mut(id);
        let session = session.filter(|it| it.subject.is_for(caller, sandbox) && !it.is_past());
        let session = session.ok_or(ResumeError::Unknown)?;
        if offset > session.delivered {
            let delivered = session.delivered;
            return Err(ResumeError::Offset { delivered });
        }
        let before = session
            .places
            .iter()
            .rev()
            .find(|place| place.delivered <= offset);
        // A session that delivered nothing was never told to its client.
        let place = *before.ok_or(ResumeError::Unknown)?;
        let (number, cut) = session.take_over();
        let subject = session.subject.clone();
        drop(table);
        Ok(Resumed {
            held: self.held(id.to_owned(), number, cut),
            subject,
            place,
            skip: offset - place.delivered,
        })
    }

    fn held(&self, id: String, number: u64, cut: CancellationToken) -> Held {
        Held {
            sessions: self.clone(),
            id,
            number,
            cut,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().sessions.len()
    }
}

impl Subject {
    fn is_for(&self, caller: &Principal, sandbox: &str) -> bool {
        self.organization == caller.organization
            && self.user == caller.user
            && self.sandbox.to_string() == sandbox
    }
}

impl Session {
    fn is_past(&self) -> bool {
        match &self.holder {
            Holder::Nobody { since, .. } => since.elapsed() > KEPT,
            Holder::Stream { .. } => false,
        }
    }

    /// Gives the session to a new stream.
    fn take_over(&mut self) -> (u64, CancellationToken) {
        let (Holder::Stream { number, .. } | Holder::Nobody { number, .. }) = &self.holder;
        let (number, cut) = (number + 1, CancellationToken::new());
        if let Holder::Stream { cut, .. } = &self.holder {
            cut.cancel();
        }
        self.holder = Holder::Stream {
            number,
            cut: cut.clone(),
        };
        (number, cut)
    }

    fn is_held_by(&self, stream: u64) -> bool {
        match &self.holder {
            Holder::Stream { number, .. } => *number == stream,
            Holder::Nobody { .. } => false,
        }
    }

    fn was_left_by(&self, stream: u64) -> bool {
        match &self.holder {
            Holder::Nobody { number, .. } => *number == stream,
            Holder::Stream { .. } => false,
        }
    }

    /// Remembers a place, and forgets the second one when there are too many:
    /// what was delivered last is what clients come back for.
    fn remember(&mut self, place: Place) {
        let last = self.places.back();
        let is_far = |last: &Place| place.delivered >= last.delivered + PLACE_BYTES;
        if !last.is_none_or(is_far) {
            return;
        }
        self.places.push_back(place);
        if self.places.len() > PLACES_MAX {
            self.places.remove(1);
        }
    }
}

impl Held {
    /// The name of the session.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Ends when another stream took the session over.
    pub(super) async fn taken_over(&self) {
        self.cut.cancelled().await;
    }

    /// Notes that a piece from `from` on is handed to the transport, and that
    /// the session has then delivered `delivered` bytes.
    pub(super) fn deliver(&self, from: Place, delivered: u64) {
        let mut table = self.sessions.lock();
        let session = table.sessions.get_mut(&self.id);
        if let Some(session) = session.filter(|session| session.is_held_by(self.number)) {
            session.remember(from);
            session.delivered = session.delivered.max(delivered);
        }
    }

    /// Forgets the session: its client wants no more of it.
    pub(super) fn forget(self) {
        let mut table = self.sessions.lock();
        let session = table.sessions.get(&self.id);
        if session.is_some_and(|session| session.is_held_by(self.number)) {
            table.sessions.remove(&self.id);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        let session = table.sessions.get_mut(&self.id);
        let Some(session) = session.filter(|session| session.is_held_by(self.number)) else {
            return;
        };
        let (since, number) = (Instant::now(), self.number);
        session.holder = Holder::Nobody { since, number };
        let id = self.id.clone();
        table.left.push_back(Left { id, number, since });
        table.clear();
    }
}

impl Table {
    /// Clears what is past its time, and the oldest of what is too much.
    fn clear(&mut self) {
        while self.left.front().is_some_and(Left::is_past) || self.left.len() > DETACHED_MAX {
            let Some(Left { id, number, .. }) = self.left.pop_front() else {
                return;
            };
            let session = self.sessions.get(&id);
            if session.is_some_and(|session| session.was_left_by(number)) {
                self.sessions.remove(&id);
            }
        }
    }
}

impl Left {
    fn is_past(&self) -> bool {
        self.since.elapsed() > KEPT
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::id::TokenId;
    use palisade_model::tenant::Role;
    use uuid::Uuid;

    use super::*;

    fn caller(organization: &str, user: &str) -> Principal {
        Principal {
            organization: organization.parse().unwrap(),
            user: user.parse().unwrap(),
            role: Role::SandboxUser,
            token: TokenId::new(Uuid::nil()),
        }
    }

    fn subject() -> Subject {
        Subject {
            organization: "acme".parse().unwrap(),
            user: "ada".parse().unwrap(),
            sandbox: SandboxId::new(Uuid::from_u128(1)),
            is_stamped: false,
            follow: true,
        }
    }

    fn place(delivered: u64) -> Place {
        Place {
            delivered,
            log_offset: 1_000 + delivered,
            begins_line: true,
        }
    }

    fn resume(sessions: &Sessions, offset: u64) -> Result<Resumed, ResumeError> {
        let sandbox = subject().sandbox.to_string();
        sessions.resume("s", &caller("acme", "ada"), &sandbox, offset)
    }

    fn begun(sessions: &Sessions) -> Held {
        let held = sessions.begin("s".to_owned(), subject());
        held.deliver(place(0), 10);
        held
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_goes_on_where_its_client_was() {
        let sessions = Sessions::default();
        drop(begun(&sessions));
        let resumed = resume(&sessions, 7).unwrap();
        assert_eq!((resumed.place, resumed.skip), (place(0), 7));
        assert_eq!(resumed.subject, subject());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_kept_for_half_a_minute() {
        let sessions = Sessions::default();
        drop(begun(&sessions));
        tokio::time::advance(KEPT).await;
        drop(resume(&sessions, 0).unwrap());
        tokio::time::advance(KEPT + Duration::from_millis(1)).await;
        assert_eq!(resume(&sessions, 0).unwrap_err(), ResumeError::Unknown);
        sessions.begin("other".to_owned(), subject()).forget();
        assert_eq!(sessions.len(), 0, "what is past its time is cleared");
    }

    #[tokio::test]
    async fn a_session_is_its_user_s_and_its_sandbox_s() {
        let sessions = Sessions::default();
        let _held = begun(&sessions);
        let sandbox = subject().sandbox.to_string();
        let refused = |id: &str, caller: &Principal, sandbox: &str| {
            let resumed = sessions.resume(id, caller, sandbox, 0);
            assert_eq!(resumed.unwrap_err(), ResumeError::Unknown);
        };
        refused("s", &caller("other", "ada"), &sandbox);
        refused("s", &caller("acme", "bob"), &sandbox);
        let own = caller("acme", "ada");
        refused("s", &own, "x");
        refused("t", &own, &sandbox);
    }

    #[tokio::test]
    async fn a_place_that_was_never_reached_is_refused() {
        let sessions = Sessions::default();
        drop(begun(&sessions));
        assert_eq!(
            resume(&sessions, 11).unwrap_err(),
            ResumeError::Offset { delivered: 10 }
        );
    }

    #[tokio::test]
    async fn resuming_takes_the_session_from_the_stream_that_held_it() {
        let sessions = Sessions::default();
        let old = begun(&sessions);
        let new = resume(&sessions, 10).unwrap();
        old.taken_over().await;
        old.deliver(place(0), 99);
        drop(old);
        assert_eq!(
            resume(&sessions, 99).unwrap_err(),
            ResumeError::Offset { delivered: 10 }
        );
        new.held.forget();
        assert_eq!(sessions.len(), 0);
    }

    #[tokio::test]
    async fn the_places_of_a_long_session_are_bounded_and_the_newest_are_kept() {
        let sessions = Sessions::default();
        let held = sessions.begin("s".to_owned(), subject());
        let count = 10 * PLACES_MAX as u64;
        for number in 0..count {
            let from = place(number * PLACE_BYTES);
            held.deliver(from, from.delivered + PLACE_BYTES);
        }
        assert_eq!(sessions.lock().sessions["s"].places.len(), PLACES_MAX);
        drop(held);
        let offset = count * PLACE_BYTES - 5;
        let resumed = resume(&sessions, offset).unwrap();
        assert_eq!(resumed.skip, PLACE_BYTES - 5);
        drop(resumed);
        let early = resume(&sessions, 3 * PLACE_BYTES).unwrap();
        assert_eq!((early.place, early.skip), (place(0), 3 * PLACE_BYTES));
    }

    #[tokio::test]
    async fn sessions_without_a_stream_are_bounded() {
        let sessions = Sessions::default();
        for number in 0..=DETACHED_MAX {
            drop(sessions.begin(number.to_string(), subject()));
        }
        assert_eq!(sessions.len(), DETACHED_MAX);
    }
}
