use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::clock::Timestamp;
use crate::id::{ClusterId, RunnerUid};
use crate::name::{ClusterName, DisplayName, OrganizationId, RunnerGroupId, Zone};
use crate::runner::{Bindings, Cluster, RunnerSettings, SpecPatch};
use crate::testing;

fn spec(value: &Value) -> ProfileSpec {
    form::decode(value).unwrap()
}

fn binding(overrides: Option<SpecPatch>) -> Binding {
    Binding {
        profile: ProfileId::new(Uuid::from_u128(1)),
        alias: Some(ProfileName::new("ci").unwrap()),
        is_default: true,
        overrides,
    }
}

fn runner(zone_defaults: ProfileSpec) -> Runner {
    Runner {
        uid: RunnerUid::new(Uuid::from_u128(2)),
        organization: OrganizationId::new("acme").unwrap(),
        display_name: String::new(),
        id: RunnerId::new("gpu-1").unwrap(),
        zone: Zone::new("US-EAST-04A").unwrap(),
        cluster: Cluster {
            id: ClusterId::new(Uuid::from_u128(3)),
            name: ClusterName::new("cluster").unwrap(),
        },
        group: RunnerGroupId::new("default").unwrap(),
        settings: RunnerSettings {
            zone_defaults,
            ..RunnerSettings::default()
        },
        bindings: Bindings::new(vec![binding(None)]).unwrap(),
        revision: Revision(7),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
        deleting_since: None,
        drain_until: None,
    }
}

