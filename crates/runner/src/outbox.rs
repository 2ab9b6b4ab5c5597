//! What the gateway has yet to be told.
//!
//! Of each sandbox only the newest observation matters, so the outbox is a map
//! and not a queue: it is never larger than the number of sandboxes, however
//! long the gateway is away. Terminal news stay until the gateway has recorded
//! them; a connection that breaks loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use palisade_model::id::SandboxId;
use palisade_model::sandbox::state::Observation;
use tokio::sync::Notify;

/// The newest observation of every sandbox, and which of them are to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    newest: BTreeMap<SandboxId, Observation>,
    unsent: BTreeSet<SandboxId>,
}

impl Outbox {
    /// Replaces what is known of a sandbox.
    pub(crate) fn put(&self, id: SandboxId, observation: Observation) {
        let mut inner = self.lock();
        inner.newest.insert(id, observation);
        inner.unsent.insert(id);
        drop(inner);
        self.news.notify_one();
    }

    /// Forgets a sandbox that is gone.
    pub(crate) fn forget(&self, id: SandboxId) {
        let mut inner = self.lock();
        inner.newest.remove(&id);
        inner.unsent.remove(&id);
    }

    /// Makes everything unsent again, for a gateway that may know nothing.
    pub(crate) fn resend_all(&self) {
        let mut inner = self.lock();
        inner.unsent = inner.newest.keys().copied().collect();
        drop(inner);
        self.news.notify_one();
    }

    /// Waits for the next thing to send and takes it.
    ///
    /// Cancel safe: what was not returned stays unsent.
    pub(crate) async fn next(&self) -> (SandboxId, Observation) {
        loop {
            let news = self.news.notified();
            if let Some(next) = self.take() {
                return next;
            }
            news.await;
        }
    }

    fn take(&self) -> Option<(SandboxId, Observation)> {
        let mut inner = self.lock();
        let id = inner.unsent.pop_first()?;
        let observation = inner.newest.get(&id).cloned();
        if !inner.unsent.is_empty() {
            self.news.notify_one();
        }
        // `put` and `forget` change both collections together.
        observation.map(|observation| (id, observation))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use palisade_model::sandbox::State;
    use tokio::time;

    use super::*;

    fn id(number: u128) -> SandboxId {
        format!("00000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    fn news(number: u64) -> Observation {
        Observation {
            number,
            state: State::Running,
            reason: String::new(),
            started_at: None,
            service_address: String::new(),
        }
    }

    async fn is_empty(outbox: &Outbox) -> bool {
        time::timeout(Duration::from_secs(1), outbox.next())
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_newest_observation_is_sent() {
        let outbox = Outbox::default();
        outbox.put(id(1), news(1));
        outbox.put(id(1), news(2));
        assert_eq!(outbox.next().await, (id(1), news(2)));
        assert!(is_empty(&outbox).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_gateway_is_told_everything_again() {
        let outbox = Outbox::default();
        outbox.put(id(1), news(1));
        outbox.put(id(2), news(2));
        outbox.next().await;
        outbox.next().await;
        outbox.resend_all();
        assert_eq!(outbox.next().await, (id(1), news(1)));
        assert_eq!(outbox.next().await, (id(2), news(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_not_told() {
        let outbox = Outbox::default();
        outbox.put(id(1), news(1));
        outbox.forget(id(1));
        assert!(is_empty(&outbox).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_is_woken_by_news() {
        let outbox = Outbox::default();
        let ((seen, _), ()) = tokio::join!(outbox.next(), async {
            tokio::task::yield_now().await;
            outbox.put(id(3), news(1));
        });
        assert_eq!(seen, id(3));
    }
}
