//! Rules about several fields of one spec.
//!
//! They hold for each layer and for what the layers make together. A fragment
//! is not held to them: what it will meet is not known yet.

use crate::profile::{Exposure, ProfileSpec, ServiceType};
use crate::quantity::Quantity;
use crate::violation::{FieldPath, Violation, ViolationKind};

/// Two fields that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The field that goes too far.
    pub path: FieldPath,
    /// The field that it contradicts.
    pub with: FieldPath,
    /// What is wrong and what would be right.
    pub description: String,
}

impl From<Conflict> for Violation {
    fn from(conflict: Conflict) -> Self {
        Self::new(conflict.path, ViolationKind::Conflict, conflict.description)
    }
}

/// Everything in the spec that contradicts something else in it.
pub fn conflicts(spec: &ProfileSpec) -> Vec<Conflict> {
    let defaults = &spec.resource_defaults;
    let ceiling = &spec.resource_ceiling;
    let cpu = [
        (CPU_REQUEST, &defaults.cpu_request),
        (CPU_LIMIT, &defaults.cpu_limit),
        (CPU_CEILING, &ceiling.cpu),
    ];
    let memory = [
        (MEMORY_REQUEST, &defaults.memory_request),
        (MEMORY_LIMIT, &defaults.memory_limit),
        (MEMORY_CEILING, &ceiling.memory),
    ];
    let resources = [cpu, memory].into_iter().flat_map(descents);
    let levels = spec.ingress().iter();
    let addresses = levels.filter_map(|(name, level)| external_address(name.as_str(), level));
    resources.chain(addresses).collect()
}

/// An amount and the path of its field.
type Amount<'a> = ([&'static str; 2], &'a Option<Quantity>);

const CPU_REQUEST: [&str; 2] = ["resource_defaults", "cpuRequest"];
const CPU_LIMIT: [&str; 2] = ["resource_defaults", "cpuLimit"];
const CPU_CEILING: [&str; 2] = ["resource_ceiling", "cpu"];
const MEMORY_REQUEST: [&str; 2] = ["resource_defaults", "memoryRequest"];
const MEMORY_LIMIT: [&str; 2] = ["resource_defaults", "memoryLimit"];
const MEMORY_CEILING: [&str; 2] = ["resource_ceiling", "memory"];

/// Where an amount is more than the next one that is set.
fn descents(amounts: [Amount<'_>; 3]) -> Vec<Conflict> {
    let set = amounts
        .iter()
        .filter_map(|(path, amount)| Some((FieldPath::from(*path), amount.as_ref()?)))
        .collect::<Vec<_>>();
    set.windows(2)
        .filter_map(|pair| match pair {
            [(path, amount), (with, bound)] if amount > bound => Some(Conflict {
                path: path.clone(),
                with: with.clone(),
                description: format!("is {amount}, which is more than {with} with {bound}"),
            }),
            _ => None,
        })
        .collect()
}

fn external_address(name: &str, level: &Exposure) -> Option<Conflict> {
    let service_type = level.service.service_type;
    let gets_one = level.route.is_some() || service_type == ServiceType::LoadBalancer;
    if !level.expects_external_address || gets_one {
        return None;
    }
    let path = FieldPath::from(["network", "ingress", name]);
    Some(Conflict {
        path: path.key("expectsExternalAddress"),
        with: path.key("service").key("serviceType"),
        description: format!(
            "waits for an address that a {} service never gets; use serviceType LoadBalancer or add an ingress block",
            service_type.as_str()
        ),
    })
}
