//! The objects of a probe; pure.
//!
//! Two pods that answer at a port, and a policy that closes one of them. They live
//! in the namespace of the runner, and end by themselves should nobody delete
//! them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::naming;
use crate::settings::Settings;

/// The label by which the policy finds its pod.
const ROLE: &str = "sandbox.coreweave.com/probe";
/// How long a pod runs at most, in seconds.
const LIFE_SECONDS: u32 = 900;

/// Answers at port 8080 of every address, whichever family it has.
const ANSWER: &str =
    "nc -ll -p 8080 -e /bin/true & nc -ll -s :: -p 8080 -e /bin/true & wait; sleep 900";

/// One of the two pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// No policy ever applies to it.
    Open,
    /// The policy closes it.
    Closed,
}

impl Role {
    pub(crate) const BOTH: [Self; 2] = [Self::Open, Self::Closed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The name of a pod; the policy has that of the one that it closes.
pub(crate) fn name(role: Role, settings: &Settings) -> String {
    // Instances are values of labels, which may hold more than names may.
    let instance = settings
        .instance
        .to_ascii_lowercase()
        .replace(['_', '.'], "-");
    format!("palisade-probe-{instance}-{}", role.as_str())
}

fn labels(role: Role, settings: &Settings) -> Value {
    json!({
        naming::MANAGED_BY: naming::MANAGER,
        naming::INSTANCE: settings.instance,
        ROLE: role.as_str(),
    })
}

/// A pod that answers.
pub(crate) fn pod(role: Role, namespace: &str, settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(role, settings),
            "namespace": namespace,
            "labels": labels(role, settings),
        },
        "spec": {
            "activeDeadlineSeconds": LIFE_SECONDS,
            "affinity": { "podAntiAffinity": {
                // On two nodes, where there are two.
                "preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": { "matchExpressions": [
                            { "key": ROLE, "operator": "Exists" },
                        ] },
                    },
                }],
            } },
            "automountServiceAccountToken": false,
            "containers": [{
                "name": naming::MAIN_CONTAINER,
                "image": settings.probe_image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", ANSWER],
                "resources": {
                    "requests": { "cpu": "10m", "memory": "16Mi" },
                    "limits": { "memory": "32Mi" },
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "runAsUser": 65_534,
                },
            }],
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "terminationGracePeriodSeconds": 1,
        },
    })
}

/// The policy that closes one of them.
pub(crate) fn policy(namespace: &str, settings: &Settings) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name(Role::Closed, settings),
            "namespace": namespace,
            "labels": labels(Role::Closed, settings),
        },
        "spec": {
            "podSelector": { "matchLabels": labels(Role::Closed, settings) },
            "policyTypes": ["Ingress", "Egress"],
        },
    })
}

/// The addresses of a pod, one of each family.
pub(crate) fn addresses(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let all = status.pod_ips.iter().flatten();
    let all: Vec<String> = all.map(|one| one.ip.clone()).collect();
    if all.is_empty() {
        status.pod_ip.iter().cloned().collect()
    } else {
        all
    }
}

/// Why a pod does not run, as far as it says so.
pub(crate) fn state(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    if let Some(message) = crate::words::unschedulable(&status) {
        return message.to_owned();
    }
    let containers = status.container_statuses.iter().flatten();
    let mut waiting = containers.filter_map(|one| one.state.as_ref()?.waiting.as_ref());
    let said = waiting.find_map(|waiting| waiting.message.clone().or(waiting.reason.clone()));
    said.unwrap_or_else(|| crate::words::progress(&status).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            instance: "team_A.one".to_owned(),
            probe_image: "registry.example.com/busybox:1".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn names_are_those_of_objects_whatever_the_instance_is_called() {
        assert_eq!(
            name(Role::Open, &settings()),
            "palisade-probe-team-a-one-open"
        );
    }

    #[test]
    fn a_probe_pod_is_hardened_and_ends_by_itself() {
        let pod = pod(Role::Open, "palisade", &settings());
        insta::assert_json_snapshot!(pod);
    }

    #[test]
    fn the_policy_closes_one_pod_both_ways() {
        let settings = settings();
        let policy = policy("palisade", &settings);
        let selected = &policy["spec"]["podSelector"]["matchLabels"];
        let closed = pod(Role::Closed, "palisade", &settings);
        assert_eq!(*selected, closed["metadata"]["labels"]);
        let open = pod(Role::Open, "palisade", &settings);
        assert_ne!(*selected, open["metadata"]["labels"]);
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(policy["spec"].get("egress").is_none() && policy["spec"].get("ingress").is_none());
    }
}
