use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::profile::form;
use crate::testing;
use crate::violation::Violation;

fn patch(pod: &Value) -> PodPatch {
    form::decode(&json!({ "pod": pod })).unwrap().pod.unwrap()
}

fn violations(spec: &Value) -> Vec<String> {
    match form::decode(&json!({ "pod": { "spec": spec } })) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(Violation::to_string).collect(),
    }
}

/// A pod as a backend could generate it.
fn generated() -> Value {
    json!({
        "metadata": {
            "name": "sandbox",
            "labels": { "sandbox.coreweave.com/sandbox-id": "1" },
        },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main",
                "image": "python:3.11",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

#[test]
fn the_container_without_a_name_is_the_main_one() {
    let mut pod = generated();
    let patch = patch(&json!({
        "metadata": {
            "labels": { "app": "agent", "sandbox.coreweave.com/sandbox-id": "2" },
            "annotations": { "owner": "me" },
        },
        "spec": {
            "containers": [
                { "name": "", "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }] },
                { "name": "side", "image": "busybox" },
            ],
            "volumes": [{ "name": "scratch", "emptyDir": {} }],
        },
    }));
    let dropped = apply(&mut pod, &patch, "main");
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        pod,
        json!({
            "metadata": {
                "name": "sandbox",
                "labels": { "sandbox.coreweave.com/sandbox-id": "1", "app": "agent" },
                "annotations": { "owner": "me" },
            },
            "spec": {
                "automountServiceAccountToken": false,
                "containers": [
                    {
                        "name": "main",
                        "image": "python:3.11",
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                        },
                        "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
                    },
                    { "name": "side", "image": "busybox" },
                ],
                "volumes": [{ "name": "scratch", "emptyDir": {} }],
            },
        })
    );
}

fn assert_one(spec: &Value, expected: &str) {
    let found = violations(spec);
    assert_eq!(found.len(), 1, "{spec}: {found:?}");
    assert!(found[0].starts_with(expected), "{found:?}");
}

#[test]
fn each_broken_rule_of_shape_has_its_own_message() {
    let main = |fields: Value| json!({ "containers": [fields] });
    for (spec, expected) in [
        (
            json!({ "securityContex": {} }),
            "pod.spec.securityContex is not a field here; did you mean securityContext?",
        ),
        (
            json!({ "hostNetwork": "yes" }),
            "pod.spec.hostNetwork must be true or false, not text",
        ),
        (
            json!({ "terminationGracePeriodSeconds": "24" }),
            "pod.spec.terminationGracePeriodSeconds must be a whole number, not text",
        ),
        (
            json!({ "containers": {} }),
            "pod.spec.containers must be a list, not a map",
        ),
        (
            main(json!({ "image": "x" })),
            "pod.spec.containers[0] needs name",
        ),
        (
            main(json!({ "name": "A" })),
            "pod.spec.containers[0].name contains 'A'",
        ),
        (
            json!({ "containers": [{ "name": "a" }, { "name": "a" }] }),
            "pod.spec.containers[1] is the same as item 0",
        ),
        (
            main(json!({ "name": "a", "ports": [{ "name": "http" }] })),
            "pod.spec.containers[0].ports[0] needs containerPort",
        ),
        (
            main(json!({ "name": "a", "resources": { "limits": { "cpu": "lots" } } })),
            "pod.spec.containers[0].resources.limits.cpu must be a decimal number",
        ),
        (
            main(json!({ "name": "", "resources": { "limits": { "cpu": "4" } } })),
            "pod.spec.containers[0].resources.limits.cpu is decided by resource_defaults",
        ),
        (
            main(json!({ "name": "", "resources": { "limits": { "nvidia.com/gpu": 8 } } })),
            r#"pod.spec.containers[0].resources.limits["nvidia.com/gpu"] is decided by"#,
        ),
    ] {
        assert_one(&spec, expected);
    }
}

#[test]
fn the_main_container_and_the_rules_of_a_sandbox_stay() {
    let main = |fields: Value| json!({ "containers": [fields] });
    for (spec, expected) in [
        (
            main(json!({ "name": "", "$patch": "delete" })),
            "pod.spec.containers[0] would take away the main container",
        ),
        (
            main(json!({ "$patch": "replace" })),
            "pod.spec.containers[0] would take away the main container",
        ),
        (
            json!({ "containers": null }),
            "pod.spec.containers would take away the main container",
        ),
        (
            json!({ "$patch": "delete" }),
            r#"pod.spec["$patch"] is not supported here"#,
        ),
        (
            json!({ "$setElementOrder/containers": [] }),
            r#"pod.spec["$setElementOrder/containers"] is not supported here"#,
        ),
        (
            json!({ "securityContext": { "$patch": "remove" } }),
            r#"pod.spec.securityContext["$patch"] must be merge, replace or delete"#,
        ),
        (
            json!({ "volumes": [{ "name": "x", "secret": { "items": [{ "$patch": "delete" }] } }] }),
            r#"pod.spec.volumes[0].secret.items[0]["$patch"] is not supported here"#,
        ),
        (
            json!({ "ephemeralContainers": [] }),
            "pod.spec.ephemeralContainers can only be added to a pod that runs",
        ),
        (
            json!({ "restartPolicy": "Always" }),
            "pod.spec.restartPolicy must be Never",
        ),
    ] {
        assert_one(&spec, expected);
    }
}

#[test]
fn good_patches_have_the_shape_of_a_pod() {
    for spec in testing::pods::good_specs() {
        assert_eq!(violations(&spec), Vec::<String>::new());
    }
}

proptest! {
    #[test]
    fn patching_twice_is_patching_once(patch in testing::pod()) {
        let mut once = generated();
        apply(&mut once, &patch, "main");
        let mut twice = once.clone();
        apply(&mut twice, &patch, "main");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_patch_that_weakens_nothing_makes_a_pod_that_is_not_weak(patch in testing::pod()) {
        let mut pod = generated();
        apply(&mut pod, &patch, "main");
        prop_assert_eq!(escapes_in_pod(&pod), []);
        prop_assert_eq!(&pod["spec"]["automountServiceAccountToken"], &json!(false));
        let main = &pod["spec"]["containers"][0];
        prop_assert_eq!(&main["name"], &json!("main"));
        let context = &main["securityContext"];
        prop_assert_eq!(&context["allowPrivilegeEscalation"], &json!(false));
        prop_assert!(context["capabilities"]["drop"].as_array().unwrap().contains(&json!("ALL")));
    }
}
