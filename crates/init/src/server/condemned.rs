//! Commands whose connection was dropped, until nobody of them is left.
//!
//! What is killed may just have started somebody who was not seen yet, so it is
//! looked again until a look finds nobody. Those who cannot be killed at once, as
//! they wait for a disk, are asked ever less often.

use std::time::Duration;

use rustix::process::Signal;

use crate::clock::Instant;
use crate::family::Family;

const WAIT_MIN: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A command that nobody wants any more, and all that it started.
#[derive(Debug)]
pub(crate) struct Condemned {
    family: Family,
    due: Instant,
    wait: Duration,
}

impl Condemned {
    /// To be killed at once.
    pub(crate) fn new(family: Family) -> Self {
        Self {
            family,
            due: Instant::now(),
            wait: WAIT_MIN,
        }
    }

    /// When it is looked at next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Kills whoever is there if it is time to, and returns whether somebody may
    /// be left.
    pub(crate) fn pursue(&mut self, now: Instant) -> bool {
        if !self.due.left(now).is_zero() {
            return true;
        }
        if self.family.signal(Signal::KILL) == 0 {
            return false;
        }
        self.due = now.after(self.wait);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        true
    }
}