fn profile(spec: ProfileSpec) -> Profile {
    Profile {
        id: ProfileId::new(Uuid::from_u128(1)),
        organization: OrganizationId::new("acme").unwrap(),
        display_name: DisplayName::new("Continuous integration").unwrap(),
        description: String::new(),
        labels: BTreeMap::new(),
        spec,
        revision: Revision(3),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}

fn resolved(
    zone_defaults: ProfileSpec,
    spec: ProfileSpec,
    overrides: Option<SpecPatch>,
) -> Result<ResolvedSpec, Vec<Violation>> {
    resolve(&runner(zone_defaults), &binding(overrides), &profile(spec))
}

fn layered(zone: &Value, profile: &Value, patch: &Value) -> Result<ResolvedSpec, Vec<String>> {
    let patch = form::decode_patch(patch).unwrap();
    resolved(spec(zone), spec(profile), Some(patch))
        .map_err(|violations| violations.iter().map(Violation::to_string).collect())
}

fn origin(resolved: &ResolvedSpec, path: &[&str]) -> String {
    let path = path
        .iter()
        .fold(FieldPath::root(), |path, key| path.key(*key));
    let layer = resolved.provenance.get(&path);
    layer.map(ToString::to_string).unwrap_or_default()
}

#[test]
fn later_layers_win_field_by_field() {
    let outcome = layered(
        &json!({ "container_image": "a", "runtime_class": "runc", "node_selector": { "x": "1" } }),
        &json!({ "container_image": "b", "tags": ["t"], "node_selector": { "y": "2" } }),
        &json!({ "runtime_class": "gvisor", "tags": null, "node_selector": { "x": "3" } }),
    )
    .unwrap();
    assert_eq!(
        Value::Object(form::encode(&outcome.spec)),
        json!({
            "container_image": "b",
            "runtime_class": "gvisor",
            "node_selector": { "x": "3", "y": "2" },
        })
    );
    let profile = r#"profile "ci", revision 3"#;
    let overrides = "the overrides of the binding on runner gpu-1";
    assert_eq!(origin(&outcome, &["container_image"]), profile);
    assert_eq!(origin(&outcome, &["runtime_class"]), overrides);
    assert_eq!(origin(&outcome, &["node_selector", "x"]), overrides);
    assert_eq!(origin(&outcome, &["node_selector", "y"]), profile);
    assert_eq!(origin(&outcome, &["tags"]), "");
}

#[test]
fn a_profile_with_nothing_set_gets_the_zone_defaults() {
    let zone = json!({
        "container_image": "python:3.11",
        "network": { "egress": { "default": "out", "modes": { "out": { "type": "internet" } } } },
    });
    let outcome = layered(&zone, &json!({}), &json!({})).unwrap();
    assert_eq!(Value::Object(form::encode(&outcome.spec)), zone);
    assert_eq!(
        origin(&outcome, &["network", "egress", "default"]),
        "the zone defaults of runner gpu-1"
    );
}

#[test]
fn zone_defaults_add_no_choice_to_a_profile_that_offers_its_own() {
    let outcome = layered(
        &json!({ "network": {
            "egress": { "default": "out", "modes": { "out": { "type": "internet" } } },
            "ingress": { "public": { "scope": "any" } },
        } }),
        &json!({ "network": {
            "egress": { "default": "closed", "modes": { "closed": { "type": "none" } } },
            "ingress": { "internal": { "scope": "org" } },
        } }),
        &json!({}),
    )
    .unwrap();
    let modes = outcome.spec.egress().modes().keys();
    assert_eq!(
        modes.map(ToString::to_string).collect::<Vec<_>>(),
        ["closed"]
    );
    let levels = outcome.spec.ingress().keys();
    assert_eq!(
        levels.map(ToString::to_string).collect::<Vec<_>>(),
        ["internal"]
    );
}

#[test]
fn overrides_change_single_modes() {
    let outcome = layered(
        &json!({}),
        &json!({ "network": { "egress": { "default": "out", "modes": {
            "out": { "type": "internet" }, "closed": { "type": "none" },
        } } } }),
        &json!({ "network": { "egress": { "default": "closed", "modes": { "out": null } } } }),
    )
    .unwrap();
    assert_eq!(outcome.spec.egress().default_name().as_str(), "closed");
    assert_eq!(outcome.spec.egress().modes().len(), 1);
}

#[test]
fn a_field_with_a_default_is_from_the_layer_around_it() {
    let outcome = layered(
        &json!({}),
        &json!({ "network": { "ingress": { "internal": { "scope": "org" } } } }),
        &json!({ "network": { "ingress": { "public": { "scope": "any" } } } }),
    )
    .unwrap();
    let service = |level| {
        origin(
            &outcome,
            &["network", "ingress", level, "service", "serviceType"],
        )
    };
    assert_eq!(service("internal"), r#"profile "ci", revision 3"#);
    assert_eq!(
        service("public"),
        "the overrides of the binding on runner gpu-1"
    );
}

#[test]
fn a_static_namespace_ends_with_its_strategy() {
    let outcome = layered(
        &json!({ "namespace": { "strategy": "static", "staticNamespace": "shared" } }),
        &json!({ "namespace": { "strategy": "per-org" } }),
        &json!({}),
    )
    .unwrap();
    assert_eq!(
        Value::Object(form::encode(&outcome.spec)),
        json!({ "namespace": { "strategy": "per-org" } })
    );
    assert_eq!(outcome.provenance.iter().count(), 1);
}

#[test]
fn a_refusal_names_the_layers_that_caused_it() {
    let limit = json!({ "resource_defaults": { "cpuLimit": "1" } });
    let request = json!({ "resource_defaults": { "cpuRequest": "2" } });
    assert_eq!(
        layered(&limit, &request, &json!({})).unwrap_err(),
        [
            r#"resource_defaults.cpuRequest is 2, which is more than resource_defaults.cpuLimit with 1 (set by profile "ci", revision 3; resource_defaults.cpuLimit is set by the zone defaults of runner gpu-1)"#
        ]
    );
    let modes = json!({ "network": { "egress": { "default": "out", "modes": {
        "out": { "type": "internet" }, "closed": { "type": "none" },
    } } } });
    let gone = json!({ "network": { "egress": { "modes": { "out": null } } } });
    assert_eq!(
        layered(&json!({}), &modes, &gone).unwrap_err(),
        [
            r#"network.egress.default names the mode "out", which is not among the modes: closed (set by profile "ci", revision 3)"#
        ]
    );
    let gone = json!({ "network": { "egress": { "default": null } } });
    assert_eq!(
        layered(&json!({}), &modes, &gone).unwrap_err(),
        [
            "network.egress.default must name the mode that applies when none is asked for: closed or out (as left by the overrides of the binding on runner gpu-1)"
        ]
    );
}

#[test]
fn a_patch_that_leaves_ranges_behind_is_refused() {
    let profile = json!({ "network": { "egress": { "default": "ci", "modes": {
        "ci": { "type": "allowlist", "cidrs": ["192.0.2.0/24"] },
    } } } });
    let widen = json!({ "network": { "egress": { "modes": { "ci": { "type": "internet" } } } } });
    let found = layered(&json!({}), &profile, &widen).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("network.egress.modes.ci.cidrs is for type allowlist only"));
}

#[test]
fn a_runner_that_enforces_limits_wants_both() {
    let mut runner = runner(ProfileSpec::default());
    runner.settings.enforce_resource_limits = true;
    let with_cpu = spec(&json!({ "resource_defaults": { "cpuLimit": "1" } }));
    let violations = resolve(&runner, &binding(None), &profile(with_cpu)).unwrap_err();
    assert_eq!(violations.len(), 1);
    assert_eq!(
        violations[0].path,
        FieldPath::from(["resource_defaults", "memoryLimit"])
    );
}

#[test]
fn an_escape_is_refused_on_a_runner_that_does_not_allow_it() {
    let overrides = json!({ "pod": { "spec": { "volumes": [
        { "name": "host", "hostPath": { "path": "/" } },
    ] } } });
    assert_eq!(
        layered(&json!({}), &json!({}), &overrides).unwrap_err(),
        [
            "pod.spec.volumes[0].hostPath opens files of the host to the sandbox; use an emptyDir or a persistentVolumeClaim (set by the overrides of the binding on runner gpu-1)"
        ]
    );
    let mut runner = runner(ProfileSpec::default());
    runner.settings.allow_privileged_profile_annotations = true;
    let binding = binding(Some(form::decode_patch(&overrides).unwrap()));
    assert!(resolve(&runner, &binding, &profile(ProfileSpec::default())).is_ok());
}

#[test]
fn every_known_escape_is_refused_in_each_layer() {
    for (pod, place) in testing::pods::escapes() {
        let layer = json!({ "pod": { "spec": pod } });
        let nothing = json!({});
        assert!(layered(&layer, &nothing, &nothing).is_err(), "{layer}");
        assert!(layered(&nothing, &layer, &nothing).is_err(), "{layer}");
        // Outside of lists, what overrides remove is taken from the profile.
        let removes = layer.to_string().contains("null") && !place.contains('[');
        assert_eq!(
            layered(&nothing, &nothing, &layer).is_ok(),
            removes,
            "{layer}"
        );
    }
}

#[test]
fn a_host_name_too_long_for_the_static_namespace_is_refused() {
    let found = layered(
        &json!({}),
        &json!({
            "namespace": { "strategy": "static", "staticNamespace": "n".repeat(30) },
            "network": { "ingress": { "x": { "scope": "any", "ingress": {
                "controllerName": "nginx", "template": "{{.SandboxID}}-{{.Namespace}}.example.com",
            } } } },
        }),
        &json!({}),
    )
    .unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("too long for DNS"), "{found:?}");
}

