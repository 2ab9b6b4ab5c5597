//! Runners that come without the sandboxes that they should have.
//!
//! A sandbox that has started is never started again: what it held would be gone, what it
//! did would be done twice, and nobody would know. So one that its runner does not have is
//! over. But that a runner does not have it can also mean that it is the wrong one: a second
//! machine that was given the same join token. While the right one may still come, the wrong
//! one is not let in.
//!
//! Invariant: nothing is given up for lost before whoever may have it was silent for as long
//! as a runner that is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use palisade_model::id::SandboxId;
use palisade_model::sandbox::{State, Status};
use palisade_store::Fault;
use palisade_store::sandbox::StatusChange;
use tracing::warn;

use super::session::Session;
use super::{Hub, Known};
use crate::follow::each;

/// Why a runner does not get the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    #[error("a later start of this runner is connected")]
    LaterStart,
    #[error(
        "{lacking} sandbox(es) that run are not here; the runner that may have them was heard of \
         {silent} s ago, and they are given up for lost once that is {limit} s. If this is a second \
         machine, it needs a runner object and a join token of its own"
    )]
    Elsewhere {
        lacking: usize,
        silent: u64,
        limit: u64,
    },
}

/// Whether a sandbox that lives cannot go on, as its runner does not have it.
pub(super) fn is_lost(status: &Status, is_held: bool) -> bool {
    // What is to end is told so, and ends there as nothing.
    !is_held && status.started_at.is_some() && status.stop.is_none()
}

impl Hub {
    /// How many sandboxes that have started the runner of a session does not have. Not
    /// counted if it keeps them where it kept them before: they are nowhere else.
    pub(super) async fn lacking(
        &self,
        session: &Session,
        held: &BTreeSet<SandboxId>,
    ) -> Result<usize, Fault> {
        if self.is_at_home(session) {
            return Ok(0);
        }
        let store = &self.inner.tools.store;
        let (organization, uid) = (&session.organization, session.uid);
        let live = |page| store.list_sandboxes_of_runner(organization, uid, page);
        let lost = each(live, |it| {
            is_lost(&it.status, held.contains(&it.id)).then_some(())
        });
        Ok(lost.await?.len())
    }

    fn is_at_home(&self, session: &Session) -> bool {
        let runners = self.runners();
        let known = runners.get(&session.uid);
        known.is_some_and(|known| known.is_home_of(session))
    }

    /// Whether a runner may take its place though it lacks so many sandboxes.
    pub(super) fn may_lack(
        &self,
        known: Option<&Known>,
        session: &Session,
        lacking: usize,
    ) -> Result<(), Barred> {
        let is_at_home = known.is_some_and(|known| known.is_home_of(session));
        if lacking == 0 || is_at_home {
            return Ok(());
        }
        let tools = &self.inner.tools;
        // Before the first one came, anybody may be away.
        let heard = known.map_or(self.inner.since, Known::last_heard);
        let (silent, limit) = (tools.now().saturating_since(heard), tools.config.lost_after);
        if silent >= limit {
            return Ok(());
        }
        Err(Barred::Elsewhere {
            lacking,
            silent: silent.as_secs(),
            limit: whole_seconds(limit),
        })
    }

    /// Records that sandboxes are over, as their runner does not have them any more.
    pub(super) async fn give_up(
        &self,
        session: &Arc<Session>,
        lost: &[SandboxId],
    ) -> Result<(), Fault> {
        if lost.is_empty() {
            return Ok(());
        }
        let (tools, runner) = (&self.inner.tools, &session.runner_id);
        warn!(runner.id = %runner, count = lost.len(), "a runner does not have sandboxes any more");
        let ends = lost.iter().map(|id| {
            let closed = StatusChange::Closed {
                state: State::Failed(None),
                reason: format!(
                    "runner {runner} came back without the sandbox: its machine, or what it kept there, \
                     was replaced"
                ),
                now: tools.now(),
            };
            (*id, closed)
        });
        let store = &tools.store;
        store
            .change_statuses(&session.organization, ends.collect())
            .await?;
        for id in lost {
            self.inner.picture.release(*id);
        }
        Ok(())
    }
}

impl Known {
    /// Whether the runner of a session keeps its sandboxes where this one did.
    fn is_home_of(&self, session: &Session) -> bool {
        !self.home.is_empty() && self.home == session.home
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
