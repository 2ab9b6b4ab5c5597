//! What is kept of objects that are watched: what is read, and no more.
//!
//! Servers send many times as much, who set which field above all, and a runner
//! keeps an object or two for each sandbox. Whoever reads a further field of a pod, a
//! Service or an Ingress has it kept here.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, Service, ServicePort, ServiceSpec,
    ServiceStatus,
};
use k8s_openapi::api::networking::v1::{Ingress, IngressRule, IngressSpec, IngressStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::naming;

/// What is kept of a pod.
pub(crate) fn pod(pod: Pod) -> Arc<Pod> {
    Arc::new(Pod {
        metadata: metadata(pod.metadata),
        spec: pod.spec.map(|spec| PodSpec {
            node_name: spec.node_name,
            active_deadline_seconds: spec.active_deadline_seconds,
            termination_grace_period_seconds: spec.termination_grace_period_seconds,
            ..PodSpec::default()
        }),
        status: pod.status.map(pod_status),
    })
}

/// What is kept of a Service.
pub(crate) fn service(service: Service) -> Arc<Service> {
    let port = |port: ServicePort| ServicePort {
        port: port.port,
        node_port: port.node_port,
        ..ServicePort::default()
    };
    Arc::new(Service {
        metadata: ObjectMeta::default(),
        spec: service.spec.map(|spec| ServiceSpec {
            ports: spec
                .ports
                .map(|ports| ports.into_iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: service.status.map(|status| ServiceStatus {
            load_balancer: status.load_balancer,
            ..ServiceStatus::default()
        }),
    })
}

/// What is kept of an Ingress.
pub(crate) fn ingress(ingress: Ingress) -> Arc<Ingress> {
    let rule = |rule: IngressRule| IngressRule {
        host: rule.host,
        ..IngressRule::default()
    };
    Arc::new(Ingress {
        metadata: ObjectMeta::default(),
        spec: ingress.spec.map(|spec| IngressSpec {
            rules: spec
                .rules
                .map(|rules| rules.into_iter().map(rule).collect()),
            ..IngressSpec::default()
        }),
        status: ingress.status.map(|status| IngressStatus {
            load_balancer: status.load_balancer,
        }),
    })
}

fn metadata(metadata: ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|key, _| key == naming::STOP_BY);
    ObjectMeta {
        annotations: (!annotations.is_empty()).then_some(annotations),
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

fn pod_status(status: PodStatus) -> PodStatus {
    let condition = |one: PodCondition| PodCondition {
        type_: one.type_,
        status: one.status,
        reason: one.reason,
        message: one.message,
        ..PodCondition::default()
    };
    let conditions = status.conditions;
    PodStatus {
        phase: status.phase,
        reason: status.reason,
        message: status.message,
        host_ip: status.host_ip,
        pod_ip: status.pod_ip,
        start_time: status.start_time,
        conditions: conditions.map(|all| all.into_iter().map(condition).collect()),
        container_statuses: status.container_statuses.map(containers),
        init_container_statuses: status.init_container_statuses.map(containers),
        ..PodStatus::default()
    }
}

fn containers(all: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    let container = |one: ContainerStatus| ContainerStatus {
        name: one.name,
        image: one.image,
        state: one.state,
        ..ContainerStatus::default()
    };
    all.into_iter().map(container).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_set_which_field_is_not_kept_and_what_was_told_to_stop_is() {
        let stop_by = naming::STOP_BY;
        let seen = serde_json::from_value(json!({
            "metadata": {
                "name": "p", "annotations": { stop_by: "7", "other": "x" },
                "deletionTimestamp": "2026-11-27T08:00:00Z",
                "managedFields": [{ "manager": "kubelet", "fieldsV1": { "f:status": {} } }],
            },
            "spec": {
                "nodeName": "n", "activeDeadlineSeconds": 9, "volumes": [{ "name": "v" }],
                "containers": [{ "name": "sandbox", "image": "i" }],
            },
            "status": {
                "phase": "Running", "hostIP": "10.0.0.7", "podIP": "10.0.0.8",
                "startTime": "2026-11-27T07:00:00Z",
                "containerStatuses": [{
                    "name": "sandbox", "image": "i", "imageID": "sha256:0", "ready": true,
                    "restartCount": 0, "state": { "running": {} },
                }],
            },
        }));
        let kept = serde_json::to_value(&*pod(seen.unwrap())).unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "annotations": { stop_by: "7" }, "deletionTimestamp": "2026-11-27T08:00:00Z",
            },
            "spec": { "nodeName": "n", "activeDeadlineSeconds": 9, "containers": [] },
            "status": {
                "phase": "Running", "hostIP": "10.0.0.7",
                "podIP": "10.0.0.8", "startTime": "2026-11-27T07:00:00Z",
                "containerStatuses": [{
                    "name": "sandbox", "image": "i", "imageID": "", "ready": false,
                    "restartCount": 0, "state": { "running": {} },
                }],
            },
        });
        assert_eq!(kept, expected);
    }
}
