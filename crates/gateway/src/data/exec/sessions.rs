//! Sessions of commands, which outlive their streams for a short while.
//!
//! ```text
//!            begin              cut                    kept too long
//!  (stream) ───────► held ◄───────────► parked ───────────────────────► killed
//!                     │       claim        │ claim
//!                     │ ended              ▼
//!                     └──────► over ──► (another stream) ──► forgotten
//! ```
//!
//! A command is owned by one stream, or by the keeper of a parked session, or
//! lies in the table once it is over. Who wants it asks the owner, who gives it
//! up between two steps; so nothing is shared and nothing gets lost on the way.
//! A session is known by a name of which 256 bits are secret, and only to the
//! user who began it, for the sandbox in which it runs.
//!
//! Bounds: [`SessionLimits`]. A session for which there is no place is not kept;
//! its command ends as if there were no sessions.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::clock::Ids;
use palisade_model::id::SandboxId;
use palisade_model::name::{OrganizationId, UserId};
use palisade_model::tenant::Principal;
use subtle::ConstantTimeEq as _;
use tokio::sync::oneshot;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug};
use uuid::Uuid;

use super::super::Means;
use super::super::room::{Room, Seat};
use super::budget::Budget;
use super::command::Command;
use super::replay::Replay;
use crate::config::SessionLimits;
use crate::hex::hex;
use crate::visits::Visit;

/// How long the owner of a command may take to give it up.
const HANDOVER_LIMIT: Duration = Duration::from_secs(5);
/// Sessions that are over and kept at most; the oldest go first.
const OVER_MAX: usize = 4_096;
/// Characters of a session's name that are no secret.
const KEY_CHARS: usize = 32;

/// All sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::data) struct ExecSessions {
    table: Arc<Mutex<Table>>,
    limits: SessionLimits,
    parked: Room,
    budget: Budget,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Uuid, Entry>,
    /// Those that are over, oldest first; passed over if they were taken up again.
    over: VecDeque<Over>,
    over_bytes: usize,
    parked: HashMap<SandboxId, usize>,
}

#[derive(Debug)]
struct Entry {
    owner: Owner,
    secret: String,
    /// Grows whenever somebody else gets the command.
    turn: u64,
    state: State,
}

/// Who may take a session up again, and where.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    organization: OrganizationId,
    user: UserId,
    sandbox: SandboxId,
}

#[derive(Debug)]
enum State {
    Held(Claim),
    Over(Box<Handed>),
}

#[derive(Debug)]
struct Over {
    key: Uuid,
    turn: u64,
    since: Instant,
    bytes: usize,
}

/// How the owner of a command is asked for it.
#[derive(Clone, Debug, Default)]
struct Claim {
    asked: CancellationToken,
    to: Arc<Mutex<Option<oneshot::Sender<Box<Handed>>>>>,
}

/// A command on its way to another stream.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) command: Command,
    /// When its client was cut off, or when another one took its place.
    pub(super) left_at: Instant,
}

/// A session in somebody's hands; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Held {
    sessions: ExecSessions,
    key: Uuid,
    turn: u64,
    name: String,
    claim: Claim,
}

/// A command and the session it runs for.
#[derive(Debug)]
pub(in crate::data) struct Kept {
    pub(super) command: Command,
    pub(super) held: Held,
    pub(super) sandbox: SandboxId,
    pub(super) caller: Principal,
}

/// The place of a parked session; free again when dropped.
#[derive(Debug)]
struct Place {
    _seat: Seat,
    sessions: ExecSessions,
    sandbox: SandboxId,
}

impl ExecSessions {
    pub(in crate::data) fn new(limits: SessionLimits) -> Self {
        Self {
            table: Arc::default(),
            parked: Room::new(limits.parked_max),
            budget: Budget::new(limits.bytes_max),
            limits,
        }
    }

    /// An empty record of output for a command of this caller.
    pub(super) fn replay(&self, caller: &Principal) -> Replay {
        let share = self.budget.share(&caller.organization);
        Replay::new(self.limits.window_bytes, share)
    }

