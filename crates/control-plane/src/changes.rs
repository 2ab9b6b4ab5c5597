//! What changed in an organization since somebody looked, for those who watch.
//!
//! The feed of an organization in the store tells what to read again and never skips
//! anything. Here it is cut down to what that organization can read. A watcher holds
//! nothing here between two calls: a place in that feed is all that it needs, and any
//! control plane over the same store takes it.
//!
//! Invariant: no answer says anything of what others do. Their changes end no wait and
//! move no place.

use std::time::Duration;

use palisade_model::tenant::Principal;
use palisade_store::{FeedError, OwnChange, PageSize, Place, Subject};
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
        after: Option<Place>,
        limit: Duration,
    ) -> ApiResult<ListChangesAnswer> {
        let (store, organization) = (&self.store, &caller.organization);
        let Some(after) = after else {
            let head = store.head_of(organization).await?;
            return Ok(answer(head, false, Vec::new()));
        };
        let deadline = Instant::now() + limit;
        let mut place = after;
        // Of all organizations, and taken before looking: what comes later is not missed.
        let mut looked_at = store.head().await?;
        loop {
            let page = match store.changes_of(organization, place, PageSize::MAX).await {
                Ok(page) => page,
                Err(FeedError::CursorTooOld | FeedError::CursorUnknown) => {
                    let head = store.head_of(organization).await?;
                    return Ok(answer(head, true, Vec::new()));
                }
                Err(FeedError::Fault(fault)) => return Err(fault.into()),
            };
            place = page.last().map_or(place, |change| change.place);
            let told = told(&page);
            let left = deadline.saturating_duration_since(Instant::now());
            if !told.is_empty() || left.is_zero() || self.stop.is_cancelled() {
                return Ok(answer(place, false, told));
            }
            if !page.is_empty() {
                // There may be more behind it.
                continue;
            }
            let wait = store.wait_for_change(looked_at, left);
            if let Some(waited) = self.stop.run_until_cancelled(wait).await {
                looked_at = waited?;
            }
        }
    }
}

fn answer(place: Place, is_gap: bool, changes: Vec<ChangedObject>) -> ListChangesAnswer {
    ListChangesAnswer {
        place: place.to_string(),
        is_gap,
        changes,
    }
}

/// What an organization hears of changes: each object once, in the order of its
/// first change.
fn told(changes: &[OwnChange]) -> Vec<ChangedObject> {
    let mut told: Vec<ChangedObject> = Vec::new();
    for change in changes {
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
