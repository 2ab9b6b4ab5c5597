//! The loop that makes durable what one runner reports.
//!
//! Inputs: observations. Outputs: changes of status, many in one transaction,
//! and what follows from them: capacity that is free again, logs whose time
//! runs, sandboxes that should not be there. It ends with the connection; what
//! was not recorded by then is reported again over the next one.

use std::sync::Arc;
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::state::Observation;
use palisade_store::Fault;
use palisade_store::sandbox::{StatusChange, StatusChanged};
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::proto::runner_v1::gateway_message::Message;
use palisade_wire::runner::observation;
use tokio::sync::mpsc;
use tokio::time;
use tracing::{error, info, warn};

use super::Hub;
use super::join::Loss;
use super::session::Session;

/// Observations that may wait for the store; more slow the runner down.
pub(super) const OBSERVATIONS_MAX: usize = 1_024;
/// Observations in one transaction.
const BATCH_MAX: usize = 256;
/// The pause after the store failed; it doubles up to the limit.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Records what one runner reports.
#[derive(Debug)]
pub(super) struct Recorder {
    hub: Hub,
    session: Arc<Session>,
    observations: mpsc::Receiver<pb::Observation>,
}

type Seen = (SandboxId, Observation);

impl Recorder {
    pub(super) fn new(
        hub: Hub,
        session: Arc<Session>,
        observations: mpsc::Receiver<pb::Observation>,
    ) -> Self {
        Self {
            hub,
            session,
            observations,
        }
    }

    /// Runs until nothing can be heard any more.
    pub(super) async fn run(mut self) -> Loss {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        loop {
            waiting.clear();
            if self.observations.recv_many(&mut waiting, BATCH_MAX).await == 0 {
                return Loss::Closed;
            }
            let seen: Vec<Seen> = waiting.drain(..).filter_map(|it| self.read(it)).collect();
            if let Err(loss) = self.record(seen).await {
                return loss;
            }
        }
    }

    fn read(&self, message: pb::Observation) -> Option<Seen> {
        let read = observation(message);
        if let Err(error) = &read {
            warn!(runner.id = %self.session.runner_id, %error, "a report cannot be read");
        }
        read.ok()
    }

    async fn record(&self, seen: Vec<Seen>) -> Result<(), Loss> {
        if seen.is_empty() {
            return Ok(());
        }
        match self.change(&seen).await {
            Ok(answers) => self.follow_up(seen, answers).await,
            // One of them is damaged: the others must not suffer.
            Err(_) if seen.len() > 1 => {
                for one in seen {
                    Box::pin(self.record(vec![one])).await?;
                }
                Ok(())
            }
            Err(error) => {
                error!(runner.id = %self.session.runner_id, %error, "could not record a report");
                Ok(())
            }
        }
    }

    /// Changes statuses in one transaction, however long the store is away.
    async fn change(&self, seen: &[Seen]) -> Result<Vec<Option<StatusChanged>>, Fault> {
        let tools = &self.hub.inner.tools;
        let mut pause = PAUSE;
        loop {
            let now = tools.now();
            let changes = seen.iter().map(|seen| self.observed(seen, now)).collect();
            let organization = &self.session.organization;
            let answers = tools.store.change_statuses(organization, changes);
            match answers.await {
                Err(fault) if fault.may_retry() => {
                    warn!(error = %fault, "could not record reports; trying again");
                    time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    fn observed(&self, (id, seen): &Seen, now: Timestamp) -> (SandboxId, StatusChange) {
        let change = StatusChange::Observed {
            by: self.session.uid,
            seen: seen.clone(),
            now,
        };
        (*id, change)
    }

    async fn follow_up(
        &self,
        seen: Vec<Seen>,
        answers: Vec<Option<StatusChanged>>,
    ) -> Result<(), Loss> {
        for ((id, seen), answer) in seen.into_iter().zip(answers) {
            let recorded = pb::Recorded {
                sandbox_id: id.to_string(),
                number: seen.number,
            };
            self.conclude(id, &seen, answer);
            self.session.send(Message::Recorded(recorded)).await?;
        }
        Ok(())
    }

    fn conclude(&self, id: SandboxId, seen: &Observation, answer: Option<StatusChanged>) {
        let wishes = &self.session.wishes;
        let Some(StatusChanged { status, effect: _ }) = answer else {
            info!(sandbox.id = %id, "a runner holds a sandbox that nobody knows; it is removed");
            return wishes.remove_at(id, Timestamp::EPOCH);
        };
        if !status.state.is_terminal() {
            if !status.is_as_paused_as_wished() {
                wishes.look(id);
            }
            return;
        }
        self.hub.inner.picture.release(id);
        if seen.state.is_terminal() {
            let ended = status.ended_at.unwrap_or(self.hub.inner.tools.now());
            let until = ended.saturating_add(self.hub.inner.tools.config.logs_kept);
            wishes.remove_at(id, until);
        } else if seen.number >= status.observed {
            // It was declared over while the runner could not be told.
            wishes.remove_at(id, Timestamp::EPOCH);
        }
    }
}
