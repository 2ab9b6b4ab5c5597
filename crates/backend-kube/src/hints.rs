//! Tells those who watch a sandbox when to look again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::id::SandboxId;
use tokio::sync::watch;
use tokio::time;

/// A number for each sandbox that somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Hints(Mutex<HashMap<SandboxId, watch::Sender<u64>>>);

impl Hints {
    /// How many may be kept before those that nobody watches go.
    const TIDY_ABOVE: usize = 4_096;

    /// Watches a sandbox, whether it exists or not.
    pub(crate) fn subscribe(&self, id: SandboxId) -> watch::Receiver<u64> {
        let mut hints = self.lock();
        if hints.len() > Self::TIDY_ABOVE && !hints.contains_key(&id) {
            hints.retain(|_, hint| hint.receiver_count() > 0);
        }
        hints.entry(id).or_default().subscribe()
    }

    /// Tells that there may be something new to see.
    pub(crate) fn hint(&self, id: SandboxId) {
        if let Some(hint) = self.lock().get(&id) {
            hint.send_modify(|count| *count += 1);
        }
    }

    /// Looks whenever there may be something new, until it finds what it looks
    /// for; `None` if that takes too long.
    pub(crate) async fn wait_for<T>(
        &self,
        id: SandboxId,
        limit: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.subscribe(id);
        let ends = time::Instant::now() + limit;
        loop {
            changes.mark_unchanged();
            if let Some(found) = look() {
                return Some(found);
            }
            // The sender lives as long as this does, so that it is the limit that ends it.
            time::timeout_at(ends, changes.changed()).await.ok()?.ok()?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
