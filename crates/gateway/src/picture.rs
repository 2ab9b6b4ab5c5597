//! What the gateway knows of the fleet, and what it has set aside there.
//!
//! The picture is kept current by [`crate::follow`] from the store and by the
//! sessions of runners. Choosing a place and setting it aside is one step under
//! one lock, so that of many launches at once only as many win as fit. The lock
//! is never held across a wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::{self, Asking, Fleet, Live, Placement, Usage};
use palisade_model::pool::{Need, Pool};
use palisade_model::profile::{Profile, Revision};
use palisade_model::quota::Quota;
use palisade_model::refusal::Refusal;
use palisade_model::runner::{Feature, Resources, Runner};
use palisade_model::sandbox::{AppliedExposure, Owner, Sandbox, StartRequest};
use palisade_model::tenant::Organization;
use palisade_store::sandbox::Basis;
use tokio::sync::watch;

/// The fleet and what is set aside in it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    state: Arc<Mutex<State>>,
    /// Changes when there may be room that there was not.
    news: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    fleet: Fleet,
    profiles: HashMap<(OrganizationId, ProfileId), Arc<Profile>>,
    quotas: HashMap<OrganizationId, (Quota, Revision)>,
    ledger: HashMap<SandboxId, Entry>,
    /// The sum of the ledger for each runner, known to the fleet or not.
    usage: HashMap<RunnerUid, Usage>,
    /// Likewise, of what each runner has in its pools.
    held: HashMap<RunnerUid, Arc<BTreeMap<Pool, u32>>>,
    /// The part of it that is of sandboxes that are over, until the runner has told since
    /// how much of it rests.
    leaving: HashMap<RunnerUid, Vec<Need>>,
    /// What was last said of each runner's process, known to the fleet or not.
    live: HashMap<RunnerUid, Live>,
}

/// What one sandbox holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    organization: OrganizationId,
    runner: RunnerUid,
    reserved: Resources,
    need: Option<Need>,
}

/// Everything that the store knows, to start a picture from.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) organizations: Vec<Organization>,
    pub(crate) profiles: Vec<(OrganizationId, Profile)>,
    pub(crate) runners: Vec<Runner>,
    /// Of the live sandboxes.
    pub(crate) holdings: Vec<Holding>,
}

/// A live sandbox, and what it holds.
#[derive(Debug)]
pub(crate) struct Holding {
    id: SandboxId,
    entry: Entry,
}

impl Holding {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self {
            id: sandbox.id,
            entry: Entry::of(sandbox),
        }
    }

    pub(crate) fn id(&self) -> SandboxId {
        self.id
    }
}

/// A place that was chosen for a sandbox.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) placement: Placement,
    /// What the choice was made from.
    pub(crate) basis: Basis,
    pub(crate) reservation: Reservation,
}

/// A place that is set aside for a sandbox; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    picture: Picture,
    id: Option<SandboxId>,
}

impl Reservation {
    /// The sandbox is recorded: it holds the place until it is over.
    pub(crate) fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            // Not news: whoever waits would try, give back, and try again.
            // No runner has heard of it, so that nothing of it can rest.
            self.picture.lock().release(id, State::give_back);
        }
    }
}

impl Picture {
    /// Chooses a place for a sandbox and sets it aside.
    pub(crate) fn place(
        &self,
        id: SandboxId,
        owner: &Owner,
        request: &StartRequest,
    ) -> Result<Place, Refusal> {
        let mut state = self.lock();
        let known = state.quotas.get(&owner.organization);
        let largest = known.map(|(quota, _)| quota.largest_sandbox(&owner.user));
        let quota = known.map_or(Revision::FIRST, |(_, revision)| *revision);
        let asking = Asking {
            owner,
            request,
            quota: &largest.unwrap_or_default(),
        };
        let placement = placement::select(&state.fleet, &asking)?;
        let basis = Basis {
            runner: placement.runner_revision,
            profile: placement.profile_revision,
            quota,
        };
        let entry = Entry {
            organization: owner.organization.clone(),
            runner: placement.runner_uid,
            reserved: placement.reserved,
            need: placement.exposure.as_ref().and_then(need),
        };
        state.hold(id, entry);
        let reservation = Reservation {
            picture: self.clone(),
            id: Some(id),
        };
        Ok(Place {
            placement,
            basis,
            reservation,
        })
    }

