//! The task that keeps the store from growing and nobody waiting for ever.
//!
//! Inputs: the clock and the store. Outputs: old records and changes are gone;
//! sandboxes that were asked to end, or whose lifetime is over, on a runner that does
//! not come back count as over. While a runner is there it keeps lifetimes itself. It
//! ends when it is cancelled, at any point without harm.

use palisade_model::clock::Timestamp;
use palisade_model::runner::Runner;
use palisade_model::sandbox::{Sandbox, State};
use palisade_store::sandbox::StatusChange;
use palisade_store::{Fault, PageSize};
use tokio::time;
use tracing::{info, warn};

use crate::follow::each;
use crate::hub::Hub;
use crate::picture::Picture;
use crate::tools::Tools;

/// Keeps the store tidy.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) tools: Tools,
    pub(crate) picture: Picture,
    pub(crate) hub: Hub,
}

impl Upkeep {
    /// Runs until the gateway stops.
    pub(crate) async fn run(self) {
        let stop = self.tools.stop.clone();
        // Dropped half way, a pass leaves work that the next one finds.
        while stop.run_until_cancelled(self.round()).await.is_some() {}
        info!("upkeep stopped");
    }

    async fn round(&self) {
        time::sleep(self.tools.config.upkeep_period).await;
        if let Err(error) = self.pass().await {
            warn!(%error, "a pass of the upkeep failed");
        }
    }

    /// Looks once at everything.
    pub(crate) async fn pass(&self) -> Result<(), Fault> {
        self.close_lost().await?;
        self.purge().await?;
        let keep = self.tools.config.changes_kept;
        self.tools.store.prune_changes(keep).await
    }

    async fn purge(&self) -> Result<(), Fault> {
        let kept = self.tools.config.records_kept;
        let kept = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        let before = self.tools.now().as_micros().saturating_sub(kept);
        let before = Timestamp::from_micros(before);
        let part = PageSize::clamped(100);
        while self.tools.store.purge_sandboxes(before, part).await? == part.get() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Nobody will report the end of what has to end on a runner that is gone. Whatever comes back is removed there.
    async fn close_lost(&self) -> Result<(), Fault> {
        let fleet = self.picture.fleet();
        for member in fleet.iter() {
            let away = self.hub.away_for(member.runner().uid, self.tools.now());
            if away.is_some_and(|away| away >= self.tools.config.lost_after) {
                self.close_ended(member.runner()).await?;
            }
        }
        Ok(())
    }

    async fn close_ended(&self, runner: &Runner) -> Result<(), Fault> {
        let store = &self.tools.store;
        let (organization, uid) = (&runner.organization, runner.uid);
        let live = |page| store.list_sandboxes_of_runner(organization, uid, page);
        let now = self.tools.now();
        let to_end = each(live, |it| {
            let end = end_of(&it, now)?;
            Some((it, end))
        });
        let lost = to_end.await?;
        if lost.is_empty() {
            return Ok(());
        }
        let count = lost.len();
        warn!(runner.id = %runner.id, count, "sandboxes that should have ended count as over");
        let changes = lost.iter().map(|(it, end)| {
            let reason = format!("{end} while runner {} could not be reached", runner.id);
            let state = State::Terminated(None);
            (it.id, StatusChange::Closed { state, reason, now })
        });
        let changes = changes.collect();
        store.change_statuses(organization, changes).await?;
        for (sandbox, _) in lost {
            self.picture.release(sandbox.id);
        }
        Ok(())
    }
}

/// Why a sandbox has to be over by now.
fn end_of(sandbox: &Sandbox, now: Timestamp) -> Option<&'static str> {
    if sandbox.status.stop.is_some() {
        return Some("stopped");
    }
    let (since, lifetime) = (sandbox.status.started_at?, sandbox.launch.max_lifetime?);
    (since.saturating_add(lifetime) <= now).then_some("its lifetime ended")
}
