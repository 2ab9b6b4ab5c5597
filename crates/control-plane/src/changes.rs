//! What changed in an organization since somebody looked, for those who watch.
//!
//! The feed of the store tells what to read again and never skips anything. Here
//! it is cut down to one organization, and to what that organization can read.
//! A watcher holds nothing here between two calls: a place in the feed is all
//! that it needs, and any control plane over the same store takes it.

use std::time::Duration;

use palisade_model::name::OrganizationId;
use palisade_model::tenant::Principal;
use palisade_store::{Change, FeedError, PageSize, Sequence, Subject};
use palisade_wire::rest::{ChangedKind, ChangedObject, ListChangesAnswer};
use tokio::time::Instant;

use crate::error::ApiResult;
use crate::plane::ControlPlane;

impl ControlPlane {
    /// Waits for changes behind a place, and at most for `limit`. Without a place
    /// it is answered at once, with the one to begin at.
    pub(crate) async fn changes(
        &self,
        caller: &Principal,
        after: Option<Sequence>,
        limit: Duration,
    ) -> ApiResult<ListChangesAnswer> {
        let Some(after) = after else {
            return Ok(answer(self.store.head().await?, false, Vec::new()));
        };
        let deadline = Instant::now() + limit;
        let mut place = after;
        loop {
            let page = match self.store.changes_after(place, PageSize::MAX).await {
                Ok(page) => page,
                Err(FeedError::CursorTooOld | FeedError::CursorUnknown) => {
                    return Ok(answer(self.store.head().await?, true, Vec::new()));
                }
                Err(FeedError::Fault(fault)) => return Err(fault.into()),
            };
            place = page.last().map_or(place, |change| change.sequence);
            let told = told(&page, &caller.organization);
            let left = deadline.saturating_duration_since(Instant::now());
            if !told.is_empty() || left.is_zero() || self.stop.is_cancelled() {
                return Ok(answer(place, false, told));
            }
            // With more behind it, this returns at once.
            let wait = self.store.wait_for_change(place, left);
            if let Some(waited) = self.stop.run_until_cancelled(wait).await {
                waited?;
            }
        }
    }
}

fn answer(place: Sequence, is_gap: bool, changes: Vec<ChangedObject>) -> ListChangesAnswer {
    ListChangesAnswer {
        place: place.to_string(),
        is_gap,
        changes,
    }
}

/// What an organization hears of changes: each object once, in the order of its
/// first change.
fn told(changes: &[Change], organization: &OrganizationId) -> Vec<ChangedObject> {
    let mut told: Vec<ChangedObject> = Vec::new();
    for change in changes {
        if change.organization != *organization {
            continue;
        }
        let (kind, id) = match change.subject {
            Subject::Profile(id) => (ChangedKind::Profile, id.to_string()),
            Subject::Runner(uid) => (ChangedKind::Runner, uid.to_string()),
            Subject::Sandbox(id) => (ChangedKind::Sandbox, id.to_string()),
            Subject::Organization | Subject::Token(_) => continue,
        };
        let object = ChangedObject { kind, id };
        if !told.contains(&object) {
            told.push(object);
        }
    }
    told
}
