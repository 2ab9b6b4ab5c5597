//! What in a pod patch would weaken the isolation of a sandbox.
//!
//! Only what can be seen in the text is judged: with it a sandbox reaches its
//! host, other pods, or the cluster, or loses a restriction that the system
//! sets. Each finding says why, and what to write instead. Nothing here decides
//! whether a runner may be told to allow it all the same.
//!
//! The rules follow the Baseline level of the Pod Security Standards and go
//! beyond it where sandboxes run code that nobody trusts: tokens of the cluster,
//! shared process namespaces, choice of the node, and the removal of what a
//! backend sets.

use serde_json::{Map, Value};

use super::metadata::{self, restriction};
use super::strategic::{DIRECTIVE, Directive};
use crate::merge;
use crate::profile::PodPatch;
use crate::runner::SpecPatch;
use crate::violation::{FieldPath, Violation, ViolationKind};

mod container;
mod security;
mod volume;

/// What a pod patch would weaken. Paths start at `pod`.
pub fn escapes(patch: &PodPatch) -> Vec<Violation> {
    escapes_in_patch(patch.as_map())
}

/// What the overrides of a binding would weaken. Paths start at `pod`.
///
/// A `null` that only takes a field from the profile is none; one inside a list
/// gets to the pod with its list.
pub fn escapes_in_overrides(overrides: &SpecPatch) -> Vec<Violation> {
    let mut alone = Value::Null;
    merge::patch(&mut alone, &Value::Object(overrides.as_map().clone()));
    let patch = alone.get("pod").and_then(Value::as_object);
    patch.map(escapes_in_patch).unwrap_or_default()
}

/// What is weak about a whole pod, such as one that was patched. Paths start at
/// `pod`.
pub fn escapes_in_pod(pod: &Value) -> Vec<Violation> {
    let mut findings = Findings::default();
    if let Some(spec) = pod.as_object().and_then(spec_of) {
        self::pod(&spec, &mut findings);
    }
    findings.0
}

fn escapes_in_patch(patch: &Map<String, Value>) -> Vec<Violation> {
    let mut findings = Findings::default();
    annotations(patch, &mut findings);
    if let Some(spec) = spec_of(patch) {
        pod(&spec, &mut findings);
        removals(&spec, &mut findings);
    }
    findings.0
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    /// Adds a finding: why it is one, and what to write instead.
    fn add(&mut self, path: FieldPath, why: &str, instead: &str) {
        let description = format!("{why}; {instead}");
        self.0
            .push(Violation::new(path, ViolationKind::Forbidden, description));
    }
}

/// A value of the pod and its place.
struct At<'a> {
    value: &'a Value,
    path: FieldPath,
}

impl<'a> At<'a> {
    /// The value of a key, if this is a map that has it.
    fn get(&self, key: &str) -> Option<Self> {
        Some(Self {
            value: self.value.get(key)?,
            path: self.path.key(key),
        })
    }

    /// The value under several keys, if these are maps that have them.
    fn get_in(&self, keys: &[&str]) -> Option<Self> {
        let (first, rest) = keys.split_first()?;
        let below = self.get(first)?;
        if rest.is_empty() {
            Some(below)
        } else {
            below.get_in(rest)
        }
    }

    /// The items of a list, if this is one.
    fn items(&self) -> impl Iterator<Item = Self> {
        let list = self.value.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().enumerate().map(|(index, value)| Self {
            value,
            path: self.path.index(index),
        })
    }

    /// The entries of a map, if this is one.
    fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let map = self.value.as_object();
        map.into_iter().flatten().map(|(key, value)| {
            let below = Self {
                value,
                path: self.path.key(key),
            };
            (key.as_str(), below)
        })
    }

    /// The text of a key, if it has one.
    fn text(&self, key: &str) -> Option<&'a str> {
        self.value.get(key)?.as_str()
    }

    /// The items of the list under a key.
    fn list(&self, key: &str) -> Vec<Self> {
        let list = self.get(key);
        list.iter().flat_map(At::items).collect()
    }
}

fn spec_of(pod: &Map<String, Value>) -> Option<At<'_>> {
    Some(At {
        value: pod.get("spec")?,
        path: FieldPath::from(["pod", "spec"]),
    })
}

/// Switches that no sandbox may have on.
const SWITCHES: [(&str, &str, &str); 6] = [
    (
        "hostNetwork",
        "puts the sandbox into the network of its host, past every network rule",
        "leave it out and use spec.network",
    ),
    (
        "hostPID",
        "shows the sandbox every process of its host",
        "leave it out",
    ),
    (
        "hostIPC",
        "shares the memory of the host's processes with the sandbox",
        "leave it out",
    ),
    (
        "hostUsers",
        "makes root in the sandbox root on its host",
        "leave it out or set it to false",
    ),
    (
        "shareProcessNamespace",
        "lets the sandbox read the memory and the secrets of the containers beside it",
        "leave it out",
    ),
    (
        "automountServiceAccountToken",
        "hands the sandbox a token for the API of the cluster",
        "leave it out or set it to false",
    ),
];

