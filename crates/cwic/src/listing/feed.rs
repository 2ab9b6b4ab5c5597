//! When to look again at what is watched.
//!
//! The server tells what changed behind a place, and waits with its answer until
//! there is something. The place is taken before the first look, so that nothing
//! in between is missed. A server that knows no such thing is looked at every
//! second.

use std::time::Duration;

use palisade_client::{CallError, Client};
use palisade_wire::rest::{ChangedKind, ListChangesAnswer};
use tokio::time::sleep;

/// How long it is between two looks, at the least.
const PACE_LEAST: Duration = Duration::from_millis(200);

/// How long it is where the server does not tell of changes.
const PACE: Duration = Duration::from_secs(1);

/// How long the server may wait with its answer.
const WAIT: Duration = Duration::from_secs(20);

/// Tells when to look again.
#[derive(Debug)]
pub(crate) struct Feed<'a> {
    client: &'a Client,
    /// What changes are of interest.
    kinds: &'static [ChangedKind],
    /// How long the server may wait; looked at again is after that anyway, if
    /// there is something that it does not tell.
    wait: Duration,
    tells_all: bool,
    place: Option<String>,
    is_known: bool,
}

impl<'a> Feed<'a> {
    /// Tells of changes of these kinds.
    pub(crate) fn of(kinds: &'static [ChangedKind], client: &'a Client) -> Self {
        Self {
            client,
            kinds,
            wait: WAIT,
            tells_all: true,
            place: None,
            is_known: true,
        }
    }

    /// Also has a look so often, as not everything of interest is a change.
    pub(crate) fn and_every(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self.tells_all = false;
        self
    }

    /// Notes where the feed is; what is looked at afterwards is behind that.
    pub(super) async fn begin(&mut self) {
        self.place = None;
        if self.is_known {
            match self.client.changes(None, Duration::ZERO).await {
                Ok(answer) => self.place = Some(answer.place),
                // Whatever is wrong is told by the look that follows.
                Err(error) => self.is_known = !is_unknown(&error),
            }
        }
    }

    /// Waits until another look may show something new.
    pub(super) async fn wait(&mut self) {
        sleep(PACE_LEAST).await;
        while let Some(place) = &self.place {
            let Ok(answer) = self.client.changes(Some(place), self.wait).await else {
                break;
            };
            let is_worth_it = self.is_worth_a_look(&answer);
            self.place = Some(answer.place);
            if is_worth_it {
                return;
            }
        }
        sleep(PACE).await;
        self.begin().await;
    }

    fn is_worth_a_look(&self, answer: &ListChangesAnswer) -> bool {
        let mut changes = answer.changes.iter();
        let is_of_interest = changes.any(|change| self.kinds.contains(&change.kind));
        is_of_interest || answer.is_gap || !self.tells_all
    }
}

/// Whether the server is one that does not tell of changes.
fn is_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Refused(refused) if refused.http_status() == 404)
}
