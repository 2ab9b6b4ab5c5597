//! Every rule finds what it is for, and the pages in `docs/lint/` say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::profile::form;
use crate::testing;

fn findings_of(spec: &Value) -> Vec<Finding> {
    let spec = form::decode(spec).unwrap();
    lint(Subject {
        display_name: "agents",
        labels: &BTreeMap::new(),
        spec: &spec,
    })
}

fn ids(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.rule.id()).collect()
}

/// A spec without a finding.
fn sound() -> Value {
    json!({
        "container_image": "python:3.11",
        "runtime_class": "gvisor",
        "resource_defaults": {
            "cpuRequest": "1", "cpuLimit": "2", "memoryRequest": "1Gi", "memoryLimit": "2Gi"
        },
    })
}

fn egress(modes: &Value, default: &str) -> Value {
    json!({ "network": { "egress": { "default": default, "modes": modes } } })
}

fn ingress(level: &Value) -> Value {
    json!({ "network": { "ingress": { "level": level } } })
}

fn allowlist(cidrs: &Value) -> Value {
    let modes = json!({ "a": { "type": "none" }, "b": { "type": "allowlist", "cidrs": cidrs } });
    egress(&modes, "a")
}

/// A rule, what it is about beside a spec without a finding, and where it tells.
type Sample = (Rule, Value, &'static str);

const FIRST_RANGE: &str = "spec.network.egress.modes.b.cidrs[0]";

fn samples() -> Vec<Sample> {
    let mut samples = egress_samples();
    samples.extend(ingress_samples());
    samples.extend(compute_samples());
    samples.extend(namespace_samples());
    samples.extend(pod_samples());
    samples
}

fn egress_samples() -> Vec<Sample> {
    let default = "spec.network.egress.default";
    let split = json!({ "a": { "type": "internet" }, "b": { "type": "none" } });
    let twins = json!({ "a": { "type": "none" }, "b": { "type": "none" } });
    let nested = json!(["140.82.112.0/20", "140.82.113.0/24"]);
    let only = json!({ "a": { "type": "none" } });
    vec![
        (
            Rule::AllowlistOpen,
            allowlist(&json!(["0.0.0.0/0"])),
            FIRST_RANGE,
        ),
        (
            Rule::AllowlistClosed,
            allowlist(&json!(["127.0.0.0/8"])),
            FIRST_RANGE,
        ),
        (
            Rule::AllowlistWide,
            allowlist(&json!(["8.0.0.0/7"])),
            FIRST_RANGE,
        ),
        (
            Rule::AllowlistRepeats,
            allowlist(&nested),
            "spec.network.egress.modes.b.cidrs[1]",
        ),
        (Rule::InternetByDefault, egress(&split, "a"), default),
        (
            Rule::ModesAlike,
            egress(&twins, "a"),
            "spec.network.egress.modes.b",
        ),
        (Rule::DefaultUnused, egress(&only, "a"), default),
    ]
}

fn ingress_samples() -> Vec<Sample> {
    let twins = json!({ "a": { "scope": "org" }, "b": { "scope": "org" } });
    let pool = json!({ "key": "metallb.io/pool", "value": "public" });
    let pooled = json!({ "serviceType": "LoadBalancer", "serviceSelectorAnnotation": pool });
    let balanced = json!({ "serviceType": "LoadBalancer" });
    vec![
        (
            Rule::LevelsAlike,
            json!({ "network": { "ingress": twins } }),
            "spec.network.ingress.b",
        ),
        (
            Rule::PublicWithoutEntry,
            ingress(&json!({ "scope": "any" })),
            "spec.network.ingress.level.scope",
        ),
        (
            Rule::PublicWithoutWaiting,
            ingress(&json!({ "scope": "any", "service": pooled })),
            "spec.network.ingress.level.expectsExternalAddress",
        ),
        (
            Rule::LoadBalancerWithoutPool,
            ingress(&json!({ "scope": "org", "service": balanced })),
            "spec.network.ingress.level.service.serviceSelectorAnnotation",
        ),
    ]
}

fn compute_samples() -> Vec<Sample> {
    vec![
        (
            Rule::LimitsMissing,
            json!({ "resource_defaults": { "cpuLimit": null } }),
            "spec.resource_defaults.cpuLimit",
        ),
        (
            Rule::LimitWithoutRequest,
            json!({ "resource_defaults": { "memoryRequest": null } }),
            "spec.resource_defaults.memoryLimit",
        ),
        (
            Rule::ImageFloating,
            json!({ "container_image": "python" }),
            "spec.container_image",
        ),
        (
            Rule::RuntimeClassUnset,
            json!({ "runtime_class": null }),
            "spec.runtime_class",
        ),
    ]
}

fn namespace_samples() -> Vec<Sample> {
    vec![
        (
            Rule::NamespaceShared,
            json!({ "tags": ["untrusted"], "namespace": { "strategy": "per-org" } }),
            "spec.namespace.strategy",
        ),
        (
            Rule::NamespaceNotCreated,
            json!({ "namespace": { "autoCreate": false } }),
            "spec.namespace.autoCreate",
        ),
        (
            Rule::NamespaceLabelsUnused,
            json!({ "namespace": {
                "strategy": "static",
                "staticNamespace": "shared",
                "autoCreate": false,
                "labels": { "team": "ml" },
            } }),
            "spec.namespace.labels",
        ),
    ]
}

fn pod_samples() -> Vec<Sample> {
    let label = json!({ "node.kubernetes.io/instance-type": "a100" });
    let reserved = json!({ "sandbox.coreweave.com/user-id": "root" });
    vec![
        (
            Rule::SelectorsContradict,
            json!({ "instance_types": ["h100"], "node_selector": label }),
            r#"spec.node_selector["node.kubernetes.io/instance-type"]"#,
        ),
        (
            Rule::PlacementContradicts,
            json!({
                "instance_types": ["h100"],
                "pod": { "placement": { "instanceTypes": ["a100"] } },
            }),
            "spec.pod.placement.instanceTypes",
        ),
        (
            Rule::ReservedKey,
            json!({ "pod": { "metadata": { "labels": reserved } } }),
            r#"spec.pod.metadata.labels["sandbox.coreweave.com/user-id"]"#,
        ),
        (
            Rule::PodRepeatsField,
            json!({ "pod": { "spec": { "nodeSelector": { "disk": "ssd" } } } }),
            "spec.pod.spec.nodeSelector",
        ),
        (
            Rule::SunkGrace,
            json!({ "pod": {
                "metadata": { "annotations": { "sunk.coreweave.com/partition": "cpu" } },
                "spec": { "terminationGracePeriodSeconds": 25 },
            } }),
            "spec.pod.spec.terminationGracePeriodSeconds",
        ),
        (
            Rule::SunkRequests,
            json!({
                "resource_defaults": { "cpuRequest": "0" },
                "pod": { "spec": { "schedulerName": "tenant-slurm-slurm-scheduler" } },
            }),
            "spec.resource_defaults.cpuRequest",
        ),
    ]
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else_does() {
    assert_eq!(ids(&findings_of(&sound())), BTreeSet::new());
    let mut told = BTreeSet::new();
    for (rule, patch, path) in samples() {
        let mut spec = sound();
        crate::merge::patch(&mut spec, &patch);
        let found = findings_of(&spec);
        assert_eq!(ids(&found), BTreeSet::from([rule.id()]), "{patch}");
        assert_eq!(found[0].path.to_string(), path, "{rule}");
        assert!(!found[0].why.is_empty() && !found[0].change.is_empty());
        told.insert(rule);
    }
    assert_eq!(told, Rule::ALL.iter().copied().collect());
}

#[test]
fn only_pods_of_slurm_have_its_rules() {
    let grace = |grace: i64, scheduler: &str| {
        let mut spec = sound();
        let pod = json!({ "pod": { "spec": {
            "schedulerName": scheduler, "terminationGracePeriodSeconds": grace,
        } } });
        crate::merge::patch(&mut spec, &pod);
        findings_of(&spec).len()
    };
    assert_eq!(grace(300, "default-scheduler"), 0);
    assert_eq!(grace(24, "tenant-slurm-slurm-scheduler"), 0);
    assert_eq!(grace(25, "tenant-slurm-slurm-scheduler"), 1);
}

#[test]
fn what_matters_most_comes_first() {
    let mut spec = allowlist(&json!(["0.0.0.0/0", "8.0.0.0/6"]));
    spec["namespace"] = json!({ "autoCreate": false });
    let found = findings_of(&spec);
    let severities = found.iter().map(Finding::severity).collect::<Vec<_>>();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(severities[0], Severity::Error);
}

#[test]
fn of_two_equal_ranges_the_later_one_is_superfluous() {
    let modes = json!({ "a": { "type": "allowlist", "cidrs": ["140.82.112.0/20"] },
        "b": { "type": "allowlist", "cidrs": ["140.82.112.0/20"] } });
    let found = findings_of(&egress(&modes, "a"));
    assert!(found.iter().any(|finding| finding.rule == Rule::ModesAlike));
    assert!(
        found
            .iter()
            .all(|finding| finding.rule != Rule::AllowlistRepeats)
    );
}

#[test]
fn a_static_namespace_that_somebody_keeps_is_no_mistake() {
    let mut spec = sound();
    spec["namespace"] = json!({
        "strategy": "static", "staticNamespace": "shared", "autoCreate": false
    });
    assert_eq!(ids(&findings_of(&spec)), BTreeSet::new());
}

#[test]
fn a_reserved_label_of_the_profile_is_told() {
    let spec = form::decode(&sound()).unwrap();
    let labels = BTreeMap::from([("sandbox.coreweave.com/x".to_owned(), "y".to_owned())]);
    let subject = Subject {
        display_name: "agents",
        labels: &labels,
        spec: &spec,
    };
    let found = lint(subject);
    assert_eq!(ids(&found), BTreeSet::from(["reserved-key"]));
    assert_eq!(
        found[0].path.to_string(),
        "labels[\"sandbox.coreweave.com/x\"]"
    );
}

proptest! {
    #[test]
    fn any_profile_can_be_advised(spec in testing::spec()) {
        let subject = Subject { display_name: "x", labels: &BTreeMap::new(), spec: &spec };
        for finding in lint(subject) {
            let at = finding.path.steps().first().cloned();
            let doc = [Some("spec"), Some("labels")].map(|key| key.map(|key| crate::violation::Step::Key(key.to_owned())));
            prop_assert!(doc.contains(&at), "{}", finding.path);
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lint"))
}

#[test]
fn every_rule_has_a_page_and_every_page_a_rule() {
    let pages = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect::<BTreeSet<_>>();
    let rules = Rule::ALL.iter().map(|rule| format!("{rule}.md"));
    assert_eq!(pages, rules.collect());
}

#[test]
fn a_page_and_the_index_tell_the_severity_of_the_rule() {
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for &rule in Rule::ALL {
        let page = fs::read_to_string(folder().join(format!("{rule}.md"))).unwrap();
        let severity = rule.severity().as_str();
        assert!(page.starts_with(&format!("# {rule}\n")), "{rule}");
        assert!(
            page.contains(&format!("\n|---|---|\n| {severity} | `")),
            "{rule}"
        );
        for part in ["\n## Why\n", "\n## What to do\n"] {
            assert!(page.contains(part), "{rule} lacks {part:?}");
        }
        let row = format!("| [{rule}]({rule}.md) | {severity} | ");
        assert!(
            index.contains(&row),
            "{rule} is not in the index as {severity}"
        );
    }
}
