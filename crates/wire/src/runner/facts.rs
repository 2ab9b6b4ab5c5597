//! What a runner can do and has, on its way to the gateway.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use palisade_model::name::RuntimeClass;
use palisade_model::profile::{EgressType, ServiceType};
use palisade_model::runner::{
    AddressPools, Capabilities, Capacity, Feature, PodFieldSupport, PortSupport, Resources,
    RouteSupport, SecretSupport,
};

use crate::proto::runner_v1 as pb;

/// Capabilities as the protocol carries them.
pub fn capabilities_message(capabilities: &Capabilities) -> pb::Capabilities {
    let Capabilities {
        egress,
        services,
        address_pools,
        routes,
        ports: PortSupport { sctp, max },
        runtime_classes,
        architectures,
        gpu_types,
        instance_types,
        storage_classes,
        node_labels,
        pod_fields,
        privileged,
        pause,
        file_systems,
        secrets,
        largest,
        memory_bytes_min,
        lacks,
    } = capabilities;
    let (unknown_address_pools, address_pools) = match address_pools {
        AddressPools::Unknown => (true, Vec::new()),
        AddressPools::Only(pools) => (false, pools.iter().cloned().collect()),
    };
    let (all_pod_fields, pod_fields) = match pod_fields {
        PodFieldSupport::All => (true, Vec::new()),
        PodFieldSupport::Only(fields) => (false, fields.iter().cloned().collect()),
    };
    pb::Capabilities {
        egress_types: egress.iter().map(|kind| kind.as_str().to_owned()).collect(),
        service_types: services
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        routes: *routes != RouteSupport::None,
        scoped_routes: *routes == RouteSupport::Scoped,
        sctp: *sctp,
        exposed_ports_max: max.unwrap_or(0),
        runtime_classes: runtime_classes.iter().map(ToString::to_string).collect(),
        architectures: architectures.iter().cloned().collect(),
        gpu_types: gpu_types.iter().cloned().collect(),
        instance_types: instance_types.iter().cloned().collect(),
        storage_classes: storage_classes.iter().cloned().collect(),
        node_labels: node_labels.clone().into_iter().collect(),
        all_pod_fields,
        pod_fields,
        privileged: *privileged,
        pause: *pause,
        file_systems: *file_systems,
        secrets: secrets.has_stores(),
        own_secrets: secrets.has_own(),
        largest: Some(resources_message(*largest)),
        memory_bytes_min: *memory_bytes_min,
        unknown_address_pools,
        address_pools,
        lacks: (lacks.iter())
            .map(|(feature, why)| (feature.as_str().to_owned(), why.clone()))
            .collect(),
    }
}

/// Capabilities as a runner reported them.
///
/// A name that this gateway does not know is a capability that it cannot use,
/// so that leaving it out refuses more and never less.
pub fn capabilities(message: pb::Capabilities) -> Capabilities {
    let pb::Capabilities {
        egress_types,
        service_types,
        routes,
        scoped_routes,
        runtime_classes,
        architectures,
        gpu_types,
        instance_types,
        storage_classes,
        node_labels,
        all_pod_fields,
        pod_fields,
        privileged,
        largest,
        unknown_address_pools,
        address_pools,
        pause,
        file_systems,
        secrets,
        own_secrets,
        lacks,
        sctp,
        exposed_ports_max,
        memory_bytes_min,
    } = message;
    Capabilities {
        egress: known(&egress_types, &EgressType::ALL, EgressType::as_str),
        services: known(&service_types, &ServiceType::ALL, ServiceType::as_str),
        address_pools: if unknown_address_pools {
            AddressPools::Unknown
        } else {
            AddressPools::Only(address_pools.into_iter().collect())
        },
        routes: match (routes, scoped_routes) {
            (false, _) => RouteSupport::None,
            (true, false) => RouteSupport::Public,
            (true, true) => RouteSupport::Scoped,
        },
        ports: PortSupport {
            sctp,
            max: Some(exposed_ports_max).filter(|most| *most > 0),
        },
        runtime_classes: runtime_classes
            .into_iter()
            .filter_map(|name| RuntimeClass::new(name).ok())
            .collect(),
        architectures: architectures.into_iter().collect(),
        gpu_types: gpu_types.into_iter().collect(),
        instance_types: instance_types.into_iter().collect(),
        storage_classes: storage_classes.into_iter().collect(),
        node_labels: node_labels.into_iter().collect(),
        pod_fields: if all_pod_fields {
            PodFieldSupport::All
        } else {
            PodFieldSupport::Only(pod_fields.into_iter().collect())
        },
        privileged,
        pause,
        file_systems,
        secrets: match (secrets, own_secrets) {
            (false, _) => SecretSupport::None,
            (true, false) => SecretSupport::Stores,
            (true, true) => SecretSupport::StoresAndOwn,
        },
        largest: resources(largest.unwrap_or_default()),
        memory_bytes_min,
        lacks: known_lacks(&lacks),
    }
}

