//! The few facts of a runner that every decision reads.
//!
//! On a large fleet a decision takes as long as memory takes to answer, so these
//! lie together in the runner's entry. They are made from the configuration and
//! the report whenever one of them changes, and say nothing that these do not.

use crate::profile::{EgressType, ServiceType};
use crate::runner::{Resources, Runner};

use super::fleet::Report;

/// What is read of a runner for every request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digest {
    /// Whether it is not being deleted.
    pub(super) is_kept: bool,
    /// Whether it said what it can do.
    pub(super) has_report: bool,
    /// Whether it names runtime classes for profiles that name none.
    pub(super) has_runtime_classes: bool,
    egress: u8,
    services: u8,
    /// The most sandboxes at once.
    pub(super) sandboxes_max: u32,
    /// Everything that sandboxes may use together.
    pub(super) total: Resources,
    /// The largest sandbox that the runner could take if it were empty. More
    /// than there is in all can never fit, whatever it says of its machines.
    pub(super) largest: Resources,
    /// The least memory with which a sandbox starts; zero if that is not known.
    pub(super) memory_bytes_min: u64,
}

impl Digest {
    pub(super) fn new(runner: &Runner, report: Option<&Report>) -> Self {
        let overrides = &runner.settings.overrides;
        let digest = Self {
            is_kept: runner.deleting_since.is_none(),
            has_runtime_classes: overrides.cpu_runtime_class.is_some()
                || overrides.gpu_runtime_class.is_some(),
            ..Self::default()
        };
        report.map_or(digest, |report| digest.with(report))
    }

    fn with(self, report: &Report) -> Self {
        let Report {
            capabilities,
            capacity,
            rooms: _,
        } = report;
        let (largest, total) = (capabilities.largest, capacity.total);
        Self {
            has_report: true,
            egress: bits(capabilities.egress.iter().map(|kind| *kind as u8)),
            services: bits(capabilities.services.iter().map(|kind| *kind as u8)),
            sandboxes_max: capacity.sandboxes_max,
            total,
            largest: Resources {
                cpu_millis: largest.cpu_millis.min(total.cpu_millis),
                memory_bytes: largest.memory_bytes.min(total.memory_bytes),
                gpus: largest.gpus.min(total.gpus),
            },
            memory_bytes_min: capabilities.memory_bytes_min,
            ..self
        }
    }

    /// Whether it enforces egress of a type.
    pub(super) fn enforces(&self, kind: EgressType) -> bool {
        self.egress & bits([kind as u8]) != 0
    }

    /// Whether it makes services of a type.
    pub(super) fn makes(&self, kind: ServiceType) -> bool {
        self.services & bits([kind as u8]) != 0
    }
}

/// A set of places, each below eight, as bits.
fn bits(places: impl IntoIterator<Item = u8>) -> u8 {
    places.into_iter().fold(0, |all, place| all | 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_bit_of_its_own() {
        let egress = EgressType::ALL.map(|kind| bits([kind as u8]));
        assert_eq!(egress.iter().map(|bits| bits.count_ones()).sum::<u32>(), 6);
        assert_eq!(bits(EgressType::ALL.map(|kind| kind as u8)).count_ones(), 6);
        let services = ServiceType::ALL.map(|kind| kind as u8);
        assert_eq!(bits(services).count_ones(), 3);
    }
}