    /// Begins a session.
    pub(super) fn begin(&self, ids: &dyn Ids, caller: &Principal, sandbox: SandboxId) -> Held {
        let (key, claim) = (ids.uuid(), Claim::default());
        let secret = hex(&ids.secret());
        let name = format!("{}{secret}", key.simple());
        let entry = Entry {
            owner: Owner::new(caller, sandbox),
            secret,
            turn: 0,
            state: State::Held(claim.clone()),
        };
        let mut table = self.lock();
        table.clear(&self.limits);
        table.entries.insert(key, entry);
        drop(table);
        self.held(key, 0, name, claim)
    }

    /// Asks for the command of a session; `None` if there is none for this
    /// caller in this sandbox, or no longer.
    pub(super) async fn claim(
        &self,
        name: &str,
        caller: &Principal,
        sandbox: SandboxId,
    ) -> Option<(Held, Handed)> {
        let owner = Owner::new(caller, sandbox);
        let (held, coming) = self.ask(name, &owner)?;
        let handed = time::timeout(HANDOVER_LIMIT, coming).await.ok()?.ok()?;
        Some((held, *handed))
    }

    fn ask(&self, name: &str, owner: &Owner) -> Option<(Held, oneshot::Receiver<Box<Handed>>)> {
        let (key, secret) = name.split_at_checked(KEY_CHARS)?;
        let key = Uuid::try_parse(key).ok()?;
        let mut table = self.lock();
        table.clear(&self.limits);
        let entry = table.entries.get_mut(&key);
        let entry = entry.filter(|entry| entry.opens_to(secret, owner))?;
        let (claim, (to, coming)) = (Claim::default(), oneshot::channel());
        entry.turn += 1;
        let turn = entry.turn;
        match mem::replace(&mut entry.state, State::Held(claim.clone())) {
            State::Held(present) => present.ask(to),
            State::Over(handed) => {
                table.over_bytes -= handed.command.output.replay.bytes();
                let _ = to.send(handed);
            }
        }
        drop(table);
        Some((self.held(key, turn, name.to_owned(), claim), coming))
    }

    /// Keeps what is left of a command that is over: its client may be cut off
    /// before it gets the end.
    pub(super) fn over(&self, kept: Kept) {
        let Kept {
            mut command, held, ..
        } = kept;
        command.let_go();
        let since = Instant::now();
        let bytes = command.output.replay.bytes();
        let handed = Handed {
            command,
            left_at: since,
        };
        let mut table = self.lock();
        let Held { key, turn, .. } = held;
        let entry = table.entries.get_mut(&key);
        let Some(entry) = entry.filter(|entry| entry.turn == turn) else {
            drop(table);
            held.give(handed);
            return;
        };
        entry.state = State::Over(Box::new(handed));
        let over = Over {
            key,
            turn,
            since,
            bytes,
        };
        table.over.push_back(over);
        table.over_bytes += bytes;
        table.clear(&self.limits);
    }

    /// Keeps a command whose client was cut off, for as long as it may come
    /// back, and no longer than it would have waited itself or its token holds.
    pub(in crate::data) fn park(
        &self,
        kept: Kept,
        visit: Visit,
        deadline: Option<Instant>,
        means: &Means,
    ) {
        let until = Instant::now() + self.limits.kept;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        if !kept.command.output.is_announced || self.limits.kept.is_zero() {
            return;
        }
        let Some(place) = self.place(&kept) else {
            debug!(sandbox.id = %kept.sandbox, "no room to keep a command without a client");
            return;
        };
        let keeper = keep(kept, (place, visit), until, means.clone());
        means.tasks.spawn(keeper.in_current_span());
    }

    fn place(&self, kept: &Kept) -> Option<Place> {
        let seat = self.parked.take(&kept.caller.organization).ok()?;
        let mut table = self.lock();
        let parked = table.parked.entry(kept.sandbox).or_default();
        if *parked >= self.limits.parked_per_sandbox_max {
            return None;
        }
        *parked += 1;
        drop(table);
        Some(Place {
            _seat: seat,
            sessions: self.clone(),
            sandbox: kept.sandbox,
        })
    }

