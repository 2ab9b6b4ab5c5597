//! Judging one runner and one profile, constraint by constraint.
//!
//! Deciding and explaining both come through [`gap`]: there is no second place
//! that knows what a constraint means.

use super::case::Case;
use super::constraint::{About, Constraint};
use super::gap::Gap;

mod amounts;
mod health;
mod identity;
mod machine;
mod network;

/// The first constraint that is not met, in the order of judging.
pub(super) fn first_gap<'a>(case: &Case<'a>) -> Option<(Constraint, Gap<'a>)> {
    Constraint::ALL
        .iter()
        .find_map(|&constraint| Some((constraint, gap(case, constraint)?)))
}

/// Whether enough is known to judge a constraint.
pub(super) fn is_known(case: &Case<'_>, constraint: Constraint) -> bool {
    let (has_spec, has_report) = (case.resolved().is_some(), case.report().is_some());
    match constraint.about() {
        About::Runner | About::Profile => true,
        About::RunnerReport => has_report,
        About::Spec => has_spec,
        About::Pair => has_spec && has_report,
    }
}

/// What is missing, if anything; what is not known is not missing.
pub(super) fn gap<'a>(case: &Case<'a>, constraint: Constraint) -> Option<Gap<'a>> {
    use Constraint as C;
    match constraint {
        C::RunnerSelector => identity::runner_selector(case),
        C::RunnerKept => identity::runner_kept(case),
        C::ProfileSelector => identity::profile_selector(case),
        C::ProfileResolves => identity::profile_resolves(case),
        C::EgressMode => network::egress_mode(case),
        C::EgressType => network::egress_type(case),
        C::IngressLevel => network::ingress_level(case),
        C::ServiceType => network::service_type(case),
        C::AddressPool => network::address_pool(case),
        C::HttpRoute => network::http_route(case),
        C::HostName => network::host_name(case),
        C::PortProtocol => network::port_protocol(case),
        C::ExposedPorts => network::exposed_ports(case),
        C::Image => machine::image(case),
        C::GpuType => machine::gpu_type(case),
        C::GpuMemory => machine::gpu_memory(case),
        C::Architecture => machine::architecture(case),
        C::InstanceType => machine::instance_type(case),
        C::NodeSelector => machine::node_selector(case),
        C::PodFields => machine::pod_fields(case),
        C::Privileged => machine::privileged(case),
        C::FileSystem => machine::file_system(case),
        C::Secrets => machine::secrets(case),
        C::RunnerSecrets => machine::runner_secrets(case),
        C::CpuCeiling => amounts::cpu_ceiling(case),
        C::MemoryCeiling => amounts::memory_ceiling(case),
        C::GpuCeiling => amounts::gpu_ceiling(case),
        C::CpuQuota => amounts::cpu_quota(case),
        C::MemoryQuota => amounts::memory_quota(case),
        C::GpuQuota => amounts::gpu_quota(case),
        C::CpuLargest => amounts::cpu_largest(case),
        C::MemoryLargest => amounts::memory_largest(case),
        C::GpuLargest => amounts::gpu_largest(case),
        C::MemorySmallest => amounts::memory_smallest(case),
        C::SlotsConfigured => amounts::slots_configured(case),
        C::Connected => health::connected(case),
        C::NotDraining => health::not_draining(case),
        C::FreeSlots => amounts::free_slots(case),
        C::FreeCpu => amounts::free_cpu(case),
        C::FreeMemory => amounts::free_memory(case),
        C::FreeGpus => amounts::free_gpus(case),
        C::FreePool => amounts::free_pool(case),
    }
}
