//! What this backend can do, and the refusal of everything else.
//!
//! A launch that asks for more than the capabilities say is refused before
//! anything is made of it. Both are made here, so that they cannot differ.

use std::collections::BTreeSet;

use palisade_backend::EnsureError;
use palisade_model::name::RuntimeClass;
use palisade_model::profile::PodPatch;
use palisade_model::quantity::Quantity;
use palisade_model::runner::{Capabilities, PodFieldSupport, Resources};
use palisade_model::sandbox::Launch;

use crate::config::LinuxConfig;
use crate::machine;
use crate::network::EGRESS_TYPES;

/// What of a pod patch has a meaning here: labels and annotations, which are
/// recorded with the sandbox.
const POD_FIELDS: [&str; 2] = ["metadata.labels", "metadata.annotations"];

/// What this backend can do.
pub(crate) fn capabilities(config: &LinuxConfig, total: Resources) -> Capabilities {
    Capabilities {
        egress: EGRESS_TYPES.into_iter().collect(),
        services: BTreeSet::new(),
        routes: false,
        runtime_classes: config.handlers.keys().cloned().collect(),
        architectures: BTreeSet::from([machine::architecture().to_owned()]),
        gpu_types: BTreeSet::new(),
        instance_types: config.instance_types.clone(),
        storage_classes: BTreeSet::new(),
        node_labels: config.node_labels.clone(),
        pod_fields: pod_fields(),
        privileged: false,
        largest: total,
    }
}

/// Refuses a launch that asks for more.
pub(crate) fn check(launch: &Launch, config: &LinuxConfig) -> Result<(), EnsureError> {
    let refused = [
        egress(launch),
        ingress(launch),
        gpu(launch),
        runtime_class(launch, config),
        instance_type(launch, config),
        node_selector(launch, config),
        pod(launch.pod.as_ref()),
        resources(launch),
    ];
    match refused.into_iter().flatten().next() {
        Some(what) => Err(EnsureError::Unsupported { what }),
        None => Ok(()),
    }
}

fn egress(launch: &Launch) -> Option<String> {
    let kind = launch.egress.mode.kind();
    (!EGRESS_TYPES.contains(&kind)).then(|| {
        format!(
            "this runner cannot enforce the egress type {}",
            kind.as_str()
        )
    })
}

fn ingress(launch: &Launch) -> Option<String> {
    let exposure = launch.exposure.as_ref()?;
    Some(format!(
        "this runner cannot expose ports: ingress level {:?}",
        exposure.name.as_str()
    ))
}

fn gpu(launch: &Launch) -> Option<String> {
    launch.resources.gpu.as_ref()?;
    Some("this runner has no GPUs".to_owned())
}

fn runtime_class(launch: &Launch, config: &LinuxConfig) -> Option<String> {
    let class = launch.runtime_class.as_ref()?;
    if config.handlers.contains_key(class) {
        return None;
    }
    let known: Vec<&str> = config.handlers.keys().map(RuntimeClass::as_str).collect();
    Some(format!(
        "runtime class {:?} is not configured on this runner; it has: {}",
        class.as_str(),
        known.join(", ")
    ))
}

fn instance_type(launch: &Launch, config: &LinuxConfig) -> Option<String> {
    let wanted = &launch.instance_types;
    let fits = |wanted: &_| config.instance_types.contains(instance_name(wanted));
    (!wanted.is_empty() && !wanted.iter().any(fits)).then(|| {
        let names: Vec<&str> = wanted.iter().map(instance_name).collect();
        format!(
            "this runner is of none of the instance types {}",
            names.join(", ")
        )
    })
}

fn instance_name(name: &palisade_model::name::InstanceType) -> &str {
    name.as_str()
}

fn node_selector(launch: &Launch, config: &LinuxConfig) -> Option<String> {
    let mut wanted = launch.node_selector.iter();
    let (key, value) = wanted.find(|(key, value)| config.node_labels.get(*key) != Some(value))?;
    Some(format!("this runner has no node label {key}={value}"))
}

fn pod(patch: Option<&PodPatch>) -> Option<String> {
    let unsupported = pod_fields().unsupported(patch?);
    (!unsupported.is_empty()).then(|| {
        format!(
            "this runner cannot honour these fields of pod: {}",
            unsupported.join(", ")
        )
    })
}

fn resources(launch: &Launch) -> Option<String> {
    let is_zero = |limit: &Option<Quantity>| limit.as_ref().is_some_and(Quantity::is_zero);
    let resources = &launch.resources;
    (is_zero(&resources.cpu_limit) || is_zero(&resources.memory_limit))
        .then(|| "a limit of zero leaves nothing to run with".to_owned())
}

fn pod_fields() -> PodFieldSupport {
    PodFieldSupport::Only(POD_FIELDS.map(str::to_owned).into())
}