    fn held(&self, key: Uuid, turn: u64, name: String, claim: Claim) -> Held {
        Held {
            sessions: self.clone(),
            key,
            turn,
            name,
            claim,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions there are.
    #[cfg(test)]
    pub(in crate::data) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// How many commands of a sandbox have no client.
    #[cfg(test)]
    pub(in crate::data) fn parked(&self, sandbox: SandboxId) -> usize {
        self.lock().parked.get(&sandbox).copied().unwrap_or(0)
    }
}

/// Owns a command that has no client, until another stream wants it or its time
/// is over; then the command is dropped, which kills it.
async fn keep(kept: Kept, (place, visit): (Place, Visit), until: Instant, means: Means) {
    let left_at = Instant::now();
    let Kept {
        mut command,
        held,
        sandbox,
        ..
    } = kept;
    debug!(sandbox.id = %sandbox, "keeping a command whose client was cut off");
    tokio::select! {
        biased;
        () = held.asked() => held.give(Handed { command, left_at }),
        () = means.stop.cancelled() => {}
        () = visit.over() => {}
        () = time::sleep_until(until) => {
            debug!(sandbox.id = %sandbox, "nobody came back for a command; killing it");
        }
        () = command.output.fill(&*means.clock) => {}
    }
    drop(place);
}

impl Held {
    /// The name of the session.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Ends when somebody else wants the command.
    pub(super) async fn asked(&self) {
        self.claim.asked.cancelled().await;
    }

    /// Gives the command to who asked; one that left meanwhile kills it so.
    pub(super) fn give(self, handed: Handed) {
        if let Some(to) = self.claim.to() {
            let _ = to.send(Box::new(handed));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        let is_own = |entry: &Entry| entry.turn == self.turn && entry.state.is_held();
        if table.entries.get(&self.key).is_some_and(is_own) {
            table.entries.remove(&self.key);
        }
        drop(table);
        // Who asked and got nothing is told so.
        drop(self.claim.to());
    }
}

impl Claim {
    fn ask(&self, to: oneshot::Sender<Box<Handed>>) {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
        self.asked.cancel();
    }

    fn to(&self) -> Option<oneshot::Sender<Box<Handed>>> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        if let Some(parked) = table.parked.get_mut(&self.sandbox) {
            *parked -= 1;
            if *parked == 0 {
                table.parked.remove(&self.sandbox);
            }
        }
    }
}

impl Owner {
    fn new(caller: &Principal, sandbox: SandboxId) -> Self {
        Self {
            organization: caller.organization.clone(),
            user: caller.user.clone(),
            sandbox,
        }
    }
}

impl Entry {
    fn opens_to(&self, secret: &str, owner: &Owner) -> bool {
        let is_known: bool = self.secret.as_bytes().ct_eq(secret.as_bytes()).into();
        is_known && self.owner == *owner
    }
}

impl State {
    fn is_held(&self) -> bool {
        match self {
            Self::Held(_) => true,
            Self::Over(_) => false,
        }
    }
}

impl Table {
    /// Forgets what is over for too long, and the oldest of what is too much.
    fn clear(&mut self, limits: &SessionLimits) {
        let bytes_max = limits.bytes_max / 4;
        while self.over.front().is_some_and(|over| {
            over.since.elapsed() >= limits.kept
                || self.over.len() > OVER_MAX
                || self.over_bytes > bytes_max
        }) {
            let Some(Over {
                key, turn, bytes, ..
            }) = self.over.pop_front()
            else {
                return;
            };
            let entry = self.entries.get(&key);
            if entry.is_some_and(|entry| entry.turn == turn && !entry.state.is_held()) {
                self.entries.remove(&key);
                self.over_bytes -= bytes;
            }
        }
    }
}