/// The highest priority that is not kept for the system's own pods.
const PRIORITY_MAX: i64 = 1_000_000_000;

fn pod(spec: &At<'_>, findings: &mut Findings) {
    for (name, why, instead) in SWITCHES {
        switched_on(spec, name, (why, instead), findings);
    }
    if let Some(node) = spec.get("nodeName")
        && node.value.as_str().is_some_and(|name| !name.is_empty())
    {
        findings.add(
            node.path,
            "puts the sandbox onto a node past the scheduler and its limits",
            "use spec.instance_types or spec.node_selector",
        );
    }
    let class = spec.text("priorityClassName");
    if class.is_some_and(|name| name.starts_with("system-")) {
        findings.add(
            spec.path.key("priorityClassName"),
            "lets the sandbox push the system's own pods from a node",
            "use a priority class of your own",
        );
    }
    let priority = spec.value.get("priority").and_then(Value::as_i64);
    if priority.is_some_and(|priority| priority > PRIORITY_MAX) {
        findings.add(
            spec.path.key("priority"),
            "lets the sandbox push the system's own pods from a node",
            "use priorityClassName with a class of your own",
        );
    }
    if let Some(context) = spec.get("securityContext") {
        security::pod(&context, findings);
    }
    for volume in spec.list("volumes") {
        volume::volume(&volume, findings);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for item in spec.list(list) {
            container::container(&item, findings);
        }
    }
}

fn switched_on(at: &At<'_>, name: &str, (why, instead): (&str, &str), findings: &mut Findings) {
    if let Some(switch) = at.get(name)
        && switch.value == &Value::Bool(true)
    {
        findings.add(switch.path, why, instead);
    }
}

/// Annotations that change how the pod runs.
fn annotations(patch: &Map<String, Value>, findings: &mut Findings) {
    let keys = metadata::keys(patch, "annotations");
    for key in keys.into_iter().flatten().map(|(key, _)| key) {
        if let Some(effect) = restriction(key) {
            findings.add(
                FieldPath::from(["pod", "metadata", "annotations"]).key(key),
                effect,
                "leave it out",
            );
        }
    }
}

/// Fields that a backend sets for the sake of isolation.
const GUARDS: [(&str, &str); 3] = [
    (
        "automountServiceAccountToken",
        "leave it out or set it to false",
    ),
    ("hostUsers", "leave it out or set it to false"),
    (
        "securityContext",
        "set the single fields that should differ",
    ),
];

/// Lists in which a backend has items of its own.
const OWNED: [&str; 3] = ["containers", "initContainers", "volumes"];

/// What a patch takes from the generated pod, or puts in its place.
fn removals(spec: &At<'_>, findings: &mut Findings) {
    if let Some(class) = spec.get("runtimeClassName") {
        findings.add(
            class.path,
            "takes the place of the isolation backend that placement chose",
            "set spec.runtime_class",
        );
    }
    for (name, instead) in GUARDS {
        if let Some(guard) = spec.get(name) {
            removed_guards(&guard, instead, findings);
        }
    }
    for name in OWNED {
        let Some(list) = spec.get(name) else { continue };
        if list.value.is_null() {
            let why = "takes away what the system itself puts into the pod";
            findings.add(list.path, why, "leave it out");
            continue;
        }
        for item in list.items() {
            removed_item(&item, findings);
        }
    }
}

fn removed_item(item: &At<'_>, findings: &mut Findings) {
    if is_removal(item.value) {
        findings.add(
            item.path.key(DIRECTIVE),
            "takes away what the system itself puts into the pod",
            "leave the item out",
        );
    }
    if let Some(context) = item.get("securityContext") {
        let instead = "set the single fields that should differ";
        removed_guards(&context, instead, findings);
    }
}

/// Every `null` and every directive in a guard weakens it.
fn removed_guards(guard: &At<'_>, instead: &str, findings: &mut Findings) {
    const WHY: &str = "takes away a restriction that the system sets";
    if guard.value.is_null() {
        findings.add(guard.path.clone(), WHY, instead);
    }
    if is_removal(guard.value) {
        findings.add(guard.path.key(DIRECTIVE), WHY, instead);
    }
    for (_, below) in guard.entries() {
        removed_guards(&below, instead, findings);
    }
}

fn is_removal(value: &Value) -> bool {
    let directive = value.as_object().and_then(Directive::of);
    matches!(directive, Some(Directive::Replace | Directive::Delete))
}

#[cfg(test)]
mod tests;
