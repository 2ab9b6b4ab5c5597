//! The time of day and the time that has passed.
//!
//! The only place that asks the kernel for either.

use std::time::Duration;

use palisade_init_protocol::text::UnixMicros;
use rustix::time::{ClockId, clock_gettime};

/// An instant since the machine was started, for limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    /// Now.
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self(Duration::new(seconds, nanos))
    }

    /// This much later; the end of time if there is no such instant.
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long it is from `now` until here; zero if that is past.
    pub(crate) fn left(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }
}

/// The time of day.
pub(crate) fn unix_micros() -> UnixMicros {
    let now = clock_gettime(ClockId::Realtime);
    UnixMicros(now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1_000)
}
