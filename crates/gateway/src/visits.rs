//! Streams that are open, by the tokens that let them in.
//!
//! The token of a call is checked when it comes; a stream goes on for as long as its
//! client likes. So one task looks again at every token that has a stream, once for
//! all of its streams. What it looks at is mostly what [`Gate`] remembers, which is
//! forgotten with the change that says so, whichever gateway or command made it: the
//! store is read for a token that changed, and otherwise twice a minute.
//!
//! Invariant: a stream whose token was revoked or has expired ends within
//! [`GatewayConfig::tokens_checked`](crate::GatewayConfig), and within what the gate
//! remembers beyond that if the feed of changes is lost. A store that does not answer
//! ends nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use palisade_model::id::TokenId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::auth::Gate;
use crate::error::ApiError;
use crate::tools::Tools;

/// The streams that are open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visits(Arc<Mutex<HashMap<TokenId, Party>>>);

/// The streams of one token.
#[derive(Debug, Default)]
struct Party {
    visits: usize,
    over: CancellationToken,
}

/// One stream; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    visits: Visits,
    token: TokenId,
    over: CancellationToken,
}

/// Ends the streams of tokens that hold no more.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    pub(crate) tools: Tools,
    pub(crate) gate: Gate,
    pub(crate) visits: Visits,
}

/// What the client of such a stream is told. Which of the two it was is not told to
/// whoever has an old token.
pub(crate) fn shown_out() -> Refusal {
    let text = "the token was revoked or has expired while the call went on";
    Refusal::new(Reason::Unauthenticated, text)
}

impl Visits {
    /// Begins a stream of a caller whose token was checked.
    pub(crate) fn begin(&self, token: TokenId) -> Visit {
        let mut parties = self.lock();
        let party = parties.entry(token).or_default();
        party.visits += 1;
        Visit {
            visits: self.clone(),
            token,
            over: party.over.clone(),
        }
    }

    /// Ends all streams of a token.
    pub(crate) fn end(&self, token: TokenId) {
        if let Some(party) = self.lock().remove(&token) {
            party.over.cancel();
        }
    }

    fn tokens(&self) -> Vec<TokenId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Party>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Waits until the token does not let anybody in any more.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut parties = self.visits.lock();
        // A party that was ended is not there any more, and another one may be.
        if self.over.is_cancelled() {
            return;
        }
        if let Entry::Occupied(mut party) = parties.entry(self.token) {
            party.get_mut().visits -= 1;
            if party.get().visits == 0 {
                party.remove();
            }
        }
    }
}

impl Doorkeeper {
    /// Runs until the gateway stops.
    pub(crate) async fn run(self) {
        let stop = self.tools.stop.clone();
        // Dropped half way, a pass leaves what the next one finds.
        while stop.run_until_cancelled(self.round()).await.is_some() {}
        info!("looking at the tokens of open streams stopped");
    }

    async fn round(&self) {
        time::sleep(self.tools.config.tokens_checked).await;
        for token in self.visits.tokens() {
            if self.is_barred(token).await {
                info!(token.id = %token, "ending the streams of a token that holds no more");
                self.visits.end(token);
            }
        }
    }

    async fn is_barred(&self, token: TokenId) -> bool {
        match self.gate.holds(token).await {
            Err(ApiError { refusal, .. }) => refusal.reason == Reason::Unauthenticated,
            Ok(()) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn token(number: u128) -> TokenId {
        TokenId::new(Uuid::from_u128(number))
    }

    fn is_over(visit: &Visit) -> bool {
        visit.over.is_cancelled()
    }

    #[test]
    fn the_streams_of_a_token_end_together_and_no_others() {
        let visits = Visits::default();
        let own = [visits.begin(token(1)), visits.begin(token(1))];
        let other = visits.begin(token(2));
        visits.end(token(1));
        assert!(own.iter().all(is_over));
        assert!(!is_over(&other));
        assert_eq!(visits.tokens(), [token(2)]);
    }

    #[test]
    fn a_token_is_looked_at_for_as_long_as_it_has_a_stream() {
        let visits = Visits::default();
        let [first, second] = [visits.begin(token(1)), visits.begin(token(1))];
        drop(first);
        assert_eq!(visits.tokens(), [token(1)]);
        drop(second);
        assert_eq!(visits.tokens(), []);
    }

    #[test]
    fn a_stream_that_was_ended_does_not_count_for_one_that_came_later() {
        let visits = Visits::default();
        let ended = visits.begin(token(1));
        visits.end(token(1));
        let later = visits.begin(token(1));
        drop(ended);
        assert_eq!(visits.tokens(), [token(1)]);
        assert!(!is_over(&later));
    }
}
