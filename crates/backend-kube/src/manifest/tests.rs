//! A golden object for each field of a profile, without a cluster.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a json!() as an argument reads best without a reference"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use palisade_model::policy::{Standing, Target, decide};
use palisade_model::profile::{Exposure, Scope, form};
use palisade_model::sandbox::{
    AppliedExposure, GpuKind, GpuRequest, Launch, MountedFile, Port, Protocol,
};
use palisade_model::testing::{put_under, sample_launch};

use super::*;

pub(crate) mod network;
mod records;

/// A launch under a spec in its structured form.
fn launch_under(spec: Value) -> Launch {
    let spec = form::decode(&spec).expect("the tests use valid profiles");
    let mut launch = sample_launch();
    put_under(&mut launch, spec);
    launch
}

pub(crate) fn pod_of(launch: &Launch) -> Value {
    pod(launch, &Settings::default()).object
}

fn pod_under(spec: Value) -> Value {
    pod_of(&launch_under(spec))
}

pub(crate) fn main_container(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]
}

#[test]
fn a_sandbox_of_the_smallest_profile_is_hardened_and_closed() {
    let owner = Owner {
        name: "record".to_owned(),
        uid: "uid".to_owned(),
    };
    let launch = sample_launch();
    let (objects, dropped) = objects(&launch, &Settings::default(), &[], &owner);
    assert_eq!(dropped, []);
    insta::assert_json_snapshot!(objects);
}

#[test]
fn container_image_is_the_image_of_the_main_container() {
    let image = "ghcr.io/myorg/python-ds:3.11-pytorch-2.3";
    let pod = pod_under(json!({ "container_image": image }));
    assert_eq!(main_container(&pod)["image"], image);
}

#[test]
fn resource_defaults_are_requests_and_limits() {
    let pod = pod_under(json!({ "resource_defaults": {
        "cpuRequest": "1", "memoryRequest": "2Gi", "cpuLimit": "4", "memoryLimit": "8Gi",
    } }));
    let expected = json!({
        "requests": { "cpu": "1", "memory": "2Gi" },
        "limits": { "cpu": "4", "memory": "8Gi" },
    });
    assert_eq!(main_container(&pod)["resources"], expected);
    let some = pod_under(json!({ "resource_defaults": { "cpuRequest": "1" } }));
    let expected = json!({ "requests": { "cpu": "1" } });
    assert_eq!(main_container(&some)["resources"], expected);
}

#[test]
fn runtime_class_is_passed_on_verbatim_and_else_left_to_the_node() {
    let pod = pod_under(json!({ "runtime_class": "kata-qemu" }));
    assert_eq!(pod["spec"]["runtimeClassName"], "kata-qemu");
    assert!(
        pod_under(json!({}))["spec"]
            .get("runtimeClassName")
            .is_none()
    );
}

#[test]
fn instance_types_become_a_node_affinity_and_node_selector_a_node_selector() {
    let pod = pod_under(json!({
        "instance_types": ["h100", "a100"],
        "node_selector": { "gpu": "h100" },
    }));
    assert_eq!(pod["spec"]["nodeSelector"], json!({ "gpu": "h100" }));
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let expected = json!({ "nodeAffinity": { required: { "nodeSelectorTerms": [{
        "matchExpressions": [{
            "key": "node.kubernetes.io/instance-type",
            "operator": "In",
            "values": ["h100", "a100"],
        }],
    }] } } });
    assert_eq!(pod["spec"]["affinity"], expected);
}

#[test]
fn a_patch_of_the_affinity_does_not_widen_the_instance_types() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let disk = json!({ "key": "disk", "operator": "Exists" });
    let pod = pod_under(json!({
        "instance_types": ["h100"],
        "node_selector": { "gpu": "h100" },
        "pod": { "spec": {
            "nodeSelector": { "gpu": "other", "zone": "a" },
            "affinity": { "nodeAffinity": { required: { "nodeSelectorTerms": [
                { "matchExpressions": [disk] },
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] },
            ] } } },
        } },
    }));
    assert_eq!(
        pod["spec"]["nodeSelector"],
        json!({ "gpu": "h100", "zone": "a" })
    );
    let terms = &pod["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"];
    for term in terms.as_array().unwrap() {
        let expressions = term["matchExpressions"].as_array().unwrap();
        let last = expressions.last().unwrap();
        assert_eq!(last["values"], json!(["h100"]), "{term}");
    }
    assert_eq!(terms[0]["matchExpressions"][0], disk);
}

