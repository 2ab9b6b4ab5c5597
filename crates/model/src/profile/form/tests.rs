use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::profile::NamespaceStrategy;
use crate::testing;

fn violations(spec: &Value) -> Vec<String> {
    match decode(spec) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(Violation::to_string).collect(),
    }
}

fn patch_violations(patch: &Value) -> Vec<String> {
    match decode_patch(patch) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(Violation::to_string).collect(),
    }
}

/// A spec with every field that there is.
fn full() -> Value {
    json!({
        "container_image": "ghcr.io/myorg/python-ds:3.11-pytorch-2.3",
        "runtime_class": "kata-qemu-nvidia-gpu",
        "resource_defaults": {
            "cpuRequest": "1", "memoryRequest": "2Gi", "cpuLimit": "4", "memoryLimit": "8Gi",
        },
        "resource_ceiling": { "cpu": "8", "memory": "16Gi", "gpu": 8 },
        "instance_types": ["h100", "gd-8xh100ib-i128"],
        "node_selector": { "gpu": "h100" },
        "tags": ["ml", "production"],
        "namespace": {
            "strategy": "static",
            "namespacePrefix": "sb-",
            "staticNamespace": "shared",
            "autoCreate": false,
            "labels": { "team": "ml" },
            "annotations": { "example.com/owner": "the ML team" },
        },
        "network": {
            "egress": {
                "default": "ci-allowlist",
                "modes": {
                    "ci-allowlist": {
                        "type": "allowlist", "cidrs": ["140.82.112.0/20", "2001:db8::/32"],
                    },
                    "deny-all": { "type": "none" },
                    "internet": { "type": "internet" },
                },
            },
            "ingress": {
                "internal": { "scope": "org", "service": { "serviceType": "ClusterIP" } },
                "public": {
                    "scope": "any",
                    "expectsExternalAddress": true,
                    "service": {
                        "serviceType": "LoadBalancer",
                        "serviceSelectorAnnotation": {
                            "key": "metallb.universe.tf/address-pool", "value": "public",
                        },
                        "dnsAnnotation": {
                            "key": "external-dns.alpha.kubernetes.io/hostname",
                            "value": "sandboxes.example.com",
                        },
                    },
                    "ingress": {
                        "controllerName": "nginx",
                        "template": "{{.SandboxID}}.sandboxes.example.com",
                    },
                },
            },
        },
        "pod": {
            "metadata": { "labels": { "app": "agent" }, "annotations": { "owner": "ml-platform" } },
            "spec": {
                "volumes": [{ "name": "scratch", "emptyDir": {} }],
                "securityContext": { "runAsNonRoot": true },
            },
            "placement": { "instanceTypes": ["h100"] },
        },
    })
}

#[test]
fn a_spec_with_every_field_prints_as_it_was_written() {
    let spec = decode(&full()).unwrap();
    assert_eq!(Value::Object(encode(&spec)), full());
}

#[test]
fn the_full_example_has_every_field() {
    let full = full();
    for field in FIELDS {
        assert!(full.get(field).is_some(), "{field}");
    }
}

#[test]
fn the_profiles_that_people_write_are_valid_and_come_back_as_they_were() {
    let deny_all = json!({ "type": "none" });
    for spec in [
        json!({
            "namespace": { "strategy": "per-user" },
            "network": { "egress": { "default": "deny-all", "modes": { "deny-all": deny_all } } },
        }),
        json!({
            "container_image": "ghcr.io/myorg/python-ds:3.11-pytorch-2.3",
            "resource_defaults": {
                "cpuRequest": "1", "memoryRequest": "2Gi", "cpuLimit": "4", "memoryLimit": "8Gi",
            },
            "instance_types": ["h100"],
            "node_selector": { "gpu": "h100" },
            "tags": ["ml", "production"],
        }),
        json!({ "namespace": {
            "strategy": "per-user", "namespacePrefix": "sb-", "autoCreate": true,
            "labels": { "team": "ml" },
        } }),
        json!({ "network": { "egress": { "default": "ci-allowlist", "modes": {
            "ci-allowlist": { "type": "allowlist", "cidrs": ["140.82.112.0/20", "151.101.0.0/16"] },
        } } } }),
        json!({ "network": { "egress": { "default": "internet", "modes": {
            "deny-all": deny_all, "internet": { "type": "internet" },
        } } } }),
        json!({ "network": { "ingress": {
            "kernel": {
                "scope": "org", "expectsExternalAddress": true,
                "service": { "serviceType": "ClusterIP" },
                "ingress": {
                    "controllerName": "traefik", "template": "{{.SandboxID}}-acme.example.app",
                },
            },
        } } }),
        json!({ "pod": {
            "metadata": { "annotations": {
                "sunk.coreweave.com/partition": "cpu", "sunk.coreweave.com/user-id": "1001",
            } },
            "spec": {
                "schedulerName": "tenant-slurm-slurm-scheduler",
                "terminationGracePeriodSeconds": 24,
            },
        } }),
    ] {
        let decoded = decode(&spec);
        assert_eq!(decoded.map(|spec| Value::Object(encode(&spec))), Ok(spec));
    }
}

