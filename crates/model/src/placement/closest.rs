//! The smallest change of a request that lets it in.
//!
//! For every candidate it is worked out what the request would have to say
//! instead; the change of the fewest fields wins, then what keeps to the runner
//! and the profile that the caller named, then what gives up the least. A change
//! is only told after it was tried: it leaves no gap.

use crate::name::{LevelName, ModeName, ProfileName, RunnerId};
use crate::quantity::Quantity;
use crate::sandbox::{GpuRequest, StartRequest};

use super::asking::Asking;
use super::case::{Case, Wish};
use super::check;
use super::constraint::Constraint;
use super::diagnosis::{Diagnosis, Failure, Gaps};

mod amounts;
mod choices;

/// A change of a request, and who would serve it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closest {
    /// The runner that would serve it.
    pub runner: RunnerId,
    /// The profile that it would run under.
    pub profile: ProfileName,
    /// What has to change; at most one for each field.
    pub changes: Vec<Change>,
}

/// What one field of a request would have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Name this runner.
    Runner(RunnerId),
    /// Name this profile.
    Profile(ProfileName),
    /// Pick this egress mode.
    Egress(ModeName),
    /// Pick this ingress level, or expose nothing.
    Ingress(Option<LevelName>),
    /// Expose these ports and no others.
    Ports(Vec<u16>),
    /// Ask for these GPUs, or for none.
    Gpu(Option<GpuRequest>),
    /// Ask for this much CPU.
    Cpu(Resized),
    /// Ask for this much memory.
    Memory(Resized),
    /// Ask for this much memory, which is more.
    MoreMemory(Resized),
}

/// What would have to be asked for of CPU or memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resized {
    /// What is set aside.
    pub request: Quantity,
    /// What can at most be used; `None` leaves it as it is.
    pub limit: Option<Quantity>,
}

/// How many changes are tried before none is told.
const TRIED_MAX: usize = 16;

/// Constraints that no request can help.
const FIXED: [Constraint; 15] = [
    Constraint::RunnerKept,
    Constraint::ProfileResolves,
    Constraint::Image,
    Constraint::Architecture,
    Constraint::InstanceType,
    Constraint::NodeSelector,
    Constraint::PodFields,
    Constraint::Privileged,
    Constraint::FileSystem,
    Constraint::Secrets,
    Constraint::RunnerSecrets,
    Constraint::SlotsConfigured,
    Constraint::Connected,
    Constraint::NotDraining,
    Constraint::FreeSlots,
];

/// Constraints by the field that helps them.
const FIELDS: [&[Constraint]; 8] = [
    &[Constraint::RunnerSelector],
    &[Constraint::ProfileSelector],
    &EGRESS,
    &INGRESS,
    &PORTS,
    &GPU,
    &CPU,
    &MEMORY,
];

const EGRESS: [Constraint; 2] = [Constraint::EgressMode, Constraint::EgressType];
const INGRESS: [Constraint; 6] = [
    Constraint::IngressLevel,
    Constraint::ServiceType,
    Constraint::AddressPool,
    Constraint::HttpRoute,
    Constraint::HostName,
    Constraint::FreePool,
];
const PORTS: [Constraint; 2] = [Constraint::PortProtocol, Constraint::ExposedPorts];
const GPU: [Constraint; 6] = [
    Constraint::GpuType,
    Constraint::GpuMemory,
    Constraint::GpuCeiling,
    Constraint::GpuQuota,
    Constraint::GpuLargest,
    Constraint::FreeGpus,
];
const CPU: [Constraint; 4] = [
    Constraint::CpuCeiling,
    Constraint::CpuQuota,
    Constraint::CpuLargest,
    Constraint::FreeCpu,
];
const MEMORY: [Constraint; 5] = [
    Constraint::MemorySmallest,
    Constraint::MemoryCeiling,
    Constraint::MemoryQuota,
    Constraint::MemoryLargest,
    Constraint::FreeMemory,
];

