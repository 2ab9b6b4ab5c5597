//! Advice about sandboxes that Slurm schedules on Kubernetes (SUNK).
//!
//! Its scheduler has rules of its own that nobody checks before a pod is there;
//! broken ones leave pods pending, or drain nodes.

use serde_json::Value;

use crate::profile::{PodPatch, ProfileSpec};
use crate::quantity::Quantity;

use super::{Finding, Rule, spec_path};

/// What its annotations begin with.
const PREFIX: &str = "sunk.coreweave.com/";
/// How its scheduler is usually called, behind the name of a release.
const SCHEDULER: &str = "slurm-scheduler";
/// A pod has to be gone five seconds before Slurm kills, which is after 30.
const GRACE_BELOW: f64 = 25.0;

pub(super) fn findings(spec: &ProfileSpec) -> Vec<Finding> {
    let Some(patch) = spec.pod.as_ref().filter(|patch| is_sunk(patch)) else {
        return Vec::new();
    };
    let defaults = &spec.resource_defaults;
    let amounts = [
        ("cpuRequest", &defaults.cpu_request, &defaults.cpu_limit),
        (
            "memoryRequest",
            &defaults.memory_request,
            &defaults.memory_limit,
        ),
    ];
    let requests = amounts
        .into_iter()
        .filter_map(|(field, request, limit)| empty(field, request.as_ref(), limit.as_ref()));
    grace(patch).into_iter().chain(requests).collect()
}

fn is_sunk(patch: &PodPatch) -> bool {
    let patch = patch.as_map();
    let annotations = patch.get("metadata").and_then(|it| it.get("annotations"));
    let mut keys = annotations
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(serde_json::Map::keys);
    let scheduler = patch.get("spec").and_then(|spec| spec.get("schedulerName"));
    let scheduler = scheduler.and_then(Value::as_str).unwrap_or_default();
    keys.any(|key| key.starts_with(PREFIX)) || scheduler.ends_with(SCHEDULER)
}

fn grace(patch: &PodPatch) -> Option<Finding> {
    let field = "terminationGracePeriodSeconds";
    let seconds = patch.as_map().get("spec")?.get(field)?.as_f64()?;
    (seconds >= GRACE_BELOW).then(|| {
        Finding::new(
            Rule::SunkGrace,
            spec_path(["pod", "spec", field]),
            format!(
                "is {seconds}, while Slurm kills after 30 seconds (KillWait) and needs five of \
                 them: it takes the node out of use when a pod is not gone by then"
            ),
            "set less than KillWait - 5, which is 25 unless your Slurm says otherwise",
        )
    })
}

/// A request that is not given is as large as the limit.
fn empty(
    field: &'static str,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<Finding> {
    let asked = request.or(limit);
    asked.is_none_or(Quantity::is_zero).then(|| {
        Finding::new(
            Rule::SunkRequests,
            spec_path(["resource_defaults", field]),
            "is nothing, unless the request or the zone defaults say otherwise, and the scheduler \
             of SUNK takes only pods that ask for CPU and memory",
            format!("set {field}"),
        )
    })
}
