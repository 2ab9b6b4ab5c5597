//! The task that keeps the picture current with the store.
//!
//! Inputs: the feed of changes. Outputs: the picture of the fleet, the tokens
//! that are remembered, and a look at sandboxes that somebody else changed. It
//! takes the head of the feed, reads everything, then follows; whenever it has
//! fallen out of the feed it starts again. It ends when it is cancelled, at any
//! point without harm.

use std::collections::HashSet;
use std::time::Duration;

use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_store::{
    Change, Fault, FeedError, GetError, Page, PageRequest, PageSize, ProfileRef, RunnerRef,
    Sequence, Subject,
};
use tokio::sync::watch;
use tokio::time;
use tracing::{info, warn};

use crate::auth::Gate;
use crate::hub::Hub;
use crate::picture::{Contents, Holding, Picture};
use crate::tools::Tools;

/// How long one wait for a change may take.
const WAIT: Duration = Duration::from_secs(10);
/// How long a failed round is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the store.
#[derive(Debug)]
pub(crate) struct Follower {
    tools: Tools,
    picture: Picture,
    gate: Gate,
    hub: Hub,
    place: watch::Sender<Option<Sequence>>,
}

/// How far the picture has come. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress(watch::Receiver<Option<Sequence>>);

impl Progress {
    /// Whether everything was read once.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until everything was read once; whoever waits sets the limit.
    pub(crate) async fn ready(&self) {
        let mut place = self.0.clone();
        if place.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the picture holds everything up to a place in the feed.
    pub(crate) fn has(&self, head: Sequence) -> bool {
        self.0.borrow().is_some_and(|place| place >= head)
    }

    /// Waits until the picture holds everything up to a place in the feed;
    /// returns whether it does within `limit`.
    pub(crate) async fn reaches(&self, head: Sequence, limit: Duration) -> bool {
        let mut place = self.0.clone();
        let reached = place.wait_for(|place| place.is_some_and(|place| place >= head));
        matches!(time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}

impl Follower {
    pub(crate) fn new(tools: Tools, picture: Picture, gate: Gate, hub: Hub) -> (Self, Progress) {
        let (place, progress) = watch::channel(None);
        let follower = Self {
            tools,
            picture,
            gate,
            hub,
            place,
        };
        (follower, Progress(progress))
    }

    /// Runs until the gateway stops.
    pub(crate) async fn run(self) {
        let stop = self.tools.stop.clone();
        // Dropped half way, a round leaves a picture that the next one corrects.
        while stop.run_until_cancelled(self.round()).await.is_some() {}
        info!("following of the store stopped");
    }

    /// From the beginning until the feed is lost.
    async fn round(&self) {
        let lost = match self.read_everything().await {
            Ok(head) => self.follow(head).await,
            Err(fault) => FeedError::Fault(fault),
        };
        warn!(error = %lost, "the picture of the store is built anew");
        time::sleep(PAUSE).await;
    }

    async fn follow(&self, head: Sequence) -> FeedError {
        let mut place = head;
        info!("the gateway is caught up with the store");
        loop {
            self.place.send_replace(Some(place));
            match self.step(place).await {
                Ok(next) => place = next,
                Err(FeedError::Fault(fault)) if fault.may_retry() => {
                    warn!(error = %fault, "could not follow the store; trying again");
                    time::sleep(PAUSE).await;
                }
                Err(lost) => return lost,
            }
        }
    }

    /// Waits for changes and takes in a part of them.
    async fn step(&self, place: Sequence) -> Result<Sequence, FeedError> {
        let store = &self.tools.store;
        store.wait_for_change(place, WAIT).await?;
        let changes = store.changes_after(place, PageSize::MAX).await?;
        let Some(last) = changes.last() else {
            return Ok(place);
        };
        let reached = last.sequence;
        let mut done = HashSet::new();
        for change in changes {
            let Change {
                sequence: _,
                organization,
                subject,
            } = change;
            // What changed twice in one part is read once, as it is now.
            if done.insert((organization.clone(), subject)) {
                self.read_again(&organization, subject).await?;
            }
        }
        Ok(reached)
    }

    async fn read_again(
        &self,
        organization: &OrganizationId,
        subject: Subject,
    ) -> Result<(), Fault> {
        match subject {
            Subject::Organization => self.organization(organization).await,
            Subject::Token(id) => {
                self.gate.forget(id);
                Ok(())
            }
            Subject::Profile(id) => self.profile(organization, id).await,
            Subject::Runner(uid) => self.runner(organization, uid).await,
            Subject::Sandbox(id) => self.sandbox(organization, id).await,
        }
    }

    async fn organization(&self, organization: &OrganizationId) -> Result<(), Fault> {
        let found = self.tools.store.get_organization(organization).await;
        if let Some(organization) = existing(found)? {
            self.picture.put_organization(organization);
        }
        Ok(())
    }

    async fn profile(&self, organization: &OrganizationId, id: ProfileId) -> Result<(), Fault> {
        let reference = ProfileRef::from(id);
        let found = self.tools.store.get_profile(organization, &reference).await;
        match existing(found)? {
            Some(profile) => self.picture.put_profile(organization, profile),
            None => self.picture.remove_profile(organization, id),
        }
        Ok(())
    }

    async fn runner(&self, organization: &OrganizationId, uid: RunnerUid) -> Result<(), Fault> {
        let reference = RunnerRef::from(uid);
        let found = self.tools.store.get_runner(organization, &reference).await;
        let Some(runner) = existing(found)? else {
            self.picture.remove_runner(organization, uid);
            self.hub.forget(uid);
            return Ok(());
        };
        let is_deleting = runner.deleting_since.is_some();
        self.picture.put_runner(runner);
        if is_deleting {
            self.hub.drain(organization, uid);
        } else {
            self.hub.undrain(organization, uid);
        }
        Ok(())
    }

    async fn sandbox(&self, organization: &OrganizationId, id: SandboxId) -> Result<(), Fault> {
        let store = &self.tools.store;
        let Some(standing) = existing(store.get_standing(organization, id).await)? else {
            self.picture.release(id);
            return Ok(());
        };
        if standing.status.state.is_terminal() {
            self.picture.release(id);
        } else if !self.picture.holds(id) {
            // Another gateway admitted it: what it holds is in the whole record.
            if let Some(sandbox) = existing(store.get_sandbox(organization, id).await)? {
                self.picture.note(&sandbox);
            }
        }
        self.hub.look_if_due(id, &standing);
        Ok(())
    }

    /// Builds the picture from nothing; returns the place that it holds.
    async fn read_everything(&self) -> Result<Sequence, Fault> {
        let store = &self.tools.store;
        let head = store.head().await?;
        let held_before = self.picture.holders();
        let organizations = all(|page| store.list_organizations(page)).await?;
        let mut contents = Contents::default();
        for organization in organizations {
            let id = &organization.id;
            let profiles = all(|page| store.list_profiles(id, page)).await?;
            let profiles = profiles.into_iter().map(|it| (id.clone(), it));
            contents.profiles.extend(profiles);
            for runner in all(|page| store.list_runners(id, page)).await? {
                let uid = runner.uid;
                let live = |page| store.list_sandboxes_of_runner(id, uid, page);
                contents
                    .holdings
                    .extend(each(live, |it| Some(Holding::of(&it))).await?);
                contents.runners.push(runner);
            }
            contents.organizations.push(organization);
        }
        let gone = self.gone(held_before, &contents).await?;
        self.gate.forget_all();
        self.picture.rebuild(contents, &gone);
        Ok(head)
    }

    /// Which of those that held something are over. Only the store can tell: a
    /// place may be set aside for a sandbox that is just being recorded.
    async fn gone(
        &self,
        held: Vec<(OrganizationId, SandboxId)>,
        contents: &Contents,
    ) -> Result<Vec<SandboxId>, Fault> {
        let live: HashSet<SandboxId> = contents.holdings.iter().map(Holding::id).collect();
        let mut gone = Vec::new();
        for (organization, id) in held.into_iter().filter(|(_, id)| !live.contains(id)) {
            let found = self.tools.store.get_standing(&organization, id).await;
            if existing(found)?.is_some_and(|it| it.status.state.is_terminal()) {
                gone.push(id);
            }
        }
        Ok(gone)
    }
}

/// What was found, or nothing.
fn existing<T>(found: Result<T, GetError>) -> Result<Option<T>, Fault> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(GetError::NotFound) => Ok(None),
        Err(GetError::Fault(fault)) => Err(fault),
    }
}

/// Reads a list to its end.
async fn all<T, K, F>(list: impl FnMut(PageRequest<K>) -> F) -> Result<Vec<T>, Fault>
where
    F: Future<Output = Result<Page<T, K>, Fault>>,
{
    each(list, Some).await
}

/// Reads a list to its end, and keeps of each item what is wanted of it: what is large
/// is never there as a whole.
pub(crate) async fn each<T, U, K, F>(
    mut list: impl FnMut(PageRequest<K>) -> F,
    mut keep: impl FnMut(T) -> Option<U>,
) -> Result<Vec<U>, Fault>
where
    F: Future<Output = Result<Page<T, K>, Fault>>,
{
    let mut items = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = list(request).await?;
        items.extend(page.items.into_iter().filter_map(&mut keep));
        let Some(after) = page.next else {
            return Ok(items);
        };
        request = PageRequest {
            after: Some(after),
            size: PageSize::MAX,
        };
    }
}
