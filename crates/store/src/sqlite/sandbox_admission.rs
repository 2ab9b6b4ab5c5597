//! Sandboxes that are added at the same time, in one transaction.
//!
//! A commit costs a turn of the disk, for one sandbox as for many. So whoever
//! adds one hands it to a task, which takes all that wait, decides on them one
//! after another as if each had a transaction of its own, and answers once they
//! are on the disk. Whoever goes away before it is begun leaves nothing behind.
//!
//! What is wrong with one is answered to that one alone. A write that fails, or
//! a store that is away, undoes the transaction for all that are in it; the others
//! are told that they may try again. So are those in a transaction that a defect of
//! ours ends; the task outlives it, and goes on with those who wait.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use palisade_model::sandbox::{MountedFile, Sandbox};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::unavailable;
use super::sandbox_write::{admit, insert};
use super::transaction::Writer;
use super::{PATIENCE, Write};
use crate::error::Fault;
use crate::sandbox::{Basis, InsertError};

/// The most that one transaction adds: its end is what the first of them waits for.
const TOGETHER: usize = 64;
/// As soon as the files of those in it hold so much, it takes no more: others wait for
/// the lock.
const TOGETHER_BYTES: usize = 1 << 20;
/// How many wait before more have to wait for a place to wait in.
const WAITING: usize = 256;

/// Hands sandboxes to the task that adds them.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    queue: mpsc::Sender<Waiting>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// A sandbox, and who waits for it to be added.
#[derive(Debug)]
struct Waiting {
    sandbox: Sandbox,
    basis: Basis,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<(), InsertError>>;
/// What is said to whom once it is on the disk.
type Decided = (Answer, Result<(), InsertError>);

/// The store is closed, or was while the call waited.
#[derive(Debug, thiserror::Error)]
#[error("the store was closed")]
struct Closed;

/// What another one did undid the transaction.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was undone by another sandbox in it")]
struct Undone;

/// A defect ended the transaction. What it was is told where panics are.
#[derive(Debug, thiserror::Error)]
#[error("the transaction that adds sandboxes broke down")]
struct BrokenDown;

/// Too many wait already.
#[derive(Debug, thiserror::Error)]
#[error("no place in the queue of new sandboxes came free within {0:?}")]
struct Full(Duration);

impl Admission {
    /// Starts the task, which ends with the last handle or when it is closed.
    pub(super) fn start(writer: Writer) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(writer, waiting, closing.clone()));
        Self {
            queue,
            closing,
            tasks,
        }
    }

    /// Adds a sandbox, together with others that wait for the same.
    pub(super) async fn add(&self, sandbox: Sandbox, basis: Basis) -> Result<(), InsertError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            sandbox,
            basis,
            answer,
        };
        let handed = self.queue.send_timeout(waiting, PATIENCE).await;
        handed.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => unavailable(Full(PATIENCE)),
            mpsc::error::SendTimeoutError::Closed(_) => unavailable(Closed),
        })?;
        // The task's own waits are limited: for the lock, and for the queue before this.
        answered.await.unwrap_or_else(|_| Err(broken_down()))
    }

    /// Lets what was begun come to its end; what waits is refused.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn closed() -> InsertError {
    InsertError::Fault(unavailable(Closed))
}

fn broken_down() -> InsertError {
    InsertError::Fault(unavailable(BrokenDown))
}

async fn serve(writer: Writer, mut queue: mpsc::Receiver<Waiting>, closing: CancellationToken) {
    while let Some(Some(first)) = closing.run_until_cancelled(queue.recv()).await {
        let adding = Box::pin(add_together(&writer, first, &mut queue));
        // Whoever was in it is told by the loss of his answer. Nothing outlives it half
        // done: the transaction is undone, and the queue holds who was not taken yet.
        drop(AssertUnwindSafe(adding).catch_unwind().await);
    }
    // Whoever is handing one over at this moment is told, too.
    queue.close();
    while let Some(waiting) = queue.recv().await {
        tell(waiting.answer, Err(closed()));
    }
}

/// Adds the first and all that came while the lock was waited for.
async fn add_together(writer: &Writer, first: Waiting, queue: &mut mpsc::Receiver<Waiting>) {
    let mut write = match writer.write().await {
        Ok(write) => write,
        Err(fault) => return refuse_all(first, queue, &fault),
    };
    let mut decided = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(waiting) = next {
        bytes += MountedFile::total_bytes(&waiting.sandbox.launch.mounted_files);
        match decide(&mut write, waiting).await {
            Ok(done) => decided.extend(done),
            Err((answer, fault)) => {
                // What was written is undone, and what was decided stood on it.
                drop(write);
                tell(answer, Err(fault.into()));
                return tell_all(decided, &Err(unavailable(Undone)));
            }
        }
        next = (decided.len() < TOGETHER && bytes < TOGETHER_BYTES)
            .then(|| queue.try_recv().ok())
            .flatten();
    }
    let committed = write.commit().await;
    tell_all(decided, &committed);
}

/// Answers all that wait: none of them shall wait for the lock as long once more.
fn refuse_all(first: Waiting, queue: &mut mpsc::Receiver<Waiting>, fault: &Fault) {
    let mut next = Some(first);
    while let Some(waiting) = next {
        tell(waiting.answer, Err(fault.clone().into()));
        next = queue.try_recv().ok();
    }
}

/// Decides on one, and adds it if nothing is against that. `None` if nobody waits for
/// it any more; an error if what is in the transaction is spoilt.
async fn decide(write: &mut Write, waiting: Waiting) -> Result<Option<Decided>, (Answer, Fault)> {
    let Waiting {
        sandbox,
        basis,
        answer,
    } = waiting;
    if answer.is_closed() {
        return Ok(None);
    }
    match admit(write, &sandbox, basis).await {
        Ok(()) => {}
        // SQLite may have ended the transaction together with the read.
        Err(InsertError::Fault(fault)) if fault.may_retry() => return Err((answer, fault)),
        Err(refused) => return Ok(Some((answer, Err(refused)))),
    }
    match insert(write, sandbox).await {
        Ok(()) => Ok(Some((answer, Ok(())))),
        Err(fault) => Err((answer, fault)),
    }
}

/// Answers all, with the fault of the transaction if it had one.
fn tell_all(decided: Vec<Decided>, committed: &Result<(), Fault>) {
    for (answer, outcome) in decided {
        let outcome = match committed {
            Ok(()) => outcome,
            Err(fault) => Err(fault.clone().into()),
        };
        tell(answer, outcome);
    }
}

fn tell(answer: Answer, outcome: Result<(), InsertError>) {
    // Whoever went away while it was decided wants no answer.
    drop(answer.send(outcome));
}

#[cfg(test)]
mod tests;
