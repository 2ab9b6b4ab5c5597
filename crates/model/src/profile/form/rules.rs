//! Rules about several fields of one spec.
//!
//! They hold for each layer and for what the layers make together. A fragment
//! is not held to them: what it will meet is not known yet.

use crate::document::Reader;
use crate::profile::{Exposure, ProfileSpec, ResourceCeiling, ResourceDefaults, ServiceType};
use crate::quantity::Quantity;
use crate::violation::{FieldPath, ViolationKind};

/// Notes every rule that the spec breaks.
pub(super) fn check(spec: &ProfileSpec, reader: &mut Reader) {
    resources(&spec.resource_defaults, &spec.resource_ceiling, reader);
    for (name, level) in spec.ingress() {
        let path = FieldPath::root()
            .key("network")
            .key("ingress")
            .key(name.as_str());
        external_address(level, &path, reader);
    }
}

/// An amount and the name of its field.
type Amount<'a> = (&'static str, &'a Option<Quantity>);

fn resources(defaults: &ResourceDefaults, ceiling: &ResourceCeiling, reader: &mut Reader) {
    let ResourceDefaults {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = defaults;
    let cpu: [Amount<'_>; 3] = [
        ("resource_defaults.cpuRequest", cpu_request),
        ("resource_defaults.cpuLimit", cpu_limit),
        ("resource_ceiling.cpu", &ceiling.cpu),
    ];
    let memory: [Amount<'_>; 3] = [
        ("resource_defaults.memoryRequest", memory_request),
        ("resource_defaults.memoryLimit", memory_limit),
        ("resource_ceiling.memory", &ceiling.memory),
    ];
    for amounts in [cpu, memory] {
        ascending(amounts, reader);
    }
}

/// Each amount must be at most the next one that is set.
fn ascending(amounts: [Amount<'_>; 3], reader: &mut Reader) {
    let set = amounts
        .iter()
        .filter_map(|(name, amount)| Some((name, amount.as_ref()?)))
        .collect::<Vec<_>>();
    for pair in set.windows(2) {
        let [(name, amount), (bound_name, bound)] = pair else {
            continue;
        };
        if amount > bound {
            reader.refuse_at(
                name.split('.')
                    .fold(FieldPath::root(), |path, key| path.key(key)),
                ViolationKind::Conflict,
                format!("is {amount}, which is more than {bound_name} with {bound}"),
            );
        }
    }
}

fn external_address(level: &Exposure, path: &FieldPath, reader: &mut Reader) {
    let gets_one = level.route.is_some() || level.service.service_type == ServiceType::LoadBalancer;
    if level.expects_external_address && !gets_one {
        reader.refuse_at(
            path.key("expectsExternalAddress"),
            ViolationKind::Conflict,
            format!(
                "waits for an address that a {} service never gets; use serviceType LoadBalancer or add an ingress block",
                level.service.service_type.as_str()
            ),
        );
    }
}
