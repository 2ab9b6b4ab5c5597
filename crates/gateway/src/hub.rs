//! The runners that are connected, and what is wished of their sandboxes.
//!
//! A runner that joined has one [`Session`]; a newer one takes its place. What
//! is wished of a sandbox is never carried by a message between the parts of
//! the gateway: a session is told which sandbox to look at, reads the store and
//! tells the runner what follows. So a fresh request, a lost connection and a
//! restart take the same way, and what waits is a set of ids and no queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_backend::Attach;
use palisade_model::clock::Timestamp;
use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::{Live, Presence};
use palisade_model::policy::Surroundings;
use palisade_model::sandbox::State;
use palisade_model::token::RunnerIdentity;
use palisade_store::sandbox::Standing;
use palisade_wire::rest::{DenialTotals, RunnerObservation};
use palisade_wire::v1beta2::UsageNow;

use crate::picture::Picture;
use crate::tools::Tools;

mod abandoned;
mod attach;
mod denials;
mod drive;
mod holds;
mod homes;
mod join;
mod pending;
mod plan;
mod record;
mod relay;
mod remote;
mod secrets;
mod session;
mod wishes;

pub(crate) use join::RunnerGate;

use denials::DenialBook;
use holds::Holds;
use homes::Barred;
use pending::Pending;
use remote::RemoteAttach;
use session::Session;

/// Finds connected runners and tells them things. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tools: Tools,
    picture: Picture,
    pending: Pending,
    denials: DenialBook,
    runners: Mutex<BTreeMap<RunnerUid, Known>>,
    /// Sandboxes whose runner is told nothing until so many replies have been sent.
    held: Mutex<Holds>,
    /// Nothing is known of the time before.
    since: Timestamp,
}

/// A runner that is or was connected.
#[derive(Debug)]
struct Known {
    session: Option<Arc<Session>>,
    version: String,
    /// Where it keeps its sandboxes; empty if it does not say.
    home: String,
    /// When its last connection began.
    connected_at: Timestamp,
    last_heard: Timestamp,
}

/// Holds back what would be told to a runner about one sandbox. Dropping it
/// lets that go.
#[derive(Debug)]
pub(crate) struct Held {
    hub: Hub,
    runner: RunnerUid,
    id: SandboxId,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.hub.inner.held).give_back(self.id);
        self.hub.look(self.runner, self.id);
    }
}