#[test]
fn an_empty_spec_inherits_everything() {
    assert_eq!(decode(&json!({})), Ok(ProfileSpec::default()));
    assert!(encode(&ProfileSpec::default()).is_empty());
}

#[test]
fn null_reads_as_absent() {
    let spec = json!({ "tags": null, "network": null, "namespace": { "strategy": null } });
    assert_eq!(decode(&spec), Ok(ProfileSpec::default()));
}

#[test]
fn one_reading_finds_everything() {
    let found = violations(&json!({
        "containerImage": "python:3.11",
        "runtime_class": "Kata",
        "resource_defaults": { "cpuRequest": "2", "cpuLimit": "1", "memoryLimit": "0" },
        "tags": ["a", 5, "a"],
        "network": {
            "egress": { "default": "deny-al", "modes": { "deny-all": { "type": "nothing" } } },
        },
    }));
    assert_eq!(
        found,
        [
            "containerImage is not a field here; did you mean container_image?",
            "runtime_class contains 'K'; allowed are a-z, 0-9, '-' and '.'",
            "resource_defaults.memoryLimit must be more than zero; leave it out to inherit",
            "tags[1] must be text, not a number; put it in quotes",
            "tags[2] repeats item 0 of the list",
            r#"network.egress.modes.deny-all.type must be none, internet, user, org, profile or allowlist, not "nothing""#,
            r#"network.egress.default names the mode "deny-al", which is not among the modes: deny-all; did you mean deny-all?"#,
            "resource_defaults.cpuRequest is 2, which is more than resource_defaults.cpuLimit with 1",
        ]
    );
}

