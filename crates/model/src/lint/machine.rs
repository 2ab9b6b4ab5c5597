//! Advice about machines, isolation and the pod patch.

use serde_json::Value;

use crate::label;
use crate::name::InstanceType;
use crate::pod::{self, MAIN_CONTAINER};
use crate::profile::{PodPatch, ProfileSpec};
use crate::sandbox::Annotations;
use crate::violation::FieldPath;

use super::{Finding, Rule, Subject, spec_path};

/// The node label that tells the class of a machine.
const INSTANCE_LABEL: &str = "node.kubernetes.io/instance-type";

pub(super) fn findings(subject: Subject<'_>) -> Vec<Finding> {
    let spec = subject.spec;
    let mut findings = reserved_labels(subject);
    findings.extend(runtime_class(spec));
    findings.extend(contradicting_selector(spec));
    if let Some(patch) = &spec.pod {
        findings.extend(placement(spec, patch));
        findings.extend(repeated(patch));
        findings.extend(dropped(patch));
    }
    findings
}

fn runtime_class(spec: &ProfileSpec) -> Option<Finding> {
    spec.runtime_class.is_none().then(|| {
        Finding::new(
            Rule::RuntimeClassUnset,
            spec_path(["runtime_class"]),
            "is not set, so that sandboxes are isolated as the runner or its nodes do by default",
            "for untrusted code, name a class with stronger isolation that the runner has",
        )
    })
}

fn contradicting_selector(spec: &ProfileSpec) -> Option<Finding> {
    let types = spec.instance_types();
    let wanted = spec.node_selector.get(INSTANCE_LABEL)?;
    let is_met = types.is_empty() || types.iter().any(|kind| kind.as_str() == wanted);
    (!is_met).then(|| {
        Finding::new(
            Rule::SelectorsContradict,
            spec_path(["node_selector"]).key(INSTANCE_LABEL),
            format!(
                "is {wanted}, which is none of the instance types {}; no machine is both",
                listed(&types)
            ),
            "say it once, in instance_types",
        )
    })
}

fn placement(spec: &ProfileSpec, patch: &PodPatch) -> Option<Finding> {
    let there = patch.instance_types();
    if there.is_empty() {
        return None;
    }
    let at = spec_path(["pod", "placement", "instanceTypes"]);
    let here = spec.instance_types.as_deref();
    let Some(here) = here else {
        return Some(Finding::new(
            Rule::PodRepeatsField,
            at,
            "does what instance_types is for",
            format!("write spec.instance_types: [{}] instead", listed(&there)),
        ));
    };
    let is_same = here.len() == there.len() && here.iter().all(|kind| there.contains(kind));
    Some(if is_same {
        let why = "says again what instance_types says";
        Finding::new(Rule::PodRepeatsField, at, why, "leave it out")
    } else {
        Finding::new(
            Rule::PlacementContradicts,
            at,
            format!(
                "is {}, while instance_types is {}, which alone counts",
                listed(&there),
                listed(here)
            ),
            "keep instance_types, and leave this out",
        )
    })
}

/// Fields of the patch that the profile has a field for.
fn repeated(patch: &PodPatch) -> Vec<Finding> {
    let pod = spec_path(["pod", "spec"]);
    let spec = patch.as_map().get("spec");
    let mut findings = Vec::new();
    if spec.and_then(|spec| spec.get("nodeSelector")).is_some() {
        findings.push(Finding::new(
            Rule::PodRepeatsField,
            pod.key("nodeSelector"),
            "does what node_selector is for, unseen by placement",
            "write it as spec.node_selector",
        ));
    }
    let containers = spec.and_then(|spec| spec.get("containers"));
    let containers = containers.and_then(Value::as_array);
    for (index, container) in containers.into_iter().flatten().enumerate() {
        let is_main = container.get("name").and_then(Value::as_str) == Some(MAIN_CONTAINER);
        if is_main && container.get("image").is_some() {
            findings.push(Finding::new(
                Rule::PodRepeatsField,
                pod.key("containers").index(index).key("image"),
                "does what container_image is for, unseen by placement",
                "write it as spec.container_image",
            ));
        }
    }
    findings
}

/// Keys that are left out of every pod.
fn dropped(patch: &PodPatch) -> Vec<Finding> {
    let launch = pod::launch_metadata(Some(patch), &Annotations::new());
    let dropped = launch.dropped.into_iter();
    dropped
        .map(|dropped| reserved(FieldPath::root().key("spec").join(&dropped.path)))
        .collect()
}

fn reserved_labels(subject: Subject<'_>) -> Vec<Finding> {
    let keys = subject.labels.keys().filter(|key| label::is_reserved(key));
    keys.map(|key| reserved(FieldPath::root().key("labels").key(key.as_str())))
        .collect()
}

fn reserved(at: FieldPath) -> Finding {
    Finding::new(
        Rule::ReservedKey,
        at,
        format!(
            "is under {}, which only the system sets; it never reaches a sandbox",
            label::RESERVED_PREFIX
        ),
        "leave it out, or choose a prefix of your own",
    )
}

fn listed(types: &[InstanceType]) -> String {
    let types = types.iter().map(InstanceType::as_str).collect::<Vec<_>>();
    types.join(", ")
}
