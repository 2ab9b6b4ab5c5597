//! How much one sandbox may ask of the resolver.
//!
//! Pure but for the clock that is handed in. Nothing here waits: what exceeds
//! the allowance is refused at once, so that one sandbox cannot make others wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// One sandbox may ask this often for any length of time: 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);
/// And so many at once, if it has been quiet: a build looks up hundreds of names.
pub(super) const BURST: u32 = 300;
/// How many questions of one sandbox may be waiting for an answer.
pub(super) const IN_FLIGHT_MAX: usize = 64;
/// How many connections one sandbox may have to the resolver.
pub(super) const CONNECTIONS_MAX: usize = 8;

/// The allowance of one sandbox.
#[derive(Debug)]
pub(super) struct Allowance {
    /// When the burst will have been made up for.
    balanced: Mutex<Instant>,
    in_flight: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            balanced: Mutex::new(now),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Counts one question; false if that is too many.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut balanced = self.balanced.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*balanced).max(now);
        if from.duration_since(now) > INTERVAL * (BURST - 1) {
            return false;
        }
        *balanced = from + INTERVAL;
        true
    }

    /// A place for a question that waits, if there is one.
    pub(super) fn in_flight(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.in_flight).try_acquire_owned().ok()
    }

    /// A place for a connection, if there is one.
    pub(super) fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        let passed = (0..1000).filter(|_| allowance.take(start)).count();
        assert_eq!(passed, BURST as usize);
        let later = start + Duration::from_secs(1);
        let passed = (0..1000).filter(|_| allowance.take(later)).count();
        assert_eq!(passed, 100);
        let rested = start + Duration::from_hours(1);
        let passed = (0..1000).filter(|_| allowance.take(rested)).count();
        assert_eq!(passed, BURST as usize);
    }

    #[test]
    fn places_are_limited_until_they_are_given_back() {
        let allowance = Allowance::new(Instant::now());
        let mut held = Vec::new();
        while let Some(place) = allowance.connection() {
            held.push(place);
        }
        assert_eq!(held.len(), CONNECTIONS_MAX);
        held.pop();
        assert!(allowance.connection().is_some());
        assert!(allowance.in_flight().is_some());
    }
}