#[test]
fn the_runtime_class_falls_back_to_that_of_the_runner() {
    let class = |name: &str| Some(RuntimeClass::new(name).unwrap());
    let runner = DeploymentOverrides {
        cpu_runtime_class: class("gvisor"),
        gpu_runtime_class: class("nvidia"),
        ..DeploymentOverrides::default()
    };
    let plain = layered(&json!({}), &json!({}), &json!({})).unwrap();
    assert_eq!(
        plain.runtime_class(&runner, false),
        class("gvisor").as_ref()
    );
    assert_eq!(plain.runtime_class(&runner, true), class("nvidia").as_ref());
    assert_eq!(
        plain.runtime_class(&DeploymentOverrides::default(), true),
        None
    );
    let pinned = layered(&json!({}), &json!({ "runtime_class": "kata" }), &json!({})).unwrap();
    assert_eq!(pinned.runtime_class(&runner, true), class("kata").as_ref());
}

#[test]
fn a_request_is_one_more_layer() {
    let base = layered(
        &json!({}),
        &json!({ "container_image": "a", "resource_defaults": { "cpuLimit": "4" } }),
        &json!({}),
    )
    .unwrap();
    let wish = spec(&json!({ "container_image": "b", "resource_defaults": { "cpuRequest": "1" } }));
    let outcome = base.overlay(&wish, Layer::Request).unwrap();
    assert_eq!(origin(&outcome, &["container_image"]), "the request");
    assert_eq!(
        origin(&outcome, &["resource_defaults", "cpuLimit"]),
        r#"profile "ci", revision 3"#
    );
    let greedy = spec(&json!({ "resource_defaults": { "cpuRequest": "5" } }));
    let violations = base.overlay(&greedy, Layer::Request).unwrap_err();
    assert!(violations[0].description.contains("set by the request"));
}