    /// A number that changes whenever there may be room that there was not.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Takes in what the store says of a sandbox.
    pub(crate) fn note(&self, sandbox: &Sandbox) {
        let mut state = self.lock();
        if sandbox.status.state.is_terminal() {
            state.release(sandbox.id, State::linger);
            drop(state);
            self.tell();
        } else {
            state.hold(sandbox.id, Entry::of(sandbox));
        }
    }

    /// Whether it is known what a sandbox holds, which never changes while it lives.
    pub(crate) fn holds(&self, id: SandboxId) -> bool {
        self.lock().ledger.contains_key(&id)
    }

    /// Gives back what a sandbox held. Does nothing if it held nothing.
    pub(crate) fn release(&self, id: SandboxId) {
        self.lock().release(id, State::linger);
        self.tell();
    }

    /// Takes in a runner as it is configured now.
    pub(crate) fn put_runner(&self, runner: Runner) {
        self.lock().put_runner(Arc::new(runner));
        self.tell();
    }

    /// Forgets a runner that was deleted.
    pub(crate) fn remove_runner(&self, organization: &OrganizationId, uid: RunnerUid) {
        let mut state = self.lock();
        state.fleet.remove(organization, uid);
        state.live.remove(&uid);
        for need in state.leaving.remove(&uid).unwrap_or_default() {
            state.give_back(uid, &need);
        }
    }

    /// Takes in a profile as it is now, and what runners make of it.
    pub(crate) fn put_profile(&self, organization: &OrganizationId, profile: Profile) {
        let mut state = self.lock();
        let (id, key) = (profile.id, (organization.clone(), profile.id));
        state.profiles.insert(key, Arc::new(profile));
        state.resolve_again(organization, id);
        drop(state);
        self.tell();
    }

    /// Forgets a profile that was deleted.
    pub(crate) fn remove_profile(&self, organization: &OrganizationId, id: ProfileId) {
        let mut state = self.lock();
        state.profiles.remove(&(organization.clone(), id));
        state.resolve_again(organization, id);
    }

    /// Takes in an organization as it is now.
    pub(crate) fn put_organization(&self, organization: Organization) {
        let mut state = self.lock();
        let quota = (organization.quota, organization.revision);
        state.quotas.insert(organization.id, quota);
        drop(state);
        self.tell();
    }

    /// Changes what is known of the process behind a runner.
    pub(crate) fn update_live(
        &self,
        organization: &OrganizationId,
        uid: RunnerUid,
        change: impl FnOnce(&mut Live),
    ) {
        let mut state = self.lock();
        let live = state.live.entry(uid).or_default();
        change(live);
        state.tell_fleet(organization, uid);
        drop(state);
        self.tell();
    }

    /// A runner has told what is left in its pools: what sandboxes that are over had there is
    /// in that, if it is not free yet.
    pub(crate) fn settle(&self, organization: &OrganizationId, uid: RunnerUid) {
        let mut state = self.lock();
        let Some(left) = state.leaving.remove(&uid) else {
            return;
        };
        for need in left {
            state.give_back(uid, &need);
        }
        state.tell_fleet(organization, uid);
        drop(state);
        self.tell();
    }

    /// Whether a runner said that it can pause sandboxes.
    pub(crate) fn can_pause(&self, uid: RunnerUid) -> bool {
        let state = self.lock();
        let report = state.live.get(&uid).and_then(|live| live.report.as_ref());
        report.is_some_and(|report| report.capabilities.pause)
    }

    /// What a runner said that it lacks, and why.
    pub(crate) fn lacks(&self, uid: RunnerUid) -> BTreeMap<Feature, String> {
        let state = self.lock();
        let report = state.live.get(&uid).and_then(|live| live.report.as_ref());
        report.map_or_else(BTreeMap::new, |report| report.capabilities.lacks.clone())
    }

    /// The fleet as it is at this moment.
    pub(crate) fn fleet(&self) -> Fleet {
        self.lock().fleet.clone()
    }

    /// Starts anew from everything that the store knows. What is known of the
    /// processes behind runners stays.
    ///
    /// Places that are set aside for sandboxes that are being recorded at this
    /// moment stay, too; whoever holds them gives them back.
    pub(crate) fn rebuild(&self, contents: Contents, gone: &[SandboxId]) {
        let Contents {
            organizations,
            profiles,
            runners,
            holdings,
        } = contents;
        let mut state = self.lock();
        state.fleet = Fleet::default();
        let quotas = organizations.into_iter();
        state.quotas = quotas.map(|it| (it.id, (it.quota, it.revision))).collect();
        let profiles = profiles.into_iter();
        state.profiles = profiles
            .map(|(organization, profile)| ((organization, profile.id), Arc::new(profile)))
            .collect();
        for id in gone {
            state.release(*id, State::linger);
        }
        for Holding { id, entry } in holdings {
            state.hold(id, entry);
        }
        for runner in runners {
            state.put_runner(Arc::new(runner));
        }
        drop(state);
        self.tell();
    }

