//! Pieces of work that a runner was asked to open a stream for.
//!
//! The name of a piece of work cannot be guessed, is good for one stream, and
//! only for the runner that was asked. Whoever waits takes its name back when
//! it stops waiting, so that nothing is left behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use palisade_model::token::RunnerIdentity;
use palisade_wire::proto::runner_v1 as pb;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use crate::hex::hex;

/// The most streams that may be waited for at once.
pub(super) const PENDING_MAX: usize = 20_000;

/// Who waits for which stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    waiting: Arc<Mutex<HashMap<String, Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    runner: RunnerIdentity,
    deliver: oneshot::Sender<Link>,
}

/// Both directions of the stream of one piece of work.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: Streaming<pb::AttachUp>,
    /// Dropping it ends the stream, which cancels the work.
    pub(super) down: mpsc::Sender<Result<pb::AttachDown, Status>>,
}

/// A name that is waited for; dropping it stops the waiting.
#[derive(Debug)]
pub(super) struct Ticket {
    pending: Pending,
    name: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.name);
    }
}

/// As many streams are waited for as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Pending {
    /// Waits for a stream of `runner` under a name that nobody can guess.
    pub(super) fn wait_for(
        &self,
        secret: [u8; 32],
        runner: RunnerIdentity,
    ) -> Result<(Ticket, String, oneshot::Receiver<Link>), Full> {
        let name = hex(&secret);
        let (deliver, link) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.len() >= PENDING_MAX {
            return Err(Full);
        }
        waiting.insert(name.clone(), Waiting { runner, deliver });
        let ticket = Ticket {
            pending: self.clone(),
            name: name.clone(),
        };
        Ok((ticket, name, link))
    }

    /// Hands a stream to whoever waits for it; `false` if nobody does.
    pub(super) fn deliver(&self, name: &str, runner: &RunnerIdentity, link: Link) -> bool {
        let mut waiting = self.lock();
        let is_asked = waiting.get(name).is_some_and(|waiting| {
            waiting.runner.organization == runner.organization
                && waiting.runner.cluster == runner.cluster
        });
        if !is_asked {
            return false;
        }
        let found = waiting.remove(name);
        drop(waiting);
        found.is_some_and(|waiting| waiting.deliver.send(link).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
