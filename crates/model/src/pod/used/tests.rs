use serde_json::json;

use super::*;
use crate::profile::form;

fn patch(pod: &Value) -> PodPatch {
    form::decode(&json!({ "pod": pod })).unwrap().pod.unwrap()
}

fn used(pod: &Value) -> Vec<String> {
    used_fields(&patch(pod)).into_iter().collect()
}

#[test]
fn used_fields_are_named_down_to_what_is_set() {
    assert_eq!(
        used(&json!({
            "metadata": { "labels": { "app": "x" }, "annotations": {} },
            "spec": {
                "schedulerName": "slurm",
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "tolerations": [{ "key": "gpu" }],
                "volumes": [{ "name": "scratch", "emptyDir": {} }],
                "containers": [
                    { "name": "", "env": [{ "name": "A", "value": "b" }], "resources": {} },
                    { "name": "side", "image": "x" },
                ],
            },
            "placement": { "instanceTypes": ["h100"] },
        })),
        [
            "metadata.labels",
            "spec.containers[''].env[*].value",
            "spec.containers[*].image",
            "spec.schedulerName",
            "spec.securityContext.runAsNonRoot",
            "spec.securityContext.seccompProfile.type",
            "spec.tolerations",
            "spec.volumes[*].emptyDir",
        ]
    );
}

#[test]
fn a_patch_that_sets_nothing_uses_nothing() {
    for pod in [
        json!({}),
        json!({ "spec": { "containers": [{ "name": "", "resources": {} }] } }),
        json!({ "metadata": { "labels": { "sandbox.coreweave.com/x": "dropped" } } }),
        json!({ "placement": { "instanceTypes": ["h100"] } }),
    ] {
        assert_eq!(used(&pod), Vec::<String>::new(), "{pod}");
    }
}

#[test]
fn removals_and_bare_items_are_uses_as_well() {
    assert_eq!(
        used(&json!({ "spec": {
            "hostname": null,
            "imagePullSecrets": [{ "name": "registry" }],
            "affinity": { "$patch": "delete" },
        } })),
        ["spec.affinity", "spec.hostname", "spec.imagePullSecrets[*]"]
    );
}

#[test]
fn support_for_a_field_is_support_for_all_below_it() {
    let main_env = patch(&json!({ "spec": { "containers": [
        { "name": "", "env": [{ "name": "A", "value": "b" }] },
    ] } }));
    let only = |paths: &[&str]| {
        PodFieldSupport::Only(paths.iter().map(|path| (*path).to_owned()).collect())
    };
    assert!(PodFieldSupport::All.supports(&main_env));
    assert!(only(&["spec.containers['']"]).supports(&main_env));
    assert!(only(&["spec.containers['']", "metadata"]).supports(&main_env));
    assert!(only(&["spec.containers[''].env"]).supports(&main_env));
    assert!(only(&["spec"]).supports(&main_env));
    for paths in [
        &[][..],
        &["spec.containers[*]"],
        &["spec.containers[''].e"],
        &["metadata"],
    ] {
        assert_eq!(
            only(paths).unsupported(&main_env),
            ["spec.containers[''].env[*].value"],
            "{paths:?}"
        );
    }
}
