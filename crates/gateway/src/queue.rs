//! Starts that wait for room, in one line for each organization.
//!
//! Only a start that asks for it waits, and only for what may pass: capacity, a
//! runner that is away, a quota that is used up. The call stays open meanwhile,
//! so that nothing is promised that a crash could break. A line is bounded, and
//! fair between users: each one's first comes before anybody's second. Whoever
//! cannot be served yet is passed over for this time, and keeps the place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::name::{OrganizationId, UserId};
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{MountedFile, Owner, Sandbox, StartRequest};
use palisade_wire::rest::{StartQueue, WaitingStart};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{ApiError, ApiResult};

/// Starts that may wait in one organization.
pub(crate) const LINE_LEN_MAX: usize = 100;
/// What their files hold together; twice the largest that one may have.
const LINE_BYTES_MAX: usize = 64 << 20;
/// How long to stay away when the line is full.
const FULL_RETRY: Duration = Duration::from_secs(5);

/// All lines. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    lines: Arc<Mutex<BTreeMap<OrganizationId, Line>>>,
}

/// Those who wait in one organization, the next one first.
#[derive(Debug, Default)]
struct Line {
    tickets: BTreeMap<Turn, Ticket>,
    /// Told out so far, to order those of one round.
    numbers: u64,
}

/// When somebody is served: after all earlier rounds, and in a round in the
/// order of coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    round: u64,
    number: u64,
}

#[derive(Debug)]
struct Ticket {
    owner: Owner,
    request: Arc<StartRequest>,
    since: Instant,
    /// Why there was no room when it was tried last.
    last: Refusal,
    /// Whether it is tried at this moment.
    is_tried: bool,
    /// Whether its time is up, so that the try under way is the last one.
    is_leaving: bool,
    told: oneshot::Sender<ApiResult<Sandbox>>,
}

/// A place in a line; given up when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Queue,
    organization: OrganizationId,
    turn: Turn,
    outcome: oneshot::Receiver<ApiResult<Sandbox>>,
}

/// A line that is served for as long as this is there. However that ends, nobody waits
/// for it any more.
#[derive(Debug)]
pub(crate) struct Serving {
    queue: Queue,
    pub(crate) organization: OrganizationId,
    is_closed: bool,
}

/// Somebody whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) owner: Owner,
    pub(crate) request: Arc<StartRequest>,
    /// For the record: how long it waited, and for what.
    pub(crate) note: String,
}

/// Whether the same start may be admitted later without anybody changing it.
pub(crate) fn can_wait(refusal: &Refusal) -> bool {
    let may_pass = matches!(refusal.code, Code::ResourceExhausted | Code::Unavailable);
    let is_about_room = matches!(
        refusal.reason,
        Reason::NoSuitableRunner | Reason::ProfileMismatch | Reason::QuotaExceeded
    );
    may_pass && is_about_room
}

impl Queue {
    /// Whether somebody waits.
    pub(crate) fn is_waited_in(&self, organization: &OrganizationId) -> bool {
        self.lock().contains_key(organization)
    }

    /// Takes a place; whether it is the first of its line, which somebody has to
    /// serve from now on.
    pub(crate) fn join(
        &self,
        owner: Owner,
        request: Arc<StartRequest>,
        last: Refusal,
    ) -> ApiResult<(Waiting, bool)> {
        let organization = owner.organization.clone();
        let mut lines = self.lock();
        let is_first = !lines.contains_key(&organization);
        let line = lines.entry(organization.clone()).or_default();
        if line.tickets.len() >= LINE_LEN_MAX {
            return Err(full());
        }
        let bytes_of = |it: &StartRequest| MountedFile::total_bytes(&it.mounted_files);
        let waiting = line.tickets.values().map(|it| bytes_of(&it.request));
        if waiting.sum::<usize>() + bytes_of(&request) > LINE_BYTES_MAX {
            return Err(heavy());
        }
        let turn = line.next_turn(&owner.user);
        let (told, outcome) = oneshot::channel();
        let ticket = Ticket {
            owner,
            request,
            since: Instant::now(),
            last,
            is_tried: false,
            is_leaving: false,
            told,
        };
        line.tickets.insert(turn, ticket);
        let waiting = Waiting {
            queue: self.clone(),
            organization,
            turn,
            outcome,
        };
        Ok((waiting, is_first))
    }