impl Hub {
    pub(crate) fn new(tools: Tools, picture: Picture) -> Self {
        let since = tools.now();
        let inner = Inner {
            tools,
            picture,
            pending: Pending::default(),
            denials: DenialBook::default(),
            runners: Mutex::default(),
            held: Mutex::default(),
            since,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Talks to sandboxes on a runner; `None` if it is not connected.
    pub(crate) fn attach_to(&self, runner: RunnerUid) -> Option<Arc<dyn Attach>> {
        let session = self.session(runner)?;
        Some(Arc::new(RemoteAttach::new(self.clone(), session)))
    }

    /// Has the session of a runner look at a sandbox, if there is a session.
    pub(crate) fn look(&self, runner: RunnerUid, id: SandboxId) {
        if let Some(session) = self.session(runner) {
            session.wishes.look(id);
        }
    }

    /// Has a runner free everything of a sandbox, if it is connected.
    pub(crate) fn remove(&self, runner: RunnerUid, id: SandboxId) {
        if let Some(session) = self.session(runner) {
            session.wishes.remove_at(id, Timestamp::EPOCH);
        }
    }

    /// Has the session look if the record says what a runner must be told.
    pub(crate) fn look_if_due(&self, id: SandboxId, standing: &Standing) {
        let Standing { runner, status } = standing;
        let is_news = status.stop.is_some()
            || status.state == State::Creating
            || !status.is_as_paused_as_wished();
        if is_news && !status.state.is_terminal() {
            self.look(*runner, id);
        }
    }

    /// Holds back what would be told about a sandbox, until a reply is sent.
    pub(crate) fn hold(&self, runner: RunnerUid, id: SandboxId) -> Held {
        lock(&self.inner.held).take(id);
        Held {
            hub: self.clone(),
            runner,
            id,
        }
    }

    fn is_held(&self, id: SandboxId) -> bool {
        lock(&self.inner.held).are_on(id)
    }

    /// Tells a runner to take no new sandboxes, and places none there.
    pub(crate) fn drain(&self, organization: &OrganizationId, runner: RunnerUid) {
        self.inner
            .picture
            .update_live(organization, runner, |live| live.is_draining = true);
        if let Some(session) = self.session(runner) {
            session.drain();
        }
    }

    /// Places sandboxes again on a runner whose drain was taken back.
    pub(crate) fn undrain(&self, organization: &OrganizationId, runner: RunnerUid) {
        self.inner
            .picture
            .update_live(organization, runner, |live| live.is_draining = false);
    }

    /// Ends the session of a runner that was deleted.
    pub(crate) fn forget(&self, runner: RunnerUid) {
        let known = self.runners().remove(&runner);
        if let Some(session) = known.and_then(|known| known.session) {
            session.end();
        }
    }

    /// What is known of the process behind a runner.
    pub(crate) fn observe(&self, runner: RunnerUid) -> RunnerObservation {
        let runners = self.runners();
        let Some(known) = runners.get(&runner) else {
            return RunnerObservation::default();
        };
        RunnerObservation {
            is_connected: known.session.is_some(),
            last_heartbeat: Some(known.last_heard()),
            version: known.version.clone(),
            lacks: self.inner.picture.lacks(runner),
        }
    }

    /// What lies around the sandboxes of a runner that is connected, as far as
    /// it says so.
    pub(crate) fn surroundings(&self, runner: RunnerUid) -> Option<Surroundings> {
        self.session(runner)?.surroundings()
    }

    pub(crate) fn is_connected(&self, runner: RunnerUid) -> bool {
        self.session(runner).is_some()
    }

    /// Since when a runner is connected, or when it last was; `None` if that was before
    /// this gateway.
    pub(crate) fn connected_at(&self, runner: RunnerUid) -> Option<Timestamp> {
        self.runners().get(&runner).map(|known| known.connected_at)
    }

    /// How long a runner has been away; `None` if it is there.
    pub(crate) fn away_for(&self, runner: RunnerUid, now: Timestamp) -> Option<Duration> {
        let runners = self.runners();
        let last = match runners.get(&runner) {
            Some(known) if known.session.is_some() => return None,
            Some(known) => known.last_heard,
            None => self.inner.since,
        };
        Some(now.saturating_since(last))
    }

    /// What a sandbox uses, as its runner last said.
    pub(crate) fn usage(&self, runner: RunnerUid, id: SandboxId) -> Option<UsageNow> {
        self.session(runner)?.usage(id)
    }

    /// What was refused to a sandbox, as its runner last said.
    pub(crate) fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        self.inner.denials.sandbox(organization, id)
    }

    /// What was refused to the sandboxes of a profile.
    pub(crate) fn profile_denials(
        &self,
        organization: &OrganizationId,
        id: ProfileId,
    ) -> DenialTotals {
        DenialTotals {
            since: Some(self.inner.since),
            ..self.inner.denials.profile(organization, id)
        }
    }

    /// What was refused to the sandboxes of every profile.
    pub(crate) fn denials_by_profile(&self) -> Vec<(OrganizationId, ProfileId, DenialTotals)> {
        self.inner.denials.profiles()
    }

    /// Whether this is the runner that is connected as `uid`.
    pub(crate) fn is_of(&self, runner: &RunnerIdentity, uid: RunnerUid) -> bool {
        let session = self.session(uid);
        session.is_some_and(|session| {
            session.identity.organization == runner.organization
                && session.identity.cluster == runner.cluster
        })
    }

    fn session(&self, runner: RunnerUid) -> Option<Arc<Session>> {
        self.runners().get(&runner)?.session.clone()
    }

    /// Gives a session its place, and says what is known of its runner now.
    ///
    /// A session of a later start of the same runner keeps its place, and so does one
    /// that may have what the newcomer lacks.
    fn enter(
        &self,
        session: &Arc<Session>,
        lacking: usize,
        said: impl FnOnce(&mut Live),
    ) -> Result<(), Barred> {
        let mut runners = self.runners();
        let known = runners.get(&session.uid);
        self.may_lack(known, session, lacking)?;
        if let Some(present) = known.and_then(|known| known.session.clone()) {
            if present.is_newer_than(session) {
                return Err(Barred::LaterStart);
            }
            present.end();
        }
        let known = Known {
            session: Some(session.clone()),
            version: session.version.clone(),
            home: session.home.clone(),
            connected_at: session.connected_at,
            last_heard: session.connected_at,
        };
        runners.insert(session.uid, known);
        // Under the lock, as in `leave`, so that the last one has the last word.
        let picture = &self.inner.picture;
        picture.update_live(&session.organization, session.uid, said);
        Ok(())
    }

    /// Says what is known of a runner now, if the session still has its place.
    fn update_if_present(&self, session: &Arc<Session>, said: impl FnOnce(&mut Live)) {
        let runners = self.runners();
        let known = runners.get(&session.uid);
        if known.is_some_and(|known| known.is_of(session)) {
            let picture = &self.inner.picture;
            picture.update_live(&session.organization, session.uid, said);
        }
    }

    /// Takes the place away from a session, if it still has it.
    fn leave(&self, session: &Arc<Session>) {
        let mut runners = self.runners();
        let Some(known) = runners.get_mut(&session.uid) else {
            return;
        };
        if !known.is_of(session) {
            return;
        }
        known.session = None;
        known.last_heard = session.last_heard();
        self.inner
            .picture
            .update_live(&session.organization, session.uid, |live| {
                live.presence = Presence::Lost;
            });
    }

    fn runners(&self) -> MutexGuard<'_, BTreeMap<RunnerUid, Known>> {
        lock(&self.inner.runners)
    }
}

impl Known {
    fn is_of(&self, session: &Arc<Session>) -> bool {
        let present = self.session.as_ref();
        present.is_some_and(|present| Arc::ptr_eq(present, session))
    }

    fn last_heard(&self) -> Timestamp {
        let session = self.session.as_ref();
        session.map_or(self.last_heard, |session| session.last_heard())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
