//! The clock and the source of randomness of this machine.
//!
//! The one place where they are read; everything else takes them as values
//! through [`Clock`] and [`Ids`].

use palisade_model::clock::{Clock, Ids, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the seam that the rule sends everybody to"
    )]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            // A clock before 1970 is wrong, and the epoch the nearest instant.
            Err(_) => 0,
        };
        Timestamp::from_micros(micros)
    }
}

/// Randomness of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelIds;

impl Ids for KernelIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        // Linux refuses randomness only before it is seeded, long before any
        // program of ours can run; a guessable secret must never leave here.
        getrandom::fill(&mut secret).expect("the kernel has randomness after boot");
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let ids: Vec<Uuid> = (0..100).map(|_| KernelIds.uuid()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn no_secret_is_made_twice() {
        assert_ne!(KernelIds.secret(), KernelIds.secret());
    }
}
