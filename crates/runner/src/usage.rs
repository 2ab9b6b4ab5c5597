//! What sandboxes use, as a rate.
//!
//! People ask for CPUs in use. Backends that count CPU time have the rate made for
//! them: the meter remembers the last count of each sandbox.

use std::collections::BTreeMap;

use palisade_backend::{Backend, CpuUse, Usage};
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
            let Some(usage) = backend.usage(*id).await else {
                continue;
            };
            if let CpuUse::TotalMicros(total) = usage.cpu {
                seen.insert(*id, (now, total));
            }
            readings.push(self.reading(*id, usage, now));
        }
        self.last = seen;
        readings
    }

    fn reading(&self, id: SandboxId, usage: Usage, now: Timestamp) -> pb::Usage {
        let cpu_millis = match usage.cpu {
            CpuUse::Millis(millis) => millis,
            CpuUse::TotalMicros(total) => {
                let earlier = self.last.get(&id).copied();
                earlier.map_or(0, |earlier| rate(earlier, (now, total)))
            }
        };
        pb::Usage {
            sandbox_id: id.to_string(),
            cpu_millis,
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
    fn a_rate_that_the_backend_knows_is_passed_on() {
        let usage = Usage {
            cpu: CpuUse::Millis(250),
            memory_bytes: 7,
            pids: None,
        };
        let id = SandboxId::new(uuid::Uuid::nil());
        let said = Meter::default().reading(id, usage, Timestamp::from_micros(1));
        assert_eq!((said.cpu_millis, said.memory_bytes), (250, 7));
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
