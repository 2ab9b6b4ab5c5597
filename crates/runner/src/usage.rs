//! What sandboxes use, as a rate.
//!
//! Backends count CPU time; people ask for CPUs in use. The meter remembers the
//! last count of each sandbox and makes the rate between two looks out of it.

use std::collections::BTreeMap;

use palisade_backend::{Backend, Usage};
use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_wire::proto::runner_v1 as pb;

/// The last look at each sandbox.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    last: BTreeMap<SandboxId, (Timestamp, u64)>,
}

impl Meter {
    /// Looks at every sandbox that runs.
    pub(crate) async fn read(
        &mut self,
        backend: &dyn Backend,
        ids: &[SandboxId],
        now: Timestamp,
    ) -> Vec<pb::Usage> {
        let mut readings = Vec::new();
        let mut seen = BTreeMap::new();
        for id in ids {
            if let Some(usage) = backend.usage(*id).await {
                seen.insert(*id, (now, usage.cpu_micros_total));
                readings.push(self.reading(*id, usage, now));
            }
        }
        self.last = seen;
        readings
    }

    fn reading(&self, id: SandboxId, usage: Usage, now: Timestamp) -> pb::Usage {
        let earlier = self.last.get(&id).copied();
        pb::Usage {
            sandbox_id: id.to_string(),
            cpu_millis: earlier.map_or(0, |earlier| rate(earlier, (now, usage.cpu_micros_total))),
            memory_bytes: usage.memory_bytes,
        }
    }
}

/// Thousandths of a CPU in use between two looks.
fn rate(earlier: (Timestamp, u64), later: (Timestamp, u64)) -> u64 {
    let wall = later.0.saturating_since(earlier.0).as_micros();
    let used = u128::from(later.1.saturating_sub(earlier.1));
    (used * 1_000)
        .checked_div(wall)
        .and_then(|millis| u64::try_from(millis).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(micros: i64, used: u64) -> (Timestamp, u64) {
        (Timestamp::from_micros(micros), used)
    }

    #[test]
    fn half_a_cpu_is_500_thousandths() {
        assert_eq!(rate(look(0, 100), look(1_000, 600)), 500);
    }

    #[test]
    fn no_time_and_counters_that_went_back_are_no_use() {
        assert_eq!(rate(look(5, 0), look(5, 100)), 0);
        assert_eq!(rate(look(0, 100), look(10, 50)), 0);
    }
}