    /// What can be seen of a line.
    pub(crate) fn seen(&self, organization: &OrganizationId) -> StartQueue {
        let lines = self.lock();
        let tickets = lines.get(organization).into_iter();
        let tickets = tickets.flat_map(|line| line.tickets.values());
        let waiting: Vec<_> = (1..)
            .zip(tickets)
            .map(|(position, ticket)| ticket.seen(position))
            .collect();
        StartQueue {
            length: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
            waiting,
        }
    }

    /// Everybody in a line, the next one first.
    pub(crate) fn turns(&self, organization: &OrganizationId) -> Vec<Turn> {
        let lines = self.lock();
        let line = lines.get(organization);
        line.map(|line| line.tickets.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Whose turn this is; `None` if nobody waits at it any more. It counts as tried
    /// until it is kept or told.
    pub(crate) fn served(&self, organization: &OrganizationId, turn: Turn) -> Option<Served> {
        let mut lines = self.lock();
        let ticket = lines.get_mut(organization)?.tickets.get_mut(&turn)?;
        ticket.is_tried = true;
        let seconds = ticket.since.elapsed().as_secs_f32();
        Some(Served {
            owner: ticket.owner.clone(),
            request: ticket.request.clone(),
            note: format!("waited {seconds:.1} s for room: {}", ticket.last.message),
        })
    }

    /// There is still no room for it. If its time is up, it is told so.
    pub(crate) fn keep(&self, organization: &OrganizationId, turn: Turn, last: Refusal) {
        let mut lines = self.lock();
        let Some(line) = lines.get_mut(organization) else {
            return;
        };
        let Some(ticket) = line.tickets.get_mut(&turn) else {
            return;
        };
        ticket.last = last;
        ticket.is_tried = false;
        if ticket.is_leaving
            && let Some(refusal) = line.in_vain(turn)
            && let Some(ticket) = line.tickets.remove(&turn)
        {
            // It may have left just now.
            let _ = ticket.told.send(Err(refusal.into()));
        }
    }

    /// Its waiting is over.
    pub(crate) fn tell(
        &self,
        organization: &OrganizationId,
        turn: Turn,
        outcome: ApiResult<Sandbox>,
    ) {
        let mut lines = self.lock();
        let line = lines.get_mut(organization);
        if let Some(ticket) = line.and_then(|line| line.tickets.remove(&turn)) {
            // It may have left just now; what was begun is there all the same.
            let _ = ticket.told.send(outcome);
        }
    }

    /// Closes a line in which nobody waits; whether it is closed.
    fn close_if_empty(&self, organization: &OrganizationId) -> bool {
        let mut lines = self.lock();
        let is_empty = lines
            .get(organization)
            .is_none_or(|line| line.tickets.is_empty());
        if is_empty {
            lines.remove(organization);
        }
        is_empty
    }

    /// For whoever serves a line from now on.
    pub(crate) fn serving(&self, organization: OrganizationId) -> Serving {
        Serving {
            queue: self.clone(),
            organization,
            is_closed: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OrganizationId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Closes the line if nobody waits in it; whether it is closed.
    pub(crate) fn close_if_empty(&mut self) -> bool {
        // From then on it is somebody else's.
        self.is_closed = self.queue.close_if_empty(&self.organization);
        self.is_closed
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_closed {
            self.queue.lock().remove(&self.organization);
        }
    }
}

impl Ticket {
    fn seen(&self, position: u32) -> WaitingStart {
        WaitingStart {
            position,
            user: self.owner.user.to_string(),
            waited_seconds: self.since.elapsed().as_secs(),
            reason: self.last.reason.as_str().to_owned(),
            message: self.last.message.clone(),
            tags: self.request.tags.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Line {
    /// The turn of somebody who comes now: in the round after his last one, and
    /// in no round that is over.
    fn next_turn(&mut self, user: &UserId) -> Turn {
        let present = self.tickets.keys().next().map_or(0, |turn| turn.round);
        let own = self.tickets.iter();
        let own = own.filter(|(_, ticket)| ticket.owner.user == *user);
        let after_own = own.map(|(turn, _)| turn.round + 1).max();
        self.numbers += 1;
        Turn {
            round: after_own.unwrap_or(present).max(present),
            number: self.numbers,
        }
    }

    /// What is told to somebody in it who waited for nothing.
    fn in_vain(&self, turn: Turn) -> Option<Refusal> {
        let ticket = self.tickets.get(&turn)?;
        let place = self.tickets.range(..=turn).count();
        let (len, waited) = (self.tickets.len(), ticket.since.elapsed().as_secs());
        let mut refusal = ticket.last.clone();
        refusal.message = format!(
            "{}; waited {waited} s, at place {place} of {len} in the line",
            refusal.message
        );
        let refusal = refusal
            .with("waited_seconds", waited.to_string())
            .with("queue_position", place.to_string())
            .with("queue_length", len.to_string());
        Some(refusal)
    }
}

impl Waiting {
    /// Waits for the outcome; whoever waits sets the limit. Cancel safe.
    pub(crate) async fn outcome(&mut self) -> ApiResult<Sandbox> {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ending()),
        }
    }

    /// Stops waiting: what is told to somebody who waited for nothing, or `None` while it
    /// is tried once more. That is the last try, and how it went is the outcome.
    pub(crate) fn give_up(&self) -> Option<Refusal> {
        let mut lines = self.queue.lock();
        let Some(line) = lines.get_mut(&self.organization) else {
            return Some(ending().refusal);
        };
        // Without a ticket the outcome was told just now.
        let ticket = line.tickets.get_mut(&self.turn)?;
        ticket.is_leaving = true;
        if ticket.is_tried {
            return None;
        }
        let refusal = line.in_vain(self.turn);
        line.tickets.remove(&self.turn);
        refusal
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut lines = self.queue.lock();
        if let Some(line) = lines.get_mut(&self.organization) {
            line.tickets.remove(&self.turn);
        }
    }
}

fn full() -> ApiError {
    let message =
        format!("{LINE_LEN_MAX} starts of the organization wait already; try again later");
    let refusal = Refusal::new(Reason::Overloaded, message);
    refusal
        .with("queue_length", LINE_LEN_MAX.to_string())
        .retry_after(FULL_RETRY)
        .into()
}

fn heavy() -> ApiError {
    let mebibytes = LINE_BYTES_MAX >> 20;
    let message = format!(
        "the files of starts of the organization that wait may have {mebibytes} MiB together; try again later"
    );
    let refusal = Refusal::new(Reason::Overloaded, message);
    refusal.retry_after(FULL_RETRY).into()
}

fn ending() -> ApiError {
    let message = "the gateway ends; start the sandbox again";
    let refusal = Refusal::new(Reason::BackendUnavailable, message);
    refusal.retry_after(Duration::from_secs(1)).into()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn owner(user: &str) -> Owner {
        Owner {
            organization: "acme".parse().unwrap(),
            user: user.parse().unwrap(),
        }
    }

    fn no_room() -> Refusal {
        let full = Refusal::new(Reason::NoSuitableRunner, "the runner is full");
        full.with_code(Code::ResourceExhausted)
    }

    fn join(queue: &Queue, user: &str) -> Waiting {
        let joined = queue.join(owner(user), Arc::default(), no_room());
        joined.unwrap().0
    }

    fn users(queue: &Queue) -> Vec<String> {
        let acme = "acme".parse().unwrap();
        let turns = queue.turns(&acme).into_iter();
        let served = turns.map(|turn| queue.served(&acme, turn).unwrap());
        served.map(|served| served.owner.user.to_string()).collect()
    }

    #[tokio::test]
    async fn the_first_of_each_user_comes_before_anybody_s_second() {
        let queue = Queue::default();
        let _places = ["ada", "ada", "ada", "bob", "eve", "bob"].map(|user| join(&queue, user));
        assert_eq!(users(&queue), ["ada", "bob", "eve", "ada", "bob", "ada"]);
    }

    #[tokio::test]
    async fn a_line_is_seen_by_its_own_organization() {
        let queue = Queue::default();
        let _places = ["ada", "ada", "bob"].map(|user| join(&queue, user));
        let seen = queue.seen(&"acme".parse().unwrap());
        let places = seen.waiting.iter();
        let places: Vec<_> = places
            .map(|start| (start.position, start.user.as_str()))
            .collect();
        assert_eq!(places, [(1, "ada"), (2, "bob"), (3, "ada")]);
        assert_eq!(seen.length, 3);
        assert_eq!(seen.waiting[0].reason, "CWSANDBOX_NO_SUITABLE_RUNNER");
        assert_eq!(
            queue.seen(&"globex".parse().unwrap()),
            StartQueue::default()
        );
    }

    #[tokio::test]
    async fn whoever_leaves_gives_the_place_up() {
        let queue = Queue::default();
        let (first, _second) = (join(&queue, "ada"), join(&queue, "bob"));
        drop(first);
        assert_eq!(users(&queue), ["bob"]);
    }

    #[tokio::test]
    async fn whoever_waits_in_a_line_that_nobody_serves_any_more_is_sent_away() {
        let queue = Queue::default();
        let mut place = join(&queue, "ada");
        let mut serving = queue.serving("acme".parse().unwrap());
        assert!(!serving.close_if_empty());
        drop(serving);
        let told = place.outcome().now_or_never().expect("it is told at once");
        assert_eq!(told.unwrap_err().refusal.reason, Reason::BackendUnavailable);

        // Who closed his line leaves the next one alone.
        let mut serving = queue.serving("acme".parse().unwrap());
        assert!(serving.close_if_empty());
        let _place = join(&queue, "bob");
        drop(serving);
        assert_eq!(users(&queue), ["bob"]);
    }

    #[tokio::test]
    async fn a_line_is_bounded() {
        let queue = Queue::default();
        let places: Vec<_> = (0..LINE_LEN_MAX).map(|_| join(&queue, "ada")).collect();
        let refused = queue.join(owner("bob"), Arc::default(), no_room());
        assert_eq!(refused.unwrap_err().refusal.reason, Reason::Overloaded);
        drop(places);
        assert!(queue.close_if_empty(&"acme".parse().unwrap()));
    }

    #[tokio::test]
    async fn the_files_of_those_who_wait_are_bounded() {
        let queue = Queue::default();
        let heavy = |bytes| {
            let file = MountedFile {
                path: "/data".to_owned(),
                content: vec![0; bytes],
            };
            let request = StartRequest {
                mounted_files: vec![file],
                ..StartRequest::default()
            };
            queue.join(owner("ada"), Arc::new(request), no_room())
        };
        let first = heavy(LINE_BYTES_MAX - 1).unwrap();
        let _second = heavy(1).unwrap();
        let refused = heavy(1).unwrap_err().refusal;
        assert_eq!(refused.reason, Reason::Overloaded);
        drop(first);
        heavy(1).unwrap();
    }

    #[tokio::test]
    async fn whoever_waited_for_nothing_is_told_where_and_for_what() {
        let queue = Queue::default();
        let (_first, second) = (join(&queue, "ada"), join(&queue, "bob"));
        let refusal = second.give_up().unwrap();
        assert!(
            refusal.message.contains("place 2 of 2"),
            "{}",
            refusal.message
        );
        assert!(refusal.message.contains("full"), "{}", refusal.message);
        assert_eq!(refusal.metadata["queue_position"], "2");
    }

    #[tokio::test]
    async fn whoever_is_tried_as_time_runs_out_is_told_how_that_went() {
        let (queue, acme) = (Queue::default(), "acme".parse().unwrap());
        let mut waiting = join(&queue, "ada");
        let turn = queue.turns(&acme)[0];
        queue.served(&acme, turn).unwrap();
        assert_eq!(waiting.give_up(), None);
        assert!(waiting.outcome().now_or_never().is_none());
        queue.keep(&acme, turn, no_room());
        let told = waiting
            .outcome()
            .now_or_never()
            .expect("it is told at once");
        assert_eq!(told.unwrap_err().refusal.metadata["queue_position"], "1");
        assert!(queue.turns(&acme).is_empty());

        let mut waiting = join(&queue, "ada");
        let turn = queue.turns(&acme)[0];
        queue.served(&acme, turn).unwrap();
        let done = Refusal::new(Reason::Internal, "something else");
        queue.tell(&acme, turn, Err(done.into()));
        assert_eq!(waiting.give_up(), None, "it was told already");
        let told = waiting.outcome().now_or_never().expect("it was told");
        assert_eq!(told.unwrap_err().refusal.reason, Reason::Internal);
    }

    #[test]
    fn only_what_may_pass_is_waited_for() {
        assert!(can_wait(&no_room()));
        assert!(can_wait(&Refusal::new(Reason::QuotaExceeded, "")));
        assert!(!can_wait(&Refusal::new(Reason::NoSuitableRunner, "")));
        assert!(!can_wait(&Refusal::new(Reason::InvalidRequest, "")));
        assert!(!can_wait(&Refusal::new(Reason::Overloaded, "")));
    }
}