/// How much of a reason is taken from a runner, in characters.
const REASON_CHARS_MAX: usize = 512;

/// What is said of features that this gateway knows.
fn known_lacks(said: &HashMap<String, String>) -> BTreeMap<Feature, String> {
    let all = Feature::ALL.into_iter();
    all.filter_map(|feature| {
        let why = said.get(feature.as_str())?;
        Some((feature, why.chars().take(REASON_CHARS_MAX).collect()))
    })
    .collect()
}

fn known<T: Copy + Ord>(names: &[String], all: &[T], name: fn(T) -> &'static str) -> BTreeSet<T> {
    all.iter()
        .copied()
        .filter(|kind| names.iter().any(|text| text == name(*kind)))
        .collect()
}

/// A capacity as the protocol carries it.
pub fn capacity_message(capacity: &Capacity) -> pb::Capacity {
    let Capacity {
        total,
        sandboxes_max,
    } = capacity;
    pb::Capacity {
        total: Some(resources_message(*total)),
        sandboxes_max: *sandboxes_max,
    }
}

/// A capacity as a runner reported it.
pub fn capacity(message: pb::Capacity) -> Capacity {
    let pb::Capacity {
        total,
        sandboxes_max,
    } = message;
    Capacity {
        total: resources(total.unwrap_or_default()),
        sandboxes_max,
    }
}

fn resources_message(resources: Resources) -> pb::Resources {
    let Resources {
        cpu_millis,
        memory_bytes,
        gpus,
    } = resources;
    pb::Resources {
        cpu_millis,
        memory_bytes,
        gpus,
    }
}

fn resources(message: pb::Resources) -> Resources {
    let pb::Resources {
        cpu_millis,
        memory_bytes,
        gpus,
    } = message;
    Resources {
        cpu_millis,
        memory_bytes,
        gpus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_survive_the_wire() {
        let sent = Capabilities {
            egress: [EgressType::None, EgressType::Allowlist].into(),
            services: [ServiceType::NodePort].into(),
            address_pools: AddressPools::Only(["blue".to_owned()].into()),
            routes: RouteSupport::Scoped,
            ports: PortSupport {
                sctp: true,
                max: Some(128),
            },
            runtime_classes: [RuntimeClass::new("crun").unwrap()].into(),
            architectures: ["amd64".to_owned()].into(),
            gpu_types: ["H100".to_owned()].into(),
            instance_types: ["h100".to_owned()].into(),
            storage_classes: ["fast".to_owned()].into(),
            node_labels: [("a".to_owned(), "b".to_owned())].into(),
            pod_fields: PodFieldSupport::Only(["metadata".to_owned()].into()),
            privileged: true,
            pause: true,
            file_systems: true,
            secrets: SecretSupport::StoresAndOwn,
            largest: Resources {
                cpu_millis: 1,
                memory_bytes: 2,
                gpus: 3,
            },
            memory_bytes_min: 4,
            lacks: [(Feature::Usage, "nobody measures it".to_owned())].into(),
        };
        assert_eq!(capabilities(capabilities_message(&sent)), sent);
        let all = Capabilities {
            pod_fields: PodFieldSupport::All,
            address_pools: AddressPools::Unknown,
            ..sent
        };
        assert_eq!(capabilities(capabilities_message(&all)), all);
    }

    #[test]
    fn an_unknown_capability_is_no_capability() {
        let read = capabilities(pb::Capabilities {
            egress_types: vec!["teleport".into()],
            ..Default::default()
        });
        assert!(read.egress.is_empty());
    }

    #[test]
    fn a_reason_of_a_runner_is_bounded_and_unknown_features_are_left_out() {
        let read = capabilities(pb::Capabilities {
            lacks: [
                ("denials".to_owned(), "x".repeat(REASON_CHARS_MAX + 1)),
                ("teleport".to_owned(), "no".to_owned()),
            ]
            .into(),
            ..Default::default()
        });
        let expected = [(Feature::Denials, "x".repeat(REASON_CHARS_MAX))];
        assert_eq!(read.lacks, expected.into());
    }

    #[test]
    fn a_capacity_survives_the_wire() {
        let sent = Capacity {
            total: Resources {
                cpu_millis: 1,
                memory_bytes: 2,
                gpus: 3,
            },
            sandboxes_max: 4,
        };
        assert_eq!(capacity(capacity_message(&sent)), sent);
    }
}