#[test]
fn gpus_are_a_resource_and_their_kind_a_demand_on_the_node() {
    let mut launch = sample_launch();
    let mut of = |kind| {
        launch.resources.gpu = Some(GpuRequest { count: 2, kind });
        pod_of(&launch)
    };
    let any = of(GpuKind::Any);
    let expected = json!({
        "requests": { "nvidia.com/gpu": "2" },
        "limits": { "nvidia.com/gpu": "2" },
    });
    assert_eq!(main_container(&any)["resources"], expected);
    assert!(any["spec"].get("affinity").is_none());
    let demand = |pod: &Value| {
        pod.pointer(
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
             /nodeSelectorTerms/0/matchExpressions/0",
        )
        .cloned()
    };
    let expected = json!({ "key": "gpu.nvidia.com/class", "operator": "In", "values": ["H100"] });
    assert_eq!(
        demand(&of(GpuKind::Type("H100".to_owned()))),
        Some(expected)
    );
    let expected = json!({ "key": "gpu.nvidia.com/vram", "operator": "Gt", "values": ["79"] });
    assert_eq!(demand(&of(GpuKind::MemoryGb(80))), Some(expected));
}

#[test]
fn a_patch_adds_volumes_init_containers_and_settings_of_the_main_container() {
    let pod = pod_under(json!({ "pod": { "spec": {
        "volumes": [{ "name": "scratch", "emptyDir": {} }],
        "initContainers": [
            { "name": "prep", "image": "busybox", "command": ["sh", "-c", "echo prepping"] },
        ],
        "securityContext": { "runAsNonRoot": true },
        "containers": [{
            "name": "",
            "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }],
        }],
    } } }));
    let spec = &pod["spec"];
    assert_eq!(
        spec["volumes"],
        json!([{ "name": "scratch", "emptyDir": {} }])
    );
    assert_eq!(spec["initContainers"][0]["name"], "prep");
    let expected = json!({ "seccompProfile": { "type": "RuntimeDefault" }, "runAsNonRoot": true });
    assert_eq!(spec["securityContext"], expected);
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    let mounts = json!([{ "name": "scratch", "mountPath": "/scratch" }]);
    assert_eq!(main_container(&pod)["volumeMounts"], mounts);
    assert_eq!(main_container(&pod)["image"], "python:3.11");
}

#[test]
fn reserved_keys_of_a_patch_are_dropped_and_reported() {
    let launch = launch_under(json!({ "pod": { "metadata": {
        "labels": { "app": "agent", "sandbox.coreweave.com/sandbox-id": "forged" },
        "annotations": { "owner": "ml-platform", "sandbox.coreweave.com/x": "y" },
    } } }));
    let Made { object, dropped } = pod(&launch, &Settings::default());
    let paths: Vec<String> = dropped.iter().map(|one| one.path.to_string()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(
        paths
            .iter()
            .all(|path| path.contains("sandbox.coreweave.com")),
        "{paths:?}"
    );
    let metadata = &object["metadata"];
    assert_eq!(metadata["labels"]["app"], "agent");
    assert_eq!(
        metadata["labels"][naming::SANDBOX_ID],
        launch.id.to_string()
    );
    assert_eq!(metadata["annotations"], json!({ "owner": "ml-platform" }));
}

#[test]
fn the_request_has_the_last_word_on_annotations() {
    let mut launch = launch_under(json!({ "pod": { "metadata": {
        "annotations": { "owner": "profile", "kept": "yes" },
    } } }));
    let annotations = &mut launch.metadata.annotations;
    annotations.insert("owner".to_owned(), "request".to_owned());
    let expected = json!({ "owner": "request", "kept": "yes" });
    assert_eq!(pod_of(&launch)["metadata"]["annotations"], expected);
}

#[test]
fn a_patch_for_the_slurm_scheduler_is_carried_out() {
    let pod = pod_under(json!({ "pod": {
        "metadata": { "annotations": { "sunk.coreweave.com/partition": "cpu" } },
        "spec": {
            "schedulerName": "tenant-slurm-slurm-scheduler",
            "terminationGracePeriodSeconds": 20,
        },
    } }));
    assert_eq!(pod["spec"]["schedulerName"], "tenant-slurm-slurm-scheduler");
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 20);
    let annotations = json!({ "sunk.coreweave.com/partition": "cpu" });
    assert_eq!(pod["metadata"]["annotations"], annotations);
}

