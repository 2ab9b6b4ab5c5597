//! A runner and a profile that meet every constraint of a request.

use crate::image::ImageReference;
use crate::name::ModeName;
use crate::profile::{EgressMode, ProfileSpec, ResourceDefaults};
use crate::quantity::Quantity;
use crate::resolve::{Layer, ResolvedSpec};
use crate::sandbox::{AppliedEgress, AppliedExposure};
use crate::violation::Violation;

use super::amounts::{Amount, Amounts};
use super::case::Case;
use super::check;
use super::place::Placement;

/// Proof that a case meets every constraint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted<'a> {
    case: Case<'a>,
    resolved: &'a ResolvedSpec,
    amounts: Amounts<'a>,
    image: &'a ImageReference,
    egress: (&'a ModeName, &'a EgressMode),
}

impl<'a> Admitted<'a> {
    /// Takes a case in which the judge found no gap.
    pub(super) fn new(case: Case<'a>) -> Option<Self> {
        debug_assert!(check::first_gap(&case).is_none(), "the judge missed a gap");
        Some(Self {
            resolved: case.resolved()?,
            amounts: case.amounts?,
            image: case.image()?,
            egress: case.egress()?,
            case,
        })
    }

    /// What it comes to, with the request as the last layer.
    pub(super) fn place(&self) -> Result<Placement, Vec<Violation>> {
        let runner = self.case.member.runner();
        let offer = self.case.offer;
        let (name, mode) = self.egress;
        Ok(Placement {
            runner_uid: runner.uid,
            runner_id: runner.id.clone(),
            runner_group: runner.group.clone(),
            runner_revision: runner.revision,
            profile_id: offer.profile,
            profile_name: offer.name.clone(),
            profile_revision: offer.profile_revision,
            resolved: self.resolved.overlay(&self.layer(), Layer::Request)?,
            image: self.image.clone(),
            runtime_class: self.case.runtime_class().cloned(),
            resources: self.amounts.granted(),
            reserved: self.amounts.reserved,
            egress: AppliedEgress {
                name: name.clone(),
                mode: mode.clone(),
            },
            exposure: self.exposure(),
            max_lifetime: self.case.request().max_lifetime,
        })
    }

    /// The ports that are open at the level: those that the request lists, or
    /// all that the sandbox listens on, in the order of the request.
    fn exposure(&self) -> Option<AppliedExposure> {
        let request = self.case.request();
        let name = request.network.ingress_mode.clone()?;
        Some(AppliedExposure {
            name,
            exposure: self.case.exposure()?.clone(),
            ports: self.case.exposed_ports(),
        })
    }

    /// What the request sets of a spec.
    fn layer(&self) -> ProfileSpec {
        let request = self.case.request();
        let (requests, limits) = (&request.requests, &request.limits);
        let says_cpu = requests.cpu.is_some() || limits.cpu.is_some();
        let says_memory = requests.memory.is_some() || limits.memory.is_some();
        let cpu = sides(self.amounts.cpu, says_cpu);
        let memory = sides(self.amounts.memory, says_memory);
        ProfileSpec {
            container_image: request.image.clone(),
            resource_defaults: ResourceDefaults {
                cpu_request: cpu.0,
                cpu_limit: cpu.1,
                memory_request: memory.0,
                memory_limit: memory.1,
            },
            ..ProfileSpec::default()
        }
    }
}

/// Both sides of an amount, if the request says anything of it.
fn sides(amount: Amount<'_>, is_asked: bool) -> (Option<Quantity>, Option<Quantity>) {
    let asked = Some(amount).filter(|_| is_asked).unwrap_or_default();
    (asked.request.cloned(), asked.limit.cloned())
}
