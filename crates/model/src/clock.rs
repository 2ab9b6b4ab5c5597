//! Time and identity as values that come from outside.
//!
//! Nothing in this crate reads a clock or draws a random number: both arrive
//! through the two traits here, so that a decision is a function of its inputs
//! and a test can hold time still. Formatting of instants is `wire`'s work.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

/// An instant in UTC, in microseconds since the Unix epoch.
///
/// Microseconds because the database, protobuf and RFC 3339 all carry them
/// without loss, and 63 bits of them reach beyond the year 290000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// Makes an instant from microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved later by `by`, or the last representable instant.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// Time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Tells what time it is.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Makes identifiers and secrets that nobody has seen before.
pub trait Ids: Send + Sync + fmt::Debug + 'static {
    /// A fresh `UUIDv7`; ids sort by the time of their making.
    fn uuid(&self) -> Uuid;

    /// Thirty-two unpredictable bytes, for the secret of a token.
    fn secret(&self) -> [u8; 32];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_instant_is_zero_time_ago() {
        let (early, late) = (Timestamp::from_micros(1), Timestamp::from_micros(5));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
        assert_eq!(late.saturating_since(early), Duration::from_micros(4));
    }

    #[test]
    fn adding_beyond_the_end_of_time_stays_at_the_end() {
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(last.saturating_add(Duration::MAX), last);
    }
}