#[test]
fn a_patch_changes_neither_whose_a_sandbox_is_nor_that_it_runs_once() {
    let mut launch = launch_under(json!({ "pod": { "spec": {
        "activeDeadlineSeconds": 100_000,
    } } }));
    launch.max_lifetime = Some(Duration::from_mins(1));
    launch
        .metadata
        .labels
        .insert(naming::USER_ID.to_owned(), "forged".to_owned());
    let pod = pod_of(&launch);
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 660);
    assert_eq!(pod["metadata"]["labels"][naming::USER_ID], "ada");
}

#[test]
fn a_patch_that_is_no_pod_is_refused_before_it_gets_here() {
    let patch = json!({ "affinity": "none", "nodeSelector": ["a"] });
    let refused = form::decode(&json!({ "pod": { "spec": patch } })).unwrap_err();
    let paths: Vec<String> = refused.iter().map(|one| one.path.to_string()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    for field in ["pod.spec.affinity", "pod.spec.nodeSelector"] {
        let is_named = paths.iter().any(|path| path.ends_with(field));
        assert!(is_named, "{field} in {paths:?}");
    }
}

#[test]
fn the_command_is_passed_on_without_being_expanded() {
    let mut launch = sample_launch();
    launch.workload.command = ["sh", "-c", "echo $(date) $HOME $$"]
        .map(str::to_owned)
        .to_vec();
    let pod = pod_of(&launch);
    let expected = json!(["sh", "-c", "echo $$(date) $$HOME $$$$"]);
    assert_eq!(main_container(&pod)["command"], expected);
    launch.workload.command = Vec::new();
    assert!(main_container(&pod_of(&launch)).get("command").is_none());
}

#[test]
fn ports_of_the_request_are_ports_of_the_container() {
    let mut launch = sample_launch();
    launch.ports = vec![Port {
        number: 8080,
        name: "Not A Port Name".to_owned(),
        protocol: Protocol::Tcp,
    }];
    let expected = json!([{ "containerPort": 8080, "protocol": "TCP" }]);
    assert_eq!(main_container(&pod_of(&launch))["ports"], expected);
}

#[test]
fn a_namespace_is_made_with_its_labels_and_annotations_or_not_at_all() {
    let settings = Settings::default();
    let mut launch = sample_launch();
    let block = &mut launch.namespace;
    block.labels = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
    block.annotations = BTreeMap::from([("cost".to_owned(), "7".to_owned())]);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "user-ns-acme-ada",
            "labels": {
                "team": "ml",
                "app.kubernetes.io/managed-by": "palisade-runner",
                "app.kubernetes.io/instance": "palisade",
            },
            "annotations": { "cost": "7", "sandbox.coreweave.com/auto-created": "true" },
        },
    });
    assert_eq!(namespace(&launch.namespace, &settings), Some(expected));
    launch.namespace.auto_create = false;
    assert_eq!(namespace(&launch.namespace, &settings), None);
}

#[test]
fn processes_are_shared_only_where_nothing_runs_beside_the_sandbox() {
    let shares = |pod: Value| {
        let spec = json!({ "pod": { "spec": pod } });
        pod_under(spec)["spec"]
            .get("shareProcessNamespace")
            .cloned()
    };
    assert_eq!(shares(json!({})), Some(true.into()));
    let init = json!({ "name": "prep", "image": "busybox" });
    let before = json!({ "initContainers": [init] });
    assert_eq!(shares(before), Some(true.into()));
    // A container beside it may hold what the sandbox is not to see.
    let beside = json!({ "containers": [{ "name": "proxy", "image": "proxy" }] });
    assert_eq!(shares(beside), None);
    let mut stays = init;
    stays["restartPolicy"] = "Always".into();
    assert_eq!(shares(json!({ "initContainers": [stays] })), None);
    // What a privileged profile says is left as it is.
    let said = json!({ "shareProcessNamespace": false });
    assert_eq!(shares(said), Some(false.into()));
    assert_eq!(shares(json!({ "hostPID": true })), None);
}
