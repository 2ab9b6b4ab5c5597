//! What this backend can do, and the refusal of everything else.
//!
//! A launch that asks for more than the capabilities say is refused before
//! anything is made of it. Both are made here, so that they cannot differ.

use std::collections::{BTreeMap, BTreeSet};

use palisade_backend::EnsureError;
use palisade_model::name::{InstanceType, RuntimeClass};
use palisade_model::policy::Standing;
use palisade_model::profile::{EgressType, ServiceType};
use palisade_model::quantity::Quantity;
use palisade_model::runner::{
    AddressPools, Capabilities, PodFieldSupport, PortSupport, Resources, RouteSupport,
    SecretSupport,
};
use palisade_model::sandbox::{Launch, Protocol};

use crate::config::LinuxConfig;
use crate::machine;
use crate::network::Services;

/// What of a pod patch has a meaning here: labels and annotations, which are
/// recorded with the sandbox.
const POD_FIELDS: [&str; 2] = ["metadata.labels", "metadata.annotations"];

/// How many ports a sandbox can expose: their rules fit into one transaction.
const DOORS_MAX: u32 = 128;

/// What this backend can do.
pub(crate) fn capabilities(
    config: &LinuxConfig,
    total: Resources,
    pause: bool,
    file_systems: bool,
) -> Capabilities {
    Capabilities {
        egress: BTreeSet::from(EgressType::ALL),
        services: services(&config.network.services),
        address_pools: pools(&config.network.services),
        routes: if config.http_listen.is_some() || config.https.is_some() {
            RouteSupport::Scoped
        } else {
            RouteSupport::None
        },
        ports: PortSupport {
            // Connection tracking of a protocol that the kernel does not know tells no
            // port from another, so that an open one would open them all.
            sctp: false,
            max: Some(DOORS_MAX),
        },
        runtime_classes: config.handlers.keys().cloned().collect(),
        architectures: BTreeSet::from([machine::architecture().to_owned()]),
        gpu_types: BTreeSet::new(),
        instance_types: config.instance_types.clone(),
        storage_classes: BTreeSet::new(),
        node_labels: config.node_labels.clone(),
        pod_fields: pod_fields(),
        privileged: false,
        pause,
        // They are archived while nothing in the sandbox runs.
        file_systems: file_systems && pause,
        secrets: match config.own_secrets {
            None => SecretSupport::Stores,
            Some(_) => SecretSupport::StoresAndOwn,
        },
        largest: total,
        memory_bytes_min: Capabilities::MEMORY_BYTES_MIN,
        lacks: BTreeMap::new(),
    }
}

fn services(offered: &Services) -> BTreeSet<ServiceType> {
    let mut services = BTreeSet::from([ServiceType::ClusterIp]);
    if offered.node_ports.is_some() {
        services.insert(ServiceType::NodePort);
    }
    if !offered.pools.is_empty() {
        services.insert(ServiceType::LoadBalancer);
    }
    services
}

fn pools(offered: &Services) -> AddressPools {
    let names = offered.pools.iter().map(|pool| pool.name.to_string());
    AddressPools::Only(names.collect())
}

/// Refuses a launch that asks for more.
pub(crate) fn check(launch: &Launch, offered: &Capabilities) -> Result<(), EnsureError> {
    let refused = [
        egress(launch, offered),
        ingress(launch, offered),
        doors(launch, offered),
        gpu(launch, offered),
        runtime_class(launch, offered),
        instance_type(launch, offered),
        node_selector(launch, offered),
        pod(launch, offered),
        own_secrets(launch, offered),
        limits(launch, offered),
        file_system(launch, offered),
    ];
    match refused.into_iter().flatten().next() {
        Some(what) => Err(EnsureError::Unsupported { what }),
        None => Ok(()),
    }
}

fn egress(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let kind = launch.egress.mode.kind();
    (!offered.egress.contains(&kind)).then(|| {
        format!(
            "this runner cannot enforce the egress type {}",
            kind.as_str()
        )
    })
}

fn ingress(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let level = launch.exposure.as_ref()?;
    let kind = level.exposure.service.service_type;
    let is_offered = offered.services.contains(&kind);
    let has_route = level.exposure.route.is_none() || offered.routes.serves(level.exposure.scope);
    (!is_offered || !has_route).then(|| {
        let name = level.name.as_str();
        format!("this runner cannot expose ports as ingress level {name:?} wants it")
    })
}

fn doors(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let exposed = Standing::of(launch).exposed?;
    let mut doors = exposed.doors.iter();
    let sctp = doors.find(|door| door.protocol == Protocol::Sctp);
    if let Some(door) = sctp.filter(|_| !offered.ports.sctp) {
        return Some(format!("this runner cannot expose SCTP port {}", door.port));
    }
    let (len, most) = (exposed.doors.len(), offered.ports.max?);
    (len as u64 > u64::from(most))
        .then(|| format!("{len} ports are exposed, and at most {most} are possible on this runner"))
}

fn file_system(launch: &Launch, offered: &Capabilities) -> Option<String> {
    launch.file_system.as_ref()?;
    (!offered.file_systems)
        .then(|| "this runner cannot give a sandbox a file system of its own".to_owned())
}

fn own_secrets(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let mut own = launch.secrets.iter().filter(|secret| !secret.is_of_store());
    (own.next().is_some() && !offered.secrets.has_own()).then(|| {
        "this runner has no secrets of its own; it was started without --runner-secrets".to_owned()
    })
}