#[test]
fn a_profile_without_an_alias_goes_by_its_display_name() {
    let unnamed = Binding {
        alias: None,
        ..binding(None)
    };
    let profile = profile(spec(&json!({ "tags": ["t"] })));
    let outcome = resolve(&runner(ProfileSpec::default()), &unnamed, &profile).unwrap();
    assert_eq!(
        origin(&outcome, &["tags"]),
        r#"profile "Continuous integration", revision 3"#
    );
}

fn leaf<'a>(value: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    path.steps()
        .iter()
        .try_fold(value, |value, step| match step {
            crate::violation::Step::Key(key) => value.get(key),
            crate::violation::Step::Index(index) => value.get(index),
        })
}

proptest! {
    #[test]
    fn exactly_the_leaves_of_the_outcome_have_a_layer(
        zone in testing::spec(), profile in testing::spec(), patch in testing::spec_patch()
    ) {
        if let Ok(outcome) = resolved(zone, profile, Some(patch)) {
            let mut leaves = merge::leaves(&Value::Object(form::encode(&outcome.spec)));
            leaves.sort();
            let paths = outcome.provenance.iter().map(|(path, _)| path.clone());
            prop_assert_eq!(paths.collect::<Vec<_>>(), leaves);
        }
    }

    #[test]
    fn empty_overrides_change_nothing(zone in testing::spec(), profile in testing::spec()) {
        let without = resolved(zone.clone(), profile.clone(), None);
        let empty = SpecPatch::new(serde_json::Map::new());
        prop_assert_eq!(resolved(zone, profile, Some(empty)), without);
    }

    #[test]
    fn an_empty_layer_changes_nothing(only in testing::spec()) {
        let below = resolved(only.clone(), ProfileSpec::default(), None).map(|r| r.spec);
        let above = resolved(ProfileSpec::default(), only.clone(), None).map(|r| r.spec);
        prop_assert_eq!(below, Ok(only.clone()));
        prop_assert_eq!(above, Ok(only));
    }

    #[test]
    fn what_a_profile_sets_wins_over_the_zone(zone in testing::spec(), profile in testing::spec()) {
        if let Ok(outcome) = resolved(zone, profile.clone(), None) {
            let outcome_form = Value::Object(form::encode(&outcome.spec));
            let profile_form = Value::Object(form::encode(&profile));
            for path in merge::leaves(&profile_form) {
                prop_assert_eq!(leaf(&outcome_form, &path), leaf(&profile_form, &path));
                let is_profile = matches!(outcome.provenance.get(&path), Some(Layer::Profile { .. }));
                prop_assert!(is_profile, "{}", path);
            }
        }
    }

    #[test]
    fn what_the_overrides_set_wins_over_everything(
        zone in testing::spec(), profile in testing::spec(), patch in testing::spec_patch()
    ) {
        if let Ok(outcome) = resolved(zone, profile, Some(patch.clone())) {
            let outcome_form = Value::Object(form::encode(&outcome.spec));
            let patch_form = Value::Object(patch.as_map().clone());
            for path in merge::leaves(&patch_form) {
                let set = leaf(&patch_form, &path).filter(|value| !value.is_null());
                let got = leaf(&outcome_form, &path);
                let has_default = ["service", "serviceType"]
                    .into_iter()
                    .any(|field| path.to_string().ends_with(field));
                let is_settled = path.to_string().ends_with("staticNamespace");
                prop_assert!(got == set || has_default || is_settled, "{}: {:?}", path, got);
                if set.is_some() && got == set {
                    let layer = outcome.provenance.get(&path);
                    prop_assert!(matches!(layer, Some(Layer::Binding { .. })), "{}", path);
                }
            }
        }
    }

    #[test]
    fn a_profile_decides_alone_what_its_users_may_choose(
        zone in testing::spec(), profile in testing::spec()
    ) {
        if let (Some(network), Ok(outcome)) = (profile.network.clone(), resolved(zone, profile, None)) {
            if let Some(egress) = network.egress {
                prop_assert_eq!(outcome.spec.egress(), &egress);
            }
            if !network.ingress.is_empty() {
                prop_assert_eq!(outcome.spec.ingress(), &network.ingress);
            }
        }
    }
}
