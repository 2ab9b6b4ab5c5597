//! Which fields there are, and how each is spelled.
//!
//! Only names and nesting are here. Rules about values are the domain's; a test
//! holds this table against what the domain writes.

/// How a value is built, as far as names are concerned.
#[derive(Debug)]
pub enum Shape {
    /// A value without fields.
    Leaf,
    /// A value that is text to the domain, where people may leave out quotes.
    Quantity,
    /// One of these words: as the domain and as the wire spells it.
    Word(&'static [(&'static str, &'static str)]),
    /// Whatever Kubernetes makes of it; nothing in it is respelled.
    Open,
    /// A map with free keys.
    Map(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A map with these keys.
    Object(&'static [Field]),
}

/// A field and its names.
#[derive(Debug)]
pub struct Field {
    /// The canonical name, in friendly YAML.
    pub name: &'static str,
    /// The name in JSON on the wire.
    pub wire: &'static str,
    /// Whether the wire holds the value as JSON in a string.
    pub is_text_on_wire: bool,
    /// What is below it.
    pub shape: Shape,
}

const fn field(name: &'static str, wire: &'static str, shape: Shape) -> Field {
    Field {
        name,
        wire,
        is_text_on_wire: false,
        shape,
    }
}

/// A field with one name in both spellings.
const fn same(name: &'static str, shape: Shape) -> Field {
    field(name, name, shape)
}

/// A block that the wire holds as JSON in a string.
const fn block(name: &'static str, wire: &'static str, shape: Shape) -> Field {
    Field {
        name,
        wire,
        is_text_on_wire: true,
        shape,
    }
}

const LEAF: Shape = Shape::Leaf;
const LEAVES: Shape = Shape::List(&LEAF);
const LEAF_MAP: Shape = Shape::Map(&LEAF);

/// A profile, friendly or as `ProfileTemplate`.
pub static PROFILE: Shape = Shape::Object(&[
    field("id", "id", LEAF),
    field("organization_id", "organizationId", LEAF),
    field("display_name", "displayName", LEAF),
    field("description", "description", LEAF),
    field("labels", "labels", LEAF_MAP),
    field("spec", "spec", Shape::Object(SPEC_FIELDS)),
    field("created_at", "createdAt", LEAF),
    field("updated_at", "updatedAt", LEAF),
    field("revision", "revision", LEAF),
    field("etag", "etag", LEAF),
]);

/// The spec of a profile, or a part of one.
pub static SPEC: Shape = Shape::Object(SPEC_FIELDS);

const SPEC_FIELDS: &[Field] = &[
    field("container_image", "containerImage", LEAF),
    field("runtime_class", "runtimeClass", LEAF),
    field(
        "resource_defaults",
        "resourceDefaults",
        Shape::Object(&[
            same("cpuRequest", Shape::Quantity),
            same("memoryRequest", Shape::Quantity),
            same("cpuLimit", Shape::Quantity),
            same("memoryLimit", Shape::Quantity),
        ]),
    ),
    field(
        "resource_ceiling",
        "resourceCeiling",
        Shape::Object(&[
            same("cpu", Shape::Quantity),
            same("memory", Shape::Quantity),
            same("gpu", LEAF),
        ]),
    ),
    field("instance_types", "instanceTypes", LEAVES),
    field("node_selector", "nodeSelector", LEAF_MAP),
    field("tags", "tags", LEAVES),
    block("namespace", "namespaceConfigJson", NAMESPACE),
    block("network", "networkConfigJson", NETWORK),
    block("pod", "podTemplateJson", Shape::Open),
];

const NAMESPACE: Shape = Shape::Object(&[
    same("strategy", LEAF),
    same("namespacePrefix", LEAF),
    same("staticNamespace", LEAF),
    same("autoCreate", LEAF),
    same("labels", LEAF_MAP),
    same("annotations", LEAF_MAP),
]);

const NETWORK: Shape = Shape::Object(&[
    same(
        "egress",
        Shape::Object(&[
            same("default", LEAF),
            same("modes", Shape::Map(&EGRESS_MODE)),
        ]),
    ),
    same("ingress", Shape::Map(&EXPOSURE)),
]);

const EGRESS_MODE: Shape = Shape::Object(&[same("type", LEAF), same("cidrs", LEAVES)]);

const EXPOSURE: Shape = Shape::Object(&[
    same("scope", LEAF),
    same("expectsExternalAddress", LEAF),
    same(
        "service",
        Shape::Object(&[
            same("serviceType", LEAF),
            same("serviceSelectorAnnotation", ANNOTATION),
            same("dnsAnnotation", ANNOTATION),
        ]),
    ),
    same(
        "ingress",
        Shape::Object(&[same("controllerName", LEAF), same("template", LEAF)]),
    ),
]);

const ANNOTATION: Shape = Shape::Object(&[same("key", LEAF), same("value", LEAF)]);

/// A runner, friendly or as `Runner`.
pub static RUNNER: Shape = Shape::Object(&[
    field("id", "id", LEAF),
    field("display_name", "displayName", LEAF),
    field(
        "identity",
        "identity",
        Shape::Object(&[
            field("runner_id", "runnerId", LEAF),
            field("zone", "zone", LEAF),
            field("cluster_id", "clusterId", LEAF),
            field("cluster_name", "clusterName", LEAF),
            field("runner_group_id", "runnerGroupId", LEAF),
        ]),
    ),
    field("management_mode", "managementMode", LEAF),
    field("managed_spec", "managedSpec", MANAGED_SPEC),
    field("profile_bindings", "profileBindings", Shape::List(&BINDING)),
    field("install_status", "installStatus", LEAF),
    field("install_error", "installError", Shape::Open),
    field("connection_status", "connectionStatus", LEAF),
    field("active_config_version", "activeConfigVersion", LEAF),
    field(
        "active_profile_spec_version",
        "activeProfileSpecVersion",
        LEAF,
    ),
    field("active_revision", "activeRevision", LEAF),
    field("target_revision", "targetRevision", LEAF),
    field("update_available", "updateAvailable", LEAF),
    field("rollout_in_progress", "rolloutInProgress", LEAF),
    field("deployment_spec", "deploymentSpec", Shape::Open),
    field("created_at", "createdAt", LEAF),
    field("updated_at", "updatedAt", LEAF),
    field("last_heartbeat_at", "lastHeartbeatAt", LEAF),
    field("lacks", "lacks", Shape::Open),
    field("etag", "etag", LEAF),
]);

const MANAGED_SPEC: Shape = Shape::Object(&[
    field(
        "release_channel",
        "releaseChannel",
        Shape::Word(RELEASE_CHANNELS),
    ),
    field("maintenance_policy", "maintenancePolicy", MAINTENANCE),
    field("overrides", "overrides", OVERRIDES),
    field(
        "allow_privileged_profile_annotations",
        "allowPrivilegedProfileAnnotations",
        LEAF,
    ),
    field("enforce_resource_limits", "enforceResourceLimits", LEAF),
    field("zone_defaults", "zoneDefaults", Shape::Object(SPEC_FIELDS)),
]);

/// The release channels, as people and as the wire spells them.
pub(crate) const RELEASE_CHANNELS: &[(&str, &str)] = &[
    ("stable", "RELEASE_CHANNEL_STABLE"),
    ("rapid", "RELEASE_CHANNEL_RAPID"),
    // What protobuf holds when nobody chose; the first pair is what is written.
    ("stable", "RELEASE_CHANNEL_UNSPECIFIED"),
];

const MAINTENANCE: Shape = Shape::Object(&[
    field(
        "windows",
        "windows",
        Shape::List(&Shape::Object(&[
            field("cron", "cron", LEAF),
            field("duration_seconds", "durationSeconds", LEAF),
        ])),
    ),
    field(
        "exclusions",
        "exclusions",
        Shape::List(&Shape::Object(&[
            field("start_time", "startTime", LEAF),
            field("end_time", "endTime", LEAF),
            field("reason", "reason", LEAF),
        ])),
    ),
]);

const OVERRIDES: Shape = Shape::Object(&[
    field("node_selector", "nodeSelector", LEAF_MAP),
    field(
        "tolerations",
        "tolerations",
        Shape::List(&Shape::Object(&[
            field("key", "key", LEAF),
            field("operator", "operator", LEAF),
            field("value", "value", LEAF),
            field("effect", "effect", LEAF),
        ])),
    ),
    field(
        "resources",
        "resources",
        Shape::Object(&[
            field("cpu_request", "cpuRequest", Shape::Quantity),
            field("memory_request", "memoryRequest", Shape::Quantity),
            field("cpu_limit", "cpuLimit", Shape::Quantity),
            field("memory_limit", "memoryLimit", Shape::Quantity),
        ]),
    ),
    field("annotations", "annotations", LEAF_MAP),
    field("labels", "labels", LEAF_MAP),
    field("env", "env", LEAF_MAP),
    field("args", "args", LEAVES),
    field(
        "scaling",
        "scaling",
        Shape::Object(&[
            field("replicas", "replicas", LEAF),
            field("autoscaling_enabled", "autoscalingEnabled", LEAF),
            field("min_replicas", "minReplicas", LEAF),
            field("max_replicas", "maxReplicas", LEAF),
        ]),
    ),
    field("cpu_runtime_class", "cpuRuntimeClass", LEAF),
    field("gpu_runtime_class", "gpuRuntimeClass", LEAF),
]);

const BINDING: Shape = Shape::Object(&[
    field("profile_template_id", "profileTemplateId", LEAF),
    field("profile_name", "profileName", LEAF),
    field("is_default", "isDefault", LEAF),
    block(
        "overrides_json",
        "overridesJson",
        Shape::Object(SPEC_FIELDS),
    ),
]);

/// A request for a sandbox, as `StartSandboxRequest`, but for what has no say in
/// where it goes.
pub static START_REQUEST: Shape = Shape::Object(&[
    field("command", "command", LEAF),
    field("args", "args", LEAVES),
    field("tags", "tags", LEAVES),
    field("container_image", "containerImage", LEAF),
    field("environment_variables", "environmentVariables", LEAF_MAP),
    field(
        "ports",
        "ports",
        Shape::List(&Shape::Object(&[
            field("container_port", "containerPort", LEAF),
            field("name", "name", LEAF),
            field("protocol", "protocol", LEAF),
        ])),
    ),
    field(
        "network",
        "network",
        Shape::Object(&[
            field("ingress_mode", "ingressMode", LEAF),
            field("exposed_ports", "exposedPorts", LEAVES),
            field("egress_mode", "egressMode", LEAF),
        ]),
    ),
    field("profile_ids", "profileIds", LEAVES),
    field("profile_names", "profileNames", LEAVES),
    field("runner_ids", "runnerIds", LEAVES),
    field("max_lifetime_seconds", "maxLifetimeSeconds", LEAF),
    field("max_timeout_seconds", "maxTimeoutSeconds", LEAF),
    field("pod_annotations", "podAnnotations", LEAF_MAP),
    field("resources", "resources", ASKED),
    field("resource_requests", "resourceRequests", ASKED),
    field("resource_limits", "resourceLimits", ASKED),
    field(
        "mounted_files",
        "mountedFiles",
        Shape::List(&Shape::Object(&[
            field("mount_path", "mountPath", LEAF),
            field("file_content", "fileContent", LEAF),
        ])),
    ),
    field(
        "file_system",
        "fileSystem",
        Shape::Object(&[
            field("mount_path", "mountPath", LEAF),
            same("size", Shape::Quantity),
            field(
                "file_system_snapshot",
                "fileSystemSnapshot",
                Shape::Object(&[field(
                    "file_system_snapshot_id",
                    "fileSystemSnapshotId",
                    LEAF,
                )]),
            ),
        ]),
    ),
    field(
        "secret_stores",
        "secretStores",
        Shape::List(&Shape::Object(&[
            field("store_name", "storeName", LEAF),
            field(
                "secrets",
                "secrets",
                Shape::List(&Shape::Object(&[
                    field("path", "path", LEAF),
                    field("field", "field", LEAF),
                    field("env_var", "envVar", LEAF),
                ])),
            ),
        ])),
    ),
    field(
        "runner_cluster_secrets",
        "runnerClusterSecrets",
        Shape::List(&Shape::Object(&[
            field(
                "kubernetes",
                "kubernetes",
                Shape::Object(&[
                    field("secret_name", "secretName", LEAF),
                    field("secret_key", "secretKey", LEAF),
                ]),
            ),
            field("env_var", "envVar", LEAF),
        ])),
    ),
    field(
        "volumes",
        "volumes",
        Shape::List(&Shape::Object(&[
            field("volume_id", "volumeId", LEAF),
            field("mount_path", "mountPath", LEAF),
            field("sub_path", "subPath", LEAF),
            field("read_only", "readOnly", LEAF),
        ])),
    ),
    field(
        "s3_mount",
        "s3Mount",
        Shape::Object(&[
            field("bucket", "bucket", LEAF),
            field("directory", "directory", LEAF),
            field("mount_path", "mountPath", LEAF),
        ]),
    ),
    field(
        "object_storage_access",
        "objectStorageAccess",
        Shape::Object(&[
            field("buckets", "buckets", LEAVES),
            field("permission", "permission", LEAF),
            field("object_prefix", "objectPrefix", LEAF),
        ]),
    ),
]);

const ASKED: Shape = Shape::Object(&[
    same("cpu", Shape::Quantity),
    same("memory", Shape::Quantity),
    same(
        "gpu",
        Shape::Object(&[
            field("gpu_count", "gpuCount", LEAF),
            field("gpu_type", "gpuType", LEAF),
            field("gpu_memory_gb", "gpuMemoryGb", LEAF),
        ]),
    ),
]);
