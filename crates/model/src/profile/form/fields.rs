//! The keys of the structured form, in canonical spelling.

use super::Keys;

/// The fields of a spec.
pub const FIELDS: Keys<10> = [
    "container_image",
    "runtime_class",
    "resource_defaults",
    "resource_ceiling",
    "instance_types",
    "node_selector",
    "tags",
    "namespace",
    "network",
    "pod",
];

pub(super) const RESOURCE_DEFAULTS: Keys<4> =
    ["cpuRequest", "memoryRequest", "cpuLimit", "memoryLimit"];

pub(super) const RESOURCE_CEILING: Keys<3> = ["cpu", "memory", "gpu"];

pub(super) const NAMESPACE: Keys<6> = [
    "strategy",
    "namespacePrefix",
    "staticNamespace",
    "autoCreate",
    "labels",
    "annotations",
];

pub(super) const NETWORK: Keys<2> = ["egress", "ingress"];

pub(super) const EGRESS: Keys<2> = ["default", "modes"];

pub(super) const MODE: Keys<2> = ["type", "cidrs"];

pub(super) const EXPOSURE: Keys<4> = ["scope", "expectsExternalAddress", "service", "ingress"];

pub(super) const SERVICE: Keys<3> = ["serviceType", "serviceSelectorAnnotation", "dnsAnnotation"];

pub(super) const ANNOTATION: Keys<2> = ["key", "value"];

pub(super) const ROUTE: Keys<2> = ["controllerName", "template"];

pub(super) const POD: Keys<3> = ["metadata", "spec", "placement"];

pub(super) const POD_METADATA: Keys<2> = ["labels", "annotations"];

pub(super) const PLACEMENT: Keys<1> = ["instanceTypes"];
