//! Rules that only all layers together can keep, on a given runner.
//!
//! A profile is written without knowing the runners that will offer it, so what
//! a runner demands or does not allow is checked here, when a binding is written
//! and again before every launch.

use crate::pod;
use crate::profile::{IngressRoute, NamespaceStrategy, ProfileSpec};
use crate::runner::RunnerSettings;
use crate::violation::{FieldPath, Violation, ViolationKind};

/// What a spec in which all layers had their say breaks on this runner.
pub fn check_complete(spec: &ProfileSpec, runner: &RunnerSettings) -> Vec<Violation> {
    let mut violations = missing_limits(spec, runner);
    violations.extend(overlong_hosts(spec));
    if !runner.allow_privileged_profile_annotations {
        violations.extend(spec.pod.as_ref().map(pod::escapes).unwrap_or_default());
    }
    violations
}

fn missing_limits(spec: &ProfileSpec, runner: &RunnerSettings) -> Vec<Violation> {
    if !runner.enforce_resource_limits {
        return Vec::new();
    }
    let defaults = &spec.resource_defaults;
    [
        ("cpuLimit", &defaults.cpu_limit),
        ("memoryLimit", &defaults.memory_limit),
    ]
    .into_iter()
    .filter(|(_, limit)| limit.is_none())
    .map(|(field, _)| {
        Violation::new(
            FieldPath::from(["resource_defaults", field]),
            ViolationKind::Required,
            "is required, as this runner enforces limits on CPU and memory",
        )
    })
    .collect()
}

/// Host names that cannot be made in the one namespace of the strategy.
fn overlong_hosts(spec: &ProfileSpec) -> Vec<Violation> {
    let NamespaceStrategy::Static(namespace) = spec.namespace.strategy() else {
        return Vec::new();
    };
    let routes = spec
        .ingress()
        .iter()
        .filter_map(|(name, level)| Some((name, level.route.as_ref()?)));
    routes
        .filter(|(_, IngressRoute { template, .. })| !template.fits(namespace.name()))
        .map(|(name, _)| {
            Violation::new(
                FieldPath::from(["network", "ingress", name.as_str(), "ingress", "template"]),
                ViolationKind::Conflict,
                format!(
                    "makes host names that are too long for DNS in namespace {}",
                    namespace.name()
                ),
            )
        })
        .collect()
}
