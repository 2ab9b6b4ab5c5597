//! How many streams may be open at once, in all and for one organization.
//!
//! A stream costs memory for as long as it is open, whether it says anything or
//! not. One organization can take half of the room at most, so that the others
//! are served whatever it does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;

/// How long to wait when there is no room.
const RETRY: Duration = Duration::from_secs(1);

/// The room for streams. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Room {
    taken: Arc<Mutex<HashMap<OrganizationId, usize>>>,
    seats_max: usize,
}

/// The room of one stream; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Room,
    organization: OrganizationId,
}

impl Room {
    pub(super) fn new(seats_max: usize) -> Self {
        Self {
            taken: Arc::default(),
            seats_max,
        }
    }

    /// Takes room for one stream.
    pub(super) fn take(&self, organization: &OrganizationId) -> Result<Seat, Refusal> {
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(organization).copied().unwrap_or(0);
        if all >= self.seats_max {
            return Err(full("the server serves as many streams as it can"));
        }
        if own >= self.seats_max.div_ceil(2) {
            return Err(full("the organization has as many open streams as it may"));
        }
        taken.insert(organization.clone(), own + 1);
        Ok(Seat {
            room: self.clone(),
            organization: organization.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrganizationId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        let left = taken.get(&self.organization).map_or(0, |own| own - 1);
        if left == 0 {
            taken.remove(&self.organization);
        } else {
            taken.insert(self.organization.clone(), left);
        }
    }
}

fn full(text: &str) -> Refusal {
    let message = format!("{text}; close some, or try again in a moment");
    Refusal::new(Reason::Overloaded, message).retry_after(RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization(name: &str) -> OrganizationId {
        name.parse().unwrap()
    }

    #[test]
    fn one_organization_leaves_room_for_others() {
        let room = Room::new(4);
        let greedy = organization("greedy");
        let held = [room.take(&greedy).unwrap(), room.take(&greedy).unwrap()];
        let refusal = room.take(&greedy).unwrap_err();
        assert_eq!(refusal.reason, Reason::Overloaded);
        assert!(refusal.retry_after.is_some());
        assert!(room.take(&organization("other")).is_ok());
        drop(held);
        assert!(room.take(&greedy).is_ok());
    }

    #[test]
    fn the_room_has_a_bound_and_frees_what_is_dropped() {
        let room = Room::new(2);
        let seats = ["a", "b"].map(|name| room.take(&organization(name)).unwrap());
        assert!(room.take(&organization("c")).is_err());
        drop(seats);
        assert!(room.lock().is_empty());
    }
}
