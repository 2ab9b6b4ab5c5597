//! What the resolver did and what it refused, counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a question was not answered with what the upstream servers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// No sandbox has the address that it came from.
    UnknownAsker,
    /// The egress mode of the sandbox resolves nothing.
    Mode,
    /// The sandbox asks too often.
    Rate,
    /// Too many questions or connections are being served.
    Busy,
    /// It was not one well-formed question.
    Malformed,
    /// It was something else than a question, or of another protocol version.
    Operation,
    /// Such records are not looked up.
    Type,
    /// The name is one that never leaves this host.
    LocalName,
    /// It asked for the name of an address that the sandbox may not reach.
    ClosedAddress,
    /// No upstream server had a usable answer in time.
    Upstream,
    /// The connection was too slow, or said something that is no question.
    Connection,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UnknownAsker,
        Self::Mode,
        Self::Rate,
        Self::Busy,
        Self::Malformed,
        Self::Operation,
        Self::Type,
        Self::LocalName,
        Self::ClosedAddress,
        Self::Upstream,
        Self::Connection,
    ];

    /// Whether it says that the sandbox may not have what it asked for, and not
    /// merely that something did not work.
    pub fn is_refusal(self) -> bool {
        match self {
            Self::UnknownAsker
            | Self::Mode
            | Self::Rate
            | Self::Operation
            | Self::Type
            | Self::LocalName
            | Self::ClosedAddress => true,
            Self::Busy | Self::Malformed | Self::Upstream | Self::Connection => false,
        }
    }

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAsker => "unknown_asker",
            Self::Mode => "mode",
            Self::Rate => "rate",
            Self::Busy => "busy",
            Self::Malformed => "malformed",
            Self::Operation => "operation",
            Self::Type => "type",
            Self::LocalName => "local_name",
            Self::ClosedAddress => "closed_address",
            Self::Upstream => "upstream",
            Self::Connection => "connection",
        }
    }
}

/// Counters that only grow, shared by all tasks of the resolver.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    withheld: AtomicU64,
    ignored: AtomicU64,
    refused: [AtomicU64; Cause::ALL.len()],
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Questions that an upstream server answered.
    pub answered: u64,
    /// Records that were left out of those answers.
    pub withheld: u64,
    /// Packets from upstream servers that answered no question that was asked.
    pub ignored: u64,
    /// Questions refused, by cause; causes that did not occur are absent.
    pub refused: BTreeMap<Cause, u64>,
}

impl Tally {
    /// Reads all counters.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Cause::ALL
            .into_iter()
            .zip(self.refused.iter().map(read))
            .filter(|(_, count)| *count > 0);
        Counts {
            answered: read(&self.answered),
            withheld: read(&self.withheld),
            ignored: read(&self.ignored),
            refused: refused.collect(),
        }
    }

    pub(super) fn answered(&self, withheld: usize) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let withheld = u64::try_from(withheld).unwrap_or(u64::MAX);
        self.withheld.fetch_add(withheld, Ordering::Relaxed);
    }

    pub(super) fn ignored(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, cause: Cause) {
        // `ALL` is in the order of declaration, so that the number is the place.
        if let Some(counter) = self.refused.get(cause as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_counter_of_its_own() {
        for cause in Cause::ALL {
            let tally = Tally::default();
            tally.refused(cause);
            assert_eq!(tally.counts().refused, BTreeMap::from([(cause, 1)]));
        }
    }
}
