//! The task that owns one sandbox: nobody else writes to its objects.
//!
//! Inputs: wishes, and hints that the cluster shows something new. Outputs:
//! calls of the API server, and what became of the wishes. It ends when nothing
//! of the sandbox is left, or when the backend closes, which leaves everything in
//! the cluster for the next run. There is one path: look, decide, act, look again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use palisade_backend::View;
use palisade_model::cidr::Cidr;
use palisade_model::clock::Timestamp;
use tokio::time;
use tracing::warn;

use crate::api::ApiError;
use crate::sandbox::{Sandbox, Seen};
use crate::shared::Shared;
use crate::view::Verdict;

mod ending;
mod making;
mod policy;
mod removing;
mod stopping;

/// The pause after a failure; it doubles up to the limit.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long the cluster may try something that may pass by itself.
const OVERDUE: Duration = Duration::from_mins(1);

/// Owns one sandbox.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    sandbox: Arc<Sandbox>,
    /// Found in the cluster, not wished for by this run.
    is_adopted: bool,
    /// When this driver began.
    began: time::Instant,
    failures: u32,
    /// The last stop that the cluster was told.
    told_stop: Option<Timestamp>,
    /// When to kill it next for not having ended, and how often that was done.
    kill: Option<(time::Instant, u32)>,
    /// Whether what only a live sandbox needs is gone.
    is_freed: bool,
    /// The ranges of nodes that its policy closes; an earlier run knew others.
    closed: Option<Arc<[Cidr]>>,
}

/// Whether a driver goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Look again at once.
    Again,
    /// Look again when something changes.
    Wait,
    /// Look again then, or when something changes.
    WaitUntil(time::Instant),
    /// Look again after a pause.
    Pause,
    /// Nothing is left.
    Done,
}

/// Takes over a sandbox whose record was found, unless somebody has.
pub(crate) fn adopt(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) {
    spawn(shared, sandbox, true);
}

/// Drives a sandbox that was wished for, unless somebody does.
pub(crate) fn drive(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) {
    spawn(shared, sandbox, false);
}

fn spawn(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>, is_adopted: bool) {
    if sandbox.is_driven.swap(true, Ordering::AcqRel) {
        return;
    }
    let driver = Driver {
        shared: Arc::clone(shared),
        sandbox: Arc::clone(sandbox),
        is_adopted,
        began: time::Instant::now(),
        failures: 0,
        told_stop: None,
        kill: None,
        is_freed: false,
        closed: None,
    };
    shared.tasks.spawn(driver.run());
}

impl Driver {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        if self.is_adopted && !shared.wait_until_complete().await {
            return;
        }
        let mut changes = shared.hints.subscribe(self.sandbox.id());
        let mut wishes = self.sandbox.wish.subscribe();
        let mut nodes = shared.nodes.subscribe();
        loop {
            changes.mark_unchanged();
            wishes.mark_unchanged();
            nodes.mark_unchanged();
            // A pass that is dropped is one that a crash interrupts. On the heap it
            // takes no room while there is nothing to do, which is nearly always.
            let next = tokio::select! {
                biased;
                () = shared.closing.cancelled() => return,
                next = Box::pin(self.pass()) => next,
            };
            let until = match next {
                Next::Again => continue,
                Next::Done => return,
                Next::Wait => None,
                Next::WaitUntil(at) => Some(at),
                Next::Pause => Some(time::Instant::now() + self.pause()),
            };
            // Every branch only says that it is time to look; none holds data.
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return,
                _ = changes.changed(), if next != Next::Pause => {}
                _ = wishes.changed() => {}
                _ = nodes.changed(), if next != Next::Pause => {}
                () = sleep_until(until) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let factor = 1 << self.failures.min(10);
        PAUSE.saturating_mul(factor).min(PAUSE_MAX)
    }

    /// Looks, decides and acts, once.
    async fn pass(&mut self) -> Next {
        let seen = self.sandbox.seen();
        let wish = self.sandbox.wish.borrow().clone();
        if wish.removals > 0 {
            return self.remove(&seen, wish.removals).await;
        }
        if seen.record.is_none() && seen.lost.is_none() {
            return self.record(&seen).await;
        }
        if seen.has_end() {
            return self.free(&seen).await;
        }
        if let Some(by) = wish.stop_by
            && self.told_stop != Some(by)
        {
            return self.stop(&seen, by).await;
        }
        if seen.pod.is_none() {
            return self.make_or_end(&seen).await;
        }
        self.follow(&seen).await
    }

    /// The pod is there; what does it say?
    async fn follow(&mut self, seen: &Seen) -> Next {
        let now = self.shared.clock.now();
        let overdue_at = self.began + OVERDUE;
        let is_overdue = time::Instant::now() >= overdue_at;
        if self.is_on_lost_node(seen) {
            let reason = "its node was lost".to_owned();
            return self.end(View::Failed { at: now, reason }).await;
        }
        let verdict = seen.verdict(is_overdue, now);
        let is_live = matches!(
            verdict,
            Verdict::At(View::Starting(_) | View::Running { .. })
        );
        if is_live && let Err(error) = self.renew_policy(seen).await {
            return self.try_later("could not close new nodes to the sandbox", &error);
        }
        match verdict {
            Verdict::Hopeless(reason) => self.end(View::Failed { at: now, reason }).await,
            // What the pod says now may be said no more later on, or differently.
            Verdict::At(view) if view.is_over() && seen.is_fleeting() => self.end(view).await,
            Verdict::At(view) if view.is_over() => self.free(seen).await,
            Verdict::At(View::Starting(_)) if !is_overdue => Next::WaitUntil(overdue_at),
            Verdict::At(View::Running { .. } | View::Stopping { .. }) if self.is_adopted => {
                self.resume_stop(seen)
            }
            Verdict::At(View::Stopping { .. }) => self.see_stop_through(seen),
            Verdict::At(_) => Next::Wait,
        }
    }

    /// Whether the cluster gave the pod up together with its node. It would wait
    /// for ever for the node to say that the pod has ended.
    fn is_on_lost_node(&self, seen: &Seen) -> bool {
        let Some(pod) = &seen.pod else {
            return false;
        };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        let is_leaving = pod.metadata.deletion_timestamp.is_some();
        is_leaving && node.is_some_and(|node| self.shared.facts().is_lost(node))
    }

    /// Takes note of a failure that may pass.
    fn try_later(&mut self, what: &str, error: &ApiError) -> Next {
        self.failures = self.failures.saturating_add(1);
        let id = self.sandbox.id();
        warn!(sandbox.id = %id, %error, "{what}; trying again");
        Next::Pause
    }
}

async fn sleep_until(at: Option<time::Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