    /// The sandboxes that hold something.
    pub(crate) fn holders(&self) -> Vec<(OrganizationId, SandboxId)> {
        let state = self.lock();
        let entries = state.ledger.iter();
        entries
            .map(|(id, entry)| (entry.organization.clone(), *id))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn of(sandbox: &Sandbox) -> Self {
        Self {
            organization: sandbox.owner.organization.clone(),
            runner: sandbox.placement.runner_uid,
            reserved: sandbox.placement.reserved,
            need: sandbox.launch.exposure.as_ref().and_then(need),
        }
    }
}

/// What a sandbox takes of the pools of its runner. One that waits there for its turn takes
/// nothing yet; the runner says when it does.
fn need(exposure: &AppliedExposure) -> Option<Need> {
    let waits = exposure.exposure.expects_external_address;
    Need::of(&exposure.exposure, &exposure.ports).filter(|_| !waits)
}

impl State {
    /// Holding twice is holding once.
    fn hold(&mut self, id: SandboxId, entry: Entry) {
        if self.ledger.contains_key(&id) {
            return;
        }
        let usage = self.usage.entry(entry.runner).or_default();
        *usage = usage.with(entry.reserved);
        if let Some(need) = &entry.need {
            self.take(entry.runner, need, u32::saturating_add);
        }
        self.tell_fleet(&entry.organization, entry.runner);
        self.ledger.insert(id, entry);
    }

    /// Gives back what a sandbox held, what it had of a pool in such a way.
    fn release(&mut self, id: SandboxId, leave: fn(&mut Self, RunnerUid, &Need)) {
        let Some(entry) = self.ledger.remove(&id) else {
            return;
        };
        let usage = self.usage.entry(entry.runner).or_default();
        *usage = usage.without(entry.reserved);
        if *usage == Usage::default() {
            self.usage.remove(&entry.runner);
        }
        if let Some(need) = &entry.need {
            leave(self, entry.runner, need);
        }
        self.tell_fleet(&entry.organization, entry.runner);
    }

    fn give_back(&mut self, runner: RunnerUid, need: &Need) {
        self.take(runner, need, u32::saturating_sub);
    }

    fn linger(&mut self, runner: RunnerUid, need: &Need) {
        self.leaving.entry(runner).or_default().push(need.clone());
    }

    /// Counts what is taken of a pool, or given back.
    fn take(&mut self, runner: RunnerUid, need: &Need, count: fn(u32, u32) -> u32) {
        let held = Arc::make_mut(self.held.entry(runner).or_default());
        let taken = held.entry(need.pool.clone()).or_default();
        *taken = count(*taken, need.count);
        held.retain(|_, taken| *taken > 0);
        if held.is_empty() {
            self.held.remove(&runner);
        }
    }

    fn put_runner(&mut self, runner: Arc<Runner>) {
        let (organization, uid) = (runner.organization.clone(), runner.uid);
        let Self {
            fleet, profiles, ..
        } = self;
        fleet.put(runner, |id| {
            profiles.get(&(organization.clone(), id)).cloned()
        });
        self.tell_fleet(&organization, uid);
    }

    /// A profile is part of what its runners offer.
    fn resolve_again(&mut self, organization: &OrganizationId, profile: ProfileId) {
        let concerned: Vec<_> = self
            .fleet
            .members(organization)
            .map(|member| member.runner().clone())
            .filter(|runner| runner.bindings.of(profile).is_some())
            .collect();
        for runner in concerned {
            self.put_runner(runner);
        }
    }

    /// Hands on what is known of a runner, if the fleet has it.
    fn tell_fleet(&mut self, organization: &OrganizationId, uid: RunnerUid) {
        let usage = self.usage.get(&uid).copied().unwrap_or_default();
        let held = self.held.get(&uid).cloned().unwrap_or_default();
        let said = self.live.get(&uid).cloned().unwrap_or_default();
        self.fleet.update(organization, uid, |live| {
            *live = Live {
                usage,
                held,
                ..said
            };
        });
    }
}

#[cfg(test)]
mod tests;
