use serde_json::json;

use super::*;
use crate::profile::form;

fn pod(metadata: &Value) -> PodPatch {
    let spec = json!({ "pod": { "metadata": metadata } });
    form::decode(&spec).unwrap().pod.unwrap()
}

fn annotations(keys: &[(&str, &str)]) -> Annotations {
    keys.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn keys_of_the_system_are_left_out_and_reported() {
    let patch = pod(&json!({
        "labels": { "app": "agent", "sandbox.coreweave.com/sandbox-id": "forged" },
        "annotations": { "Sandbox.CoreWeave.com/user-id": "forged", "owner": "me" },
    }));
    let request = annotations(&[("sandbox.coreweave.com/x", "forged"), ("note", "hi")]);
    let launch = launch_metadata(Some(&patch), &request);
    assert_eq!(launch.metadata.labels, annotations(&[("app", "agent")]));
    assert_eq!(
        launch.metadata.annotations,
        annotations(&[("note", "hi"), ("owner", "me")])
    );
    assert_eq!(
        launch
            .dropped
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            r#"pod.metadata.labels["sandbox.coreweave.com/sandbox-id"] was left out: only the system sets keys under sandbox.coreweave.com/"#,
            r#"pod.metadata.annotations["Sandbox.CoreWeave.com/user-id"] was left out: only the system sets keys under sandbox.coreweave.com/"#,
            r#"pod_annotations["sandbox.coreweave.com/x"] was left out: only the system sets keys under sandbox.coreweave.com/"#,
        ]
    );
}

#[test]
fn the_request_has_the_last_word_on_annotations() {
    let patch = pod(&json!({ "annotations": { "owner": "profile" } }));
    let launch = launch_metadata(Some(&patch), &annotations(&[("owner", "request")]));
    assert_eq!(
        launch.metadata.annotations,
        annotations(&[("owner", "request")])
    );
}

#[test]
fn annotations_for_runtimes_networks_and_clouds_are_restricted() {
    for key in [
        "container.apparmor.security.beta.kubernetes.io/main",
        "seccomp.security.alpha.kubernetes.io/pod",
        "io.kubernetes.cri-o.userns-mode",
        "io.katacontainers.config.hypervisor.path",
        "dev.gvisor.spec.mount.x.source",
        "run.oci.keep_original_groups",
        "k8s.v1.cni.cncf.io/networks",
        "V1.Multus-CNI.io.cni.cncf.io/x",
        "policy.cilium.io/no-track-port",
        "cni.projectcalico.org/ipAddrs",
        "iam.amazonaws.com/role",
        "kubernetes.io/egress-bandwidth",
        "anything.kubernetes.io/x",
        "cdi.k8s.io/device",
        "k8s.io/x",
    ] {
        assert!(restriction(key).is_some(), "{key}");
    }
}

#[test]
fn other_annotations_are_free() {
    for key in [
        "owner",
        "sunk.coreweave.com/partition",
        "prometheus.io/scrape",
        "kueue.x-k8s.io/queue-name",
        "notkubernetes.io/x",
        "example.com/kubernetes.io",
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "kubectl.kubernetes.io/default-container",
    ] {
        assert_eq!(restriction(key), None, "{key}");
    }
}

#[test]
fn a_request_may_not_have_restricted_or_malformed_annotations() {
    let found = check_request_annotations(&annotations(&[
        ("a b", "x"),
        ("io.katacontainers.config.hypervisor.path", "/bin/sh"),
        ("owner", "me"),
        ("sandbox.coreweave.com/sandbox-id", "forged"),
    ]));
    let places = found.iter().map(|v| v.path.to_string()).collect::<Vec<_>>();
    assert_eq!(
        places,
        [
            r#"pod_annotations["a b"]"#,
            r#"pod_annotations["io.katacontainers.config.hypervisor.path"]"#,
            r#"pod_annotations["sandbox.coreweave.com/sandbox-id"]"#,
        ]
    );
    for refused in &found[1..] {
        assert_eq!(refused.kind, ViolationKind::Forbidden);
    }
}

#[test]
fn a_request_has_a_number_and_a_size_of_annotations() {
    let many = |count: usize| {
        (0..count)
            .map(|n| (format!("k{n}"), String::new()))
            .collect()
    };
    assert_eq!(check_request_annotations(&many(100)), []);
    assert_eq!(check_request_annotations(&many(101)).len(), 1);
    let large = annotations(&[("k", &"v".repeat(label::ANNOTATIONS_BYTES_MAX))]);
    assert_eq!(check_request_annotations(&large).len(), 1);
}