fn gpu(launch: &Launch, offered: &Capabilities) -> Option<String> {
    launch.resources.gpu.as_ref()?;
    (offered.largest.gpus == 0).then(|| "this runner has no GPUs".to_owned())
}

fn runtime_class(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let class = launch.runtime_class.as_ref()?;
    if offered.runtime_classes.contains(class) {
        return None;
    }
    let known = offered.runtime_classes.iter().map(RuntimeClass::as_str);
    let known: Vec<&str> = known.collect();
    Some(format!(
        "runtime class {:?} is not configured on this runner; it has: {}",
        class.as_str(),
        known.join(", ")
    ))
}

fn instance_type(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let wanted = launch.instance_types.iter().map(InstanceType::as_str);
    let wanted: Vec<&str> = wanted.collect();
    let fits = |name: &&str| offered.instance_types.contains(*name);
    (!wanted.is_empty() && !wanted.iter().any(fits)).then(|| {
        let names = wanted.join(", ");
        format!("this runner is of none of the instance types {names}")
    })
}

fn node_selector(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let mut wanted = launch.node_selector.iter();
    let is_missing =
        |(key, value): &(&String, &String)| offered.node_labels.get(*key) != Some(*value);
    let (key, value) = wanted.find(is_missing)?;
    Some(format!("this runner has no node label {key}={value}"))
}

fn pod(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let unsupported = offered.pod_fields.unsupported(launch.pod.as_ref()?);
    (!unsupported.is_empty()).then(|| {
        let fields = unsupported.join(", ");
        format!("this runner cannot honour these fields of pod: {fields}")
    })
}

fn limits(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let resources = &launch.resources;
    let mut limits = [&resources.cpu_limit, &resources.memory_limit].into_iter();
    if limits.any(|limit| limit.as_ref().is_some_and(Quantity::is_zero)) {
        return Some("a limit of zero leaves nothing to run with".to_owned());
    }
    let limit = resources.memory_limit.as_ref()?;
    let (bytes, least) = (limit.to_units()?, offered.memory_bytes_min);
    (bytes < least).then(|| {
        format!("no sandbox starts here with {limit} of memory; it takes at least {least} bytes")
    })
}

fn pod_fields() -> PodFieldSupport {
    PodFieldSupport::Only(POD_FIELDS.map(str::to_owned).into())
}

#[cfg(test)]
mod tests {
    use palisade_model::profile::{EgressMode, form};
    use palisade_model::sandbox::{GpuKind, GpuRequest};
    use palisade_model::testing::sample_launch;
    use serde_json::json;

    use super::*;

    fn offered() -> Capabilities {
        Capabilities {
            egress: BTreeSet::from([EgressType::None, EgressType::Internet]),
            runtime_classes: BTreeSet::from(["crun".parse().unwrap()]),
            instance_types: BTreeSet::from(["small".to_owned()]),
            node_labels: [("disk".to_owned(), "ssd".to_owned())].into(),
            pod_fields: pod_fields(),
            memory_bytes_min: Capabilities::MEMORY_BYTES_MIN,
            ..Capabilities::default()
        }
    }

    /// The refusal of a launch that was changed so.
    fn refused(change: impl FnOnce(&mut Launch)) -> Option<String> {
        let mut launch = sample_launch();
        change(&mut launch);
        match check(&launch, &offered()) {
            Ok(()) => None,
            Err(EnsureError::Unsupported { what }) => Some(what),
            Err(EnsureError::Internal(source)) => panic!("{source}"),
        }
    }

    fn with_pod(launch: &mut Launch, patch: &serde_json::Value) {
        let spec = json!({ "pod": patch });
        launch.pod = form::decode(&spec).unwrap().pod;
    }

    #[test]
    fn what_is_offered_is_not_refused() {
        assert_eq!(refused(|_| ()), None);
        let all = |launch: &mut Launch| {
            launch.egress.mode = EgressMode::Internet;
            launch.runtime_class = Some("crun".parse().unwrap());
            launch.instance_types = vec!["large".parse().unwrap(), "small".parse().unwrap()];
            launch.node_selector = [("disk".to_owned(), "ssd".to_owned())].into();
            let labels = json!({ "metadata": { "labels": { "team": "blue" } } });
            with_pod(launch, &labels);
        };
        assert_eq!(refused(all), None);
    }

    #[test]
    fn what_is_not_offered_is_refused_by_its_name() {
        let gpu = GpuRequest {
            count: 1,
            kind: GpuKind::Any,
        };
        let tolerations = json!({ "spec": { "tolerations": [{ "key": "gpu" }] } });
        let refusals = [
            (refused(|l| l.egress.mode = EgressMode::Org), "egress type"),
            (refused(|l| l.resources.gpu = Some(gpu)), "GPU"),
            (
                refused(|l| l.runtime_class = Some("runsc".parse().unwrap())),
                "\"runsc\" is not configured on this runner; it has: crun",
            ),
            (
                refused(|l| l.instance_types = vec!["large".parse().unwrap()]),
                "large",
            ),
            (
                refused(|l| l.node_selector = [("disk".into(), "hdd".into())].into()),
                "disk=hdd",
            ),
            (refused(|l| with_pod(l, &tolerations)), "spec.tolerations"),
            (
                refused(|l| l.resources.memory_limit = Some("0".parse().unwrap())),
                "zero",
            ),
            (
                refused(|l| l.resources.memory_limit = Some("1Ki".parse().unwrap())),
                "at least 1048576 bytes",
            ),
        ];
        for (refusal, expected) in refusals {
            let refusal = refusal.expect(expected);
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}
