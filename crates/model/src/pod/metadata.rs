//! Labels and annotations of a pod: which are the system's own, and which change
//! how a pod runs.
//!
//! Keys of the system are left out with a report, whoever writes them. Some
//! annotations are instructions to runtimes, network plugins or clouds, and as
//! good as fields of the pod; these need a runner that allows them.

use serde_json::{Map, Value};

use super::Dropped;
use crate::label;
use crate::profile::PodPatch;
use crate::sandbox::{Annotations, PodMetadata};
use crate::violation::{FieldPath, Violation, ViolationKind};

/// The most annotations that a request may have.
pub const REQUEST_ANNOTATIONS_MAX: usize = 100;

/// Labels and annotations for a launch, and what was left out of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchMetadata {
    /// What the pod gets, beside the system's own.
    pub metadata: PodMetadata,
    /// What it does not get.
    pub dropped: Vec<Dropped>,
}

/// What the pod of a sandbox gets from its profile and its request.
///
/// The request has the last word on annotations; what it may not set is refused
/// by [`check_request_annotations`], before.
pub fn launch_metadata(pod: Option<&PodPatch>, request: &Annotations) -> LaunchMetadata {
    let mut launch = LaunchMetadata::default();
    for block in ["labels", "annotations"] {
        let Some(written) = pod.and_then(|pod| keys(pod.as_map(), block)) else {
            continue;
        };
        let (kept, dropped) = without_reserved(written, block);
        launch.dropped.extend(dropped);
        let texts = kept
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
        if block == "labels" {
            launch.metadata.labels.extend(texts);
        } else {
            launch.metadata.annotations.extend(texts);
        }
    }
    for (key, value) in request {
        if label::is_reserved(key) {
            let path = request_path(key);
            launch.dropped.push(Dropped { path });
        } else {
            let annotations = &mut launch.metadata.annotations;
            annotations.insert(key.clone(), value.clone());
        }
    }
    launch
}

/// What is wrong with the annotations of a request.
///
/// Reserved keys are, since whoever writes a request is there to mend it;
/// those of a profile are left out. Restricted ones are as well, on every
/// runner: a request cannot widen what its profile allows.
pub fn check_request_annotations(annotations: &Annotations) -> Vec<Violation> {
    let refuse = |path, kind, description: String| Violation::new(path, kind, description);
    let mut violations = Vec::new();
    if annotations.len() > REQUEST_ANNOTATIONS_MAX {
        violations.push(refuse(
            FieldPath::from([REQUEST_FIELD]),
            ViolationKind::TooMany,
            format!(
                "has {} entries; at most {REQUEST_ANNOTATIONS_MAX} are allowed",
                annotations.len()
            ),
        ));
        return violations;
    }
    if let Err(error) = label::check_annotations_size(annotations) {
        let path = FieldPath::from([REQUEST_FIELD]);
        violations.push(refuse(path, ViolationKind::TooMany, error.to_string()));
    }
    for key in annotations.keys() {
        if let Err(error) = label::check_annotation_key(key) {
            let path = request_path(key);
            violations.push(refuse(path, ViolationKind::Invalid, error.to_string()));
        } else if label::is_reserved(key) {
            let description = "is a key of the platform's own; leave it out".to_owned();
            let path = request_path(key);
            violations.push(refuse(path, ViolationKind::Forbidden, description));
        } else if let Some(effect) = restriction(key) {
            let description = format!("{effect}, which a request cannot ask for; leave it out");
            let path = request_path(key);
            violations.push(refuse(path, ViolationKind::Forbidden, description));
        }
    }
    violations
}

