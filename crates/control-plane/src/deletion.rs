//! The task that ends the sandboxes of runners that are being deleted, at once or
//! after their drain, and then takes the runners away.
//!
//! Inputs: the marks in the store, looked at after every change and at the
//! latest after [`PERIOD`]. Output: a wish to stop for each sandbox, and the
//! deletion. It ends when it is cancelled, at any point without harm: nothing
//! is remembered between two passes.

use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::runner::Runner;
use palisade_model::sandbox::{State, StopWish};
use palisade_store::runner::FinishError;
use palisade_store::sandbox::StatusChange;
use palisade_store::{Fault, PageRequest, PageSize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::page;
use crate::plane::ControlPlane;

/// How often marks are looked at when nothing changes.
const PERIOD: Duration = Duration::from_secs(30);

/// How long a failed pass is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// How long sandboxes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(10);

/// How long a runner that is away may keep its sandboxes from being over.
const GIVE_UP_AFTER: Duration = Duration::from_mins(5);

/// Finishes the deletion of runners.
#[derive(Clone, Debug)]
pub struct Deletions {
    plane: ControlPlane,
}

impl Deletions {
    /// The task over the store of `plane`.
    pub fn new(plane: ControlPlane) -> Self {
        Self { plane }
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        // Dropped half way, a round leaves marks that the next one finds.
        while stop.run_until_cancelled(self.round()).await.is_some() {}
        info!("deletion of runners stopped");
    }

    /// One pass, and the wait for the next one.
    async fn round(&self) {
        if let Err(error) = self.pass_and_wait().await {
            warn!(%error, "a pass over runners that are being deleted failed");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn pass_and_wait(&self) -> Result<(), Fault> {
        let head = self.plane.store.head().await?;
        let next = self.pass().await?;
        self.plane.store.wait_for_change(head, next).await?;
        Ok(())
    }

    /// Looks once at every runner that is being deleted; returns after how long
    /// to look again at the latest.
    pub async fn pass(&self) -> Result<Duration, Fault> {
        let mut next = PERIOD;
        let store = &self.plane.store;
        for organization in page::all(|page| store.list_organizations(page)).await? {
            let runners = page::all(|page| store.list_runners(&organization.id, page)).await?;
            for runner in runners
                .iter()
                .filter(|runner| runner.deleting_since.is_some())
            {
                next = next.min(self.finish(runner).await?);
            }
        }
        Ok(next)
    }

    /// Takes the runner away, or asks its sandboxes to end once they had their
    /// time; returns after how long there is more to do.
    async fn finish(&self, runner: &Runner) -> Result<Duration, Fault> {
        let store = &self.plane.store;
        let gone = store.finish_runner(&runner.organization, runner.uid).await;
        match gone {
            Ok(()) => {
                info!(runner.uid = %runner.uid, runner.id = %runner.id, "runner deleted");
                Ok(PERIOD)
            }
            // Somebody else finished it, or took the drain back.
            Err(FinishError::NotMarked) => Ok(PERIOD),
            Err(FinishError::Occupied { .. }) => match self.time_left(runner) {
                Some(left) => Ok(left),
                None => self.end_sandboxes(runner).await.map(|()| PERIOD),
            },
            Err(FinishError::Fault(fault)) => Err(fault),
        }
    }

    /// How long its sandboxes may still end by themselves, if they may.
    fn time_left(&self, runner: &Runner) -> Option<Duration> {
        let left = runner.drain_until?.saturating_since(self.plane.now());
        // A moment later it is over for sure.
        (!left.is_zero()).then(|| left.saturating_add(Duration::from_millis(1)))
    }

    async fn end_sandboxes(&self, runner: &Runner) -> Result<(), Fault> {
        let (store, organization) = (&self.plane.store, &runner.organization);
        let is_lost = self.is_lost(runner);
        let mut request = PageRequest::first(PageSize::MAX);
        loop {
            let page = store
                .list_sandboxes_of_runner(organization, runner.uid, request)
                .await?;
            let wanting = page
                .items
                .iter()
                .filter(|sandbox| is_lost || sandbox.status.stop.is_none());
            let changes = wanting.map(|sandbox| (sandbox.id, self.end(is_lost)));
            let changes: Vec<(SandboxId, StatusChange)> = changes.collect();
            if !changes.is_empty() {
                store.change_statuses(organization, changes).await?;
            }
            if page.next.is_none() {
                return Ok(());
            }
            request = PageRequest {
                after: page.next,
                size: PageSize::MAX,
            };
        }
    }

    /// Whether the runner is away for so long that nobody will end anything.
    fn is_lost(&self, runner: &Runner) -> bool {
        let since = runner.deleting_since.unwrap_or(runner.updated_at);
        let since = runner.drain_until.map_or(since, |until| until.max(since));
        let waited = self.plane.now().saturating_since(since);
        !self.plane.live.observe(runner.uid).is_connected && waited >= GIVE_UP_AFTER
    }

    fn end(&self, is_lost: bool) -> StatusChange {
        let now = self.plane.now();
        if is_lost {
            return StatusChange::Closed {
                state: State::Failed(None),
                reason: "its runner was deleted while it could not be reached".to_owned(),
                now,
            };
        }
        StatusChange::StopWished(StopWish {
            grace: GRACE,
            at: now,
        })
    }
}