impl Closest {
    /// The smallest change, and the candidate that it is for.
    pub(super) fn find<'a>(diagnosis: &Diagnosis<'a>) -> Option<(Self, Failure<'a>)> {
        let mut candidates = diagnosis
            .failures
            .iter()
            .filter(|failure| !failure.gaps.intersects(&FIXED))
            .map(|failure| (cost(failure), failure))
            .collect::<Vec<_>>();
        candidates.sort_by_key(|(cost, _)| *cost);
        candidates
            .into_iter()
            .take(TRIED_MAX)
            .find_map(|(_, failure)| Some((Self::of(failure)?, *failure)))
    }

    /// The smallest change for one candidate; `None` if it needs none, or if
    /// none helps.
    pub(super) fn for_case(case: &Case<'_>) -> Option<Self> {
        let all = Constraint::ALL.iter().copied();
        let gaps = all
            .filter(|&constraint| check::gap(case, constraint).is_some())
            .collect::<Gaps>();
        if gaps.is_empty() || gaps.intersects(&FIXED) {
            return None;
        }
        Self::of(&Failure { case: *case, gaps })
    }

    fn of(failure: &Failure<'_>) -> Option<Self> {
        let case = &failure.case;
        let closest = Self {
            runner: case.member.runner().id.clone(),
            profile: case.offer.name.clone(),
            changes: changes(case, failure.gaps)?,
        };
        closest.serves(case).then_some(closest)
    }

    /// Whether the changed request leaves no gap.
    fn serves(&self, case: &Case<'_>) -> bool {
        let request = self.apply(case.request());
        let asking = Asking {
            request: &request,
            ..case.wish.asking
        };
        let wish = Wish::new(case.wish.fleet, asking);
        request.violations().is_empty() && check::first_gap(&case.under(&wish)).is_none()
    }

    /// The request with these changes.
    #[must_use]
    pub fn apply(&self, request: &StartRequest) -> StartRequest {
        let mut request = request.clone();
        for change in &self.changes {
            change.apply(&mut request);
        }
        request
    }
}

impl Change {
    fn apply(&self, request: &mut StartRequest) {
        match self {
            Self::Runner(id) => request.selectors.runners = vec![id.to_string()],
            Self::Profile(name) => request.selectors.profiles = vec![name.to_string()],
            Self::Egress(name) => request.network.egress_mode = Some(name.clone()),
            Self::Ingress(level) => {
                request.network.ingress_mode.clone_from(level);
                if level.is_none() {
                    request.network.exposed_ports.clear();
                }
            }
            Self::Ports(ports) => request.network.exposed_ports.clone_from(ports),
            Self::Gpu(gpu) => {
                request.requests.gpu.clone_from(gpu);
                request.limits.gpu.clone_from(gpu);
            }
            Self::Cpu(to) => to.apply(&mut request.requests.cpu, &mut request.limits.cpu),
            Self::Memory(to) | Self::MoreMemory(to) => {
                to.apply(&mut request.requests.memory, &mut request.limits.memory);
            }
        }
    }
}

impl Resized {
    fn apply(&self, request: &mut Option<Quantity>, limit: &mut Option<Quantity>) {
        *request = Some(self.request.clone());
        if let Some(resized) = &self.limit {
            *limit = Some(resized.clone());
        }
    }
}

/// How many fields have to change, whether what the caller named is one of them,
/// and by how much amounts have to, in millionths.
fn cost(failure: &Failure<'_>) -> (usize, bool, u64) {
    let fields = FIELDS.iter();
    let changed = fields.filter(|constraints| failure.gaps.intersects(constraints));
    let reduction = amounts::reduction_ppm(&failure.case);
    (changed.count(), !failure.is_meant(), reduction)
}

/// What has to change for one candidate; `None` if nothing helps.
fn changes(case: &Case<'_>, gaps: Gaps) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    if gaps.contains(Constraint::RunnerSelector) {
        changes.push(Change::Runner(case.member.runner().id.clone()));
    }
    if gaps.contains(Constraint::ProfileSelector) {
        changes.push(Change::Profile(case.offer.name.clone()));
    }
    if gaps.intersects(&EGRESS) {
        changes.push(Change::Egress(choices::egress(case)?));
    }
    changes.extend(exposure(case, gaps));
    if gaps.intersects(&GPU) {
        changes.push(choices::gpu(case)?);
    }
    if gaps.intersects(&CPU) {
        changes.push(Change::Cpu(amounts::cpu(case)?));
    }
    if gaps.contains(Constraint::MemorySmallest) {
        changes.push(Change::MoreMemory(amounts::enough_memory(case)?));
    } else if gaps.intersects(&MEMORY) {
        changes.push(Change::Memory(amounts::memory(case)?));
    }
    Some(changes)
}

/// Who exposes nothing needs neither a level nor ports.
fn exposure(case: &Case<'_>, gaps: Gaps) -> Vec<Change> {
    let level = gaps.intersects(&INGRESS).then(|| choices::ingress(case));
    let level = level.map(Change::Ingress);
    let ports = gaps.intersects(&PORTS).then(|| choices::ports(case));
    let changes: Vec<Change> = level.into_iter().chain(ports.flatten()).collect();
    let nothing = Change::Ingress(None);
    if changes.contains(&nothing) {
        vec![nothing]
    } else {
        changes
    }
}