#[test]
fn each_rule_of_the_network_has_its_own_message() {
    let egress = |egress: Value| violations(&json!({ "network": { "egress": egress } }));
    let one = |found: Vec<String>| {
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    for (block, expected) in [
        (
            json!({}),
            "network.egress.modes must hold at least one mode",
        ),
        (
            json!({ "modes": {} }),
            "network.egress.modes must hold at least one mode",
        ),
        (
            json!({ "modes": { "a": { "type": "none" } } }),
            "network.egress.default must name the mode that applies",
        ),
        (
            json!({ "default": "a", "modes": { "a": {} } }),
            "network.egress.modes.a.type is required",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "allowlist" } } }),
            "network.egress.modes.a.cidrs must hold at least one address range",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "allowlist", "cidrs": [] } } }),
            "network.egress.modes.a.cidrs must hold at least one address range",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "none", "cidrs": ["10.0.0.0/8"] } } }),
            "network.egress.modes.a.cidrs is for type allowlist only, and the type is none",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "allowlist", "cidrs": ["10.0.0.7/8"] } } }),
            "network.egress.modes.a.cidrs[0] has bits set behind its prefix; the network is 10.0.0.0/8",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "allowlist", "cidrs": ["1.0.0.0/8", "1.0.0.0/8"] } } }),
            "network.egress.modes.a.cidrs[1] repeats item 0 of the list",
        ),
        (
            json!({ "default": "a", "modes": { "a": { "type": "none" }, "B": { "type": "none" } } }),
            "network.egress.modes.B contains 'B'",
        ),
        (
            json!({ "default": "a", "modes": [] }),
            "network.egress.modes must be a map, not a list",
        ),
    ] {
        let message = one(egress(block));
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn each_rule_of_ingress_has_its_own_message() {
    let level = |level: Value| violations(&json!({ "network": { "ingress": { "x": level } } }));
    for (block, expected) in [
        (json!({}), "network.ingress.x.scope is required"),
        (
            json!({ "scope": "org", "expectsExternalAddress": true }),
            "network.ingress.x.expectsExternalAddress waits for an address that a ClusterIP service never gets",
        ),
        (
            json!({ "scope": "org", "service": { "dnsAnnotation": { "key": "a" } } }),
            "network.ingress.x.service.dnsAnnotation.value is required",
        ),
        (
            json!({ "scope": "org", "service": { "dnsAnnotation": { "key": "sandbox.coreweave.com/x", "value": "" } } }),
            "network.ingress.x.service.dnsAnnotation is reserved",
        ),
        (
            json!({ "scope": "org", "ingress": { "template": "{{.SandboxID}}.x" } }),
            "network.ingress.x.ingress.controllerName is required",
        ),
        (
            json!({ "scope": "org", "ingress": { "controllerName": "nginx", "template": "x.y" } }),
            "network.ingress.x.ingress.template must contain {{.SandboxID}}",
        ),
        (
            json!({ "scope": "org", "service": { "type": "ClusterIP" } }),
            "network.ingress.x.service.type is not a field here",
        ),
    ] {
        let found = level(block);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn each_rule_of_the_namespace_has_its_own_message() {
    for (block, expected) in [
        (
            json!({ "strategy": "static" }),
            "namespace.staticNamespace is required",
        ),
        (
            json!({ "strategy": "per-user", "staticNamespace": "x" }),
            "namespace.staticNamespace has an effect only with strategy static",
        ),
        (
            json!({ "staticNamespace": "x" }),
            "namespace.staticNamespace has an effect only with strategy static",
        ),
        (
            json!({ "strategy": "static", "staticNamespace": "X" }),
            "namespace.staticNamespace contains 'X'",
        ),
        (
            json!({ "strategy": "peruser" }),
            "namespace.strategy must be per-user, per-org, per-profile or static, not \"peruser\"; did you mean per-user?",
        ),
        (
            json!({ "namespacePrefix": "a-very-long-prefix-of-names" }),
            "namespace.namespacePrefix has 27 characters",
        ),
        (
            json!({ "labels": { "a b": "x" } }),
            r#"namespace.labels["a b"] must be a key such as"#,
        ),
        (
            json!({ "labels": { "a": "x y" } }),
            "namespace.labels.a must be at most 63 letters",
        ),
        (
            json!({ "annotations": { "sandbox.coreweave.com/user-id": "ada" } }),
            r#"namespace.annotations["sandbox.coreweave.com/user-id"] is reserved"#,
        ),
    ] {
        let found = violations(&json!({ "namespace": block }));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn quantities_may_be_numbers_as_long_as_they_are_exact() {
    let limit = |limit: Value| decode(&json!({ "resource_defaults": { "cpuLimit": limit } }));
    let text = |spec: ProfileSpec| spec.resource_defaults.cpu_limit.map(|q| q.to_string());
    assert_eq!(limit(json!(4)).map(text), Ok(Some("4".to_owned())));
    assert_eq!(limit(json!(0.5)).map(text), Ok(Some("0.5".to_owned())));
    assert!(limit(json!(-1)).is_err());
    assert!(limit(json!(0.123_456_789_012_345_68)).is_err());
    assert!(limit(json!(true)).is_err());
}

#[test]
fn amounts_that_no_machine_has_are_refused() {
    for (field, bad) in [
        ("cpuLimit", "1e30"),
        ("memoryLimit", "9Ei"),
        ("memoryLimit", "400m"),
        ("memoryRequest", "0.5"),
        ("cpuLimit", "0"),
    ] {
        let found = violations(&json!({ "resource_defaults": { field: bad } }));
        assert_eq!(found.len(), 1, "{field} {bad}: {found:?}");
    }
    assert!(decode(&json!({ "resource_defaults": { "cpuRequest": "0" } })).is_ok());
    assert!(decode(&json!({ "resource_ceiling": { "gpu": 4_294_967_296_u64 } })).is_err());
}

#[test]
fn a_default_above_its_ceiling_is_refused() {
    let found = violations(&json!({
        "resource_defaults": { "memoryRequest": "4Gi" },
        "resource_ceiling": { "memory": "2Gi" },
    }));
    assert_eq!(
        found,
        [
            "resource_defaults.memoryRequest is 4Gi, which is more than resource_ceiling.memory with 2Gi"
        ]
    );
}

#[test]
fn everything_has_a_bound() {
    let many = |count: usize| (0..count).map(|n| format!("x{n}")).collect::<Vec<_>>();
    let map = |count: usize, value: Value| {
        let entries = many(count).into_iter().map(|key| (key, value.clone()));
        Value::Object(entries.collect())
    };
    let mode = json!({ "type": "none" });
    let level = json!({ "scope": "org" });
    let ranges = |count: usize| {
        (0..count)
            .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
            .collect::<Vec<_>>()
    };
    let at = |extra: usize| {
        [
            json!({ "tags": many(TAGS_MAX + extra) }),
            json!({ "instance_types": many(INSTANCE_TYPES_MAX + extra) }),
            json!({ "node_selector": map(LABELS_MAX + extra, json!("v")) }),
            json!({ "network": { "ingress": map(INGRESS_LEVELS_MAX + extra, level.clone()) } }),
            json!({ "network": { "egress": {
                "default": "x0", "modes": map(EGRESS_MODES_MAX + extra, mode.clone()),
            } } }),
            json!({ "network": { "egress": { "default": "x", "modes": {
                "x": { "type": "allowlist", "cidrs": ranges(CIDRS_MAX + extra) },
            } } } }),
        ]
    };
    for good in at(0) {
        assert_eq!(violations(&good), Vec::<String>::new());
    }
    for bad in at(1) {
        let found = decode(&bad).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].kind, ViolationKind::TooMany);
    }
}

#[test]
fn a_pod_patch_has_a_size_and_a_depth() {
    let size = |bytes: usize| {
        let frame = json!({ "metadata": { "annotations": { "k": "" } } }).to_string();
        let value = "v".repeat(bytes - frame.len());
        json!({ "pod": { "metadata": { "annotations": { "k": value } } } })
    };
    assert_eq!(violations(&size(POD_BYTES_MAX)), Vec::<String>::new());
    assert_eq!(
        violations(&size(POD_BYTES_MAX + 1)),
        ["pod has 65537 bytes; at most 65536 are allowed"]
    );
    let mut deep = json!(1);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    assert_eq!(
        violations(&json!({ "pod": { "spec": deep.clone() } })),
        ["pod is nested more than 32 levels deep"]
    );
    assert_eq!(
        patch_violations(&json!({ "pod": { "spec": deep } })),
        ["is nested more than 33 levels deep"]
    );
}

#[test]
fn a_patch_may_remove_any_field() {
    for path in ["network", "tags", "namespace", "pod", "resource_defaults"] {
        assert_eq!(
            patch_violations(&json!({ path: null })),
            Vec::<String>::new()
        );
    }
    let patch = json!({
        "network": {
            "egress": { "default": "internet", "modes": { "deny-all": null } },
            "ingress": { "public": { "service": { "dnsAnnotation": { "value": "x" } } } },
        },
        "namespace": { "staticNamespace": "shared" },
        "pod": { "spec": { "containers": null } },
    });
    let decoded = decode_patch(&patch).unwrap();
    assert_eq!(Value::Object(decoded.as_map().clone()), patch);
}

#[test]
fn the_leaves_of_a_patch_are_checked() {
    let found = patch_violations(&json!({
        "runtimeClass": "x",
        "resource_defaults": { "cpuLimit": "lots" },
        "network": { "egress": { "modes": { "ci": { "cidrs": ["10.0.0.0/33"] } } } },
    }));
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(patch_violations(&json!([])), ["must be a map, not a list"]);
    assert_eq!(patch_violations(&json!(null)).len(), 1);
}

#[test]
fn a_patch_has_a_size() {
    let patch = json!({ "pod": { "metadata": { "annotations": { "k": "v".repeat(SpecPatch::BYTES_MAX) } } } });
    assert_eq!(patch_violations(&patch).len(), 1);
}

#[test]
fn only_a_merge_may_hold_a_namespace_without_effect() {
    let spec = json!({ "namespace": { "strategy": "per-org", "staticNamespace": "left-over" } });
    let merged = decode_merged(&spec).unwrap();
    assert_eq!(merged.namespace.strategy, Some(NamespaceStrategy::PerOrg));
    assert!(decode(&spec).is_err());
}

/// Any JSON, with keys that have a meaning here more often than not.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9./:-]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["static", "allowlist", "org", "4Gi"]).prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "network",
        "egress",
        "modes",
        "default",
        "type",
        "cidrs",
        "ingress",
        "scope",
        "service",
        "pod",
        "spec",
        "metadata",
        "labels",
        "namespace",
        "strategy",
        "tags",
        "resource_defaults",
        "cpuLimit",
        "containers",
        "x",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_spec_reads_as_it_was_printed(spec in testing::spec()) {
        let encoded = Value::Object(encode(&spec));
        let decoded = decode(&encoded);
        prop_assert_eq!(decoded.as_ref(), Ok(&spec));
        // Equal quantities may be spelt differently; the spelling must stay, too.
        prop_assert_eq!(Value::Object(encode(&decoded.unwrap())), encoded);
    }

    #[test]
    fn the_printed_form_of_a_spec_is_a_patch(spec in testing::spec()) {
        prop_assert!(decode_patch(&Value::Object(encode(&spec))).is_ok());
    }

    #[test]
    fn generated_patches_read_back(patch in testing::spec_patch()) {
        let again = decode_patch(&Value::Object(patch.as_map().clone()));
        prop_assert_eq!(again, Ok(patch));
    }

    #[test]
    fn no_document_makes_the_reader_panic(value in any_json()) {
        if let Ok(spec) = decode(&value) {
            prop_assert_eq!(decode(&Value::Object(encode(&spec))), Ok(spec));
        }
        let _ = decode_patch(&value);
    }
}