/// What an annotation with this key would do, if it is one that changes how the
/// pod runs; a fragment such as «sets the seccomp profile».
pub fn restriction(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    if HARMLESS.contains(&key.as_str()) {
        return None;
    }
    let by_start = STARTS.iter().find(|(start, _)| key.starts_with(start));
    if let Some((_, effect)) = by_start {
        return Some(effect);
    }
    let (domain, _) = key.split_once('/')?;
    DOMAINS
        .iter()
        .find(|(name, _)| {
            domain
                .strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
        .map(|(_, effect)| *effect)
}

/// The keys of one block of a patch's metadata.
pub(super) fn keys<'a>(
    patch: &'a Map<String, Value>,
    block: &str,
) -> Option<&'a Map<String, Value>> {
    patch.get("metadata")?.get(block)?.as_object()
}

/// The keys without the system's own, and these.
pub(super) fn without_reserved(
    keys: &Map<String, Value>,
    block: &str,
) -> (Map<String, Value>, Vec<Dropped>) {
    let (reserved, kept): (Vec<_>, Vec<_>) = keys
        .clone()
        .into_iter()
        .partition(|(key, _)| label::is_reserved(key));
    let dropped = reserved
        .into_iter()
        .map(|(key, _)| Dropped {
            path: FieldPath::from(["pod", "metadata", block]).key(key),
        })
        .collect();
    (kept.into_iter().collect(), dropped)
}

/// The field of a request that holds its annotations.
const REQUEST_FIELD: &str = "pod_annotations";

fn request_path(key: &str) -> FieldPath {
    FieldPath::from([REQUEST_FIELD, key])
}

/// Keys of the domains below that only describe or schedule the pod.
const HARMLESS: [&str; 8] = [
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
    "controller.kubernetes.io/pod-deletion-cost",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "kubernetes.io/change-cause",
    "kubernetes.io/description",
    "descheduler.alpha.kubernetes.io/evict",
];

/// What keys do that start so; runtimes use dotted keys without a slash.
const STARTS: [(&str, &str); 14] = [
    (
        "container.apparmor.security.beta.kubernetes.io/",
        "sets the AppArmor profile of a container",
    ),
    (
        "seccomp.security.alpha.kubernetes.io/",
        "sets the seccomp profile of the pod",
    ),
    (
        "container.seccomp.security.alpha.kubernetes.io/",
        "sets the seccomp profile of a container",
    ),
    ("io.kubernetes.cri", "gives orders to the container runtime"),
    ("io.containerd.", "gives orders to the container runtime"),
    (
        "io.kubernetes.container.",
        "gives orders to the container runtime",
    ),
    (
        "io.katacontainers.",
        "configures the virtual machine of the sandbox",
    ),
    ("dev.gvisor.", "configures the gVisor sandbox"),
    ("run.oci.", "gives orders to the OCI runtime"),
    (
        "org.opencontainers.runtime",
        "gives orders to the OCI runtime",
    ),
    (
        "org.systemd.property.",
        "sets properties of the sandbox's cgroup",
    ),
    ("io.cilium.", "gives orders to the network plugin"),
    ("security.alpha.kubernetes.io/", "sets kernel parameters"),
    (
        "traffic.sidecar.istio.io/",
        "takes traffic out of the mesh's control",
    ),
];

/// What keys of these domains, and of those below them, do.
const DOMAINS: [(&str, &str); 11] = [
    ("cni.cncf.io", "attaches the pod to further networks"),
    (
        "cni.projectcalico.org",
        "gives orders to the network plugin",
    ),
    ("cilium.io", "gives orders to the network plugin"),
    ("k8s.ovn.org", "gives orders to the network plugin"),
    (
        "iam.amazonaws.com",
        "gives the pod credentials of the cloud",
    ),
    (
        "eks.amazonaws.com",
        "gives the pod credentials of the cloud",
    ),
    ("iam.gke.io", "gives the pod credentials of the cloud"),
    (
        "azure.workload.identity",
        "gives the pod credentials of the cloud",
    ),
    ("openshift.io", "sets the security context of the pod"),
    ("kubernetes.io", "is an instruction to Kubernetes itself"),
    ("k8s.io", "is an instruction to Kubernetes itself"),
];

#[cfg(test)]
mod tests;
