//! The shape of a pod, as Kubernetes has it: which fields there are, and how a
//! patch of each one is merged.
//!
//! What is not listed here is refused when a profile is written: a field that
//! is not known cannot be judged. Lists that merge do so by the keys that make
//! an item unique to the API server (its `listMapKey`s). For ports that is
//! the number with the protocol; the key of Kubernetes' older patch format is
//! the number alone, which confuses TCP and UDP.

/// What stands in a field, and how it merges.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text; replaced.
    Text,
    /// Text that is a DNS-1123 label; replaced.
    Label,
    /// A DNS-1123 label, or empty for the main container.
    ContainerName,
    /// True or false; replaced.
    Flag,
    /// A whole number; replaced.
    Number,
    /// A number or a name; replaced.
    Port,
    /// A list of texts; replaced.
    Texts,
    /// A list of texts to which a patch can only add.
    ///
    /// Kubernetes replaces such a list. Here it holds dropped capabilities, and
    /// a patch that drops one must not bring back the others.
    GrowingTexts,
    /// Texts by key; merged by key.
    Strings,
    /// Quantities by key; merged by key.
    Amounts,
    /// Anything; maps merge and all else is replaced.
    Free,
    /// A map with known fields; merged field by field.
    Fields(Shape),
    /// A list of maps with known fields; replaced.
    Items(Shape),
    /// A list of maps with known fields; merged by keys.
    Keyed(Shape, &'static [Key]),
}

/// A field and what stands in it.
pub(super) type Shape = &'static [(&'static str, Kind)];

/// A part of what makes an item of a list unique.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The field.
    pub(super) field: &'static str,
    /// What the API server takes an absent field for.
    pub(super) default: Option<&'static str>,
}

/// What stands in the field of a map of this shape, if it has one.
pub(super) fn field(shape: Shape, name: &str) -> Option<Kind> {
    shape
        .iter()
        .find(|(field, _)| *field == name)
        .map(|(_, kind)| *kind)
}

const fn key(field: &'static str) -> Key {
    Key {
        field,
        default: None,
    }
}

const BY_NAME: &[Key] = &[key("name")];

const NAMED: Shape = &[("name", Kind::Text)];

/// The `spec` of a pod.
pub(super) const POD_SPEC: Shape = &[
    ("activeDeadlineSeconds", Kind::Number),
    ("affinity", Kind::Fields(AFFINITY)),
    ("automountServiceAccountToken", Kind::Flag),
    ("containers", Kind::Keyed(CONTAINER, BY_NAME)),
    ("dnsConfig", Kind::Fields(DNS_CONFIG)),
    ("dnsPolicy", Kind::Text),
    ("enableServiceLinks", Kind::Flag),
    ("ephemeralContainers", Kind::Keyed(CONTAINER, BY_NAME)),
    ("hostAliases", Kind::Keyed(HOST_ALIAS, &[key("ip")])),
    ("hostIPC", Kind::Flag),
    ("hostNetwork", Kind::Flag),
    ("hostPID", Kind::Flag),
    ("hostUsers", Kind::Flag),
    ("hostname", Kind::Text),
    ("hostnameOverride", Kind::Text),
    ("imagePullSecrets", Kind::Keyed(NAMED, BY_NAME)),
    ("initContainers", Kind::Keyed(CONTAINER, BY_NAME)),
    ("nodeName", Kind::Text),
    ("nodeSelector", Kind::Strings),
    ("os", Kind::Fields(NAMED)),
    ("overhead", Kind::Amounts),
    ("preemptionPolicy", Kind::Text),
    ("priority", Kind::Number),
    ("priorityClassName", Kind::Text),
    (
        "readinessGates",
        Kind::Items(&[("conditionType", Kind::Text)]),
    ),
    ("resourceClaims", Kind::Keyed(RESOURCE_CLAIM, BY_NAME)),
    ("resources", Kind::Fields(RESOURCES)),
    ("restartPolicy", Kind::Text),
    ("runtimeClassName", Kind::Text),
    ("schedulerName", Kind::Text),
    ("schedulingGates", Kind::Keyed(NAMED, BY_NAME)),
    ("securityContext", Kind::Fields(POD_SECURITY)),
    ("serviceAccount", Kind::Text),
    ("serviceAccountName", Kind::Text),
    ("setHostnameAsFQDN", Kind::Flag),
    ("shareProcessNamespace", Kind::Flag),
    ("subdomain", Kind::Text),
    ("terminationGracePeriodSeconds", Kind::Number),
    ("tolerations", Kind::Items(TOLERATION)),
    (
        "topologySpreadConstraints",
        Kind::Keyed(SPREAD, &[key("topologyKey"), key("whenUnsatisfiable")]),
    ),
    ("volumes", Kind::Keyed(VOLUME, BY_NAME)),
];

const CONTAINER: Shape = &[
    ("args", Kind::Texts),
    ("command", Kind::Texts),
    ("env", Kind::Keyed(ENV, BY_NAME)),
    ("envFrom", Kind::Items(ENV_FROM)),
    ("image", Kind::Text),
    ("imagePullPolicy", Kind::Text),
    ("lifecycle", Kind::Fields(LIFECYCLE)),
    ("livenessProbe", Kind::Fields(PROBE)),
    ("name", Kind::ContainerName),
    ("ports", Kind::Keyed(PORT, PORT_KEYS)),
    ("readinessProbe", Kind::Fields(PROBE)),
    ("resizePolicy", Kind::Items(RESIZE)),
    ("resources", Kind::Fields(RESOURCES)),
    ("restartPolicy", Kind::Text),
    ("securityContext", Kind::Fields(CONTAINER_SECURITY)),
    ("startupProbe", Kind::Fields(PROBE)),
    ("stdin", Kind::Flag),
    ("stdinOnce", Kind::Flag),
    ("targetContainerName", Kind::Text),
    ("terminationMessagePath", Kind::Text),
    ("terminationMessagePolicy", Kind::Text),
    ("tty", Kind::Flag),
    (
        "volumeDevices",
        Kind::Keyed(VOLUME_DEVICE, &[key("devicePath")]),
    ),
    (
        "volumeMounts",
        Kind::Keyed(VOLUME_MOUNT, &[key("mountPath")]),
    ),
    ("workingDir", Kind::Text),
];

const PORT_KEYS: &[Key] = &[
    key("containerPort"),
    Key {
        field: "protocol",
        default: Some("TCP"),
    },
];

const PORT: Shape = &[
    ("containerPort", Kind::Number),
    ("hostIP", Kind::Text),
    ("hostPort", Kind::Number),
    ("name", Kind::Text),
    ("protocol", Kind::Text),
];

const ENV: Shape = &[
    ("name", Kind::Text),
    ("value", Kind::Text),
    ("valueFrom", Kind::Free),
];

const ENV_FROM: Shape = &[
    ("configMapRef", Kind::Free),
    ("prefix", Kind::Text),
    ("secretRef", Kind::Free),
];

const RESOURCES: Shape = &[
    ("claims", Kind::Keyed(CLAIM, BY_NAME)),
    ("limits", Kind::Amounts),
    ("requests", Kind::Amounts),
];

const CLAIM: Shape = &[("name", Kind::Text), ("request", Kind::Text)];

const RESIZE: Shape = &[("resourceName", Kind::Text), ("restartPolicy", Kind::Text)];

const RESOURCE_CLAIM: Shape = &[
    ("name", Kind::Text),
    ("resourceClaimName", Kind::Text),
    ("resourceClaimTemplateName", Kind::Text),
];

const VOLUME_DEVICE: Shape = &[("devicePath", Kind::Text), ("name", Kind::Text)];

const VOLUME_MOUNT: Shape = &[
    ("mountPath", Kind::Text),
    ("mountPropagation", Kind::Text),
    ("name", Kind::Text),
    ("readOnly", Kind::Flag),
    ("recursiveReadOnly", Kind::Text),
    ("subPath", Kind::Text),
    ("subPathExpr", Kind::Text),
];

const LIFECYCLE: Shape = &[
    ("postStart", Kind::Fields(HANDLER)),
    ("preStop", Kind::Fields(HANDLER)),
    ("stopSignal", Kind::Text),
];

const HANDLER: Shape = &[
    ("exec", Kind::Fields(EXEC)),
    ("httpGet", Kind::Fields(HTTP_GET)),
    ("sleep", Kind::Fields(&[("seconds", Kind::Number)])),
    ("tcpSocket", Kind::Fields(TCP_SOCKET)),
];

const PROBE: Shape = &[
    ("exec", Kind::Fields(EXEC)),
    ("failureThreshold", Kind::Number),
    (
        "grpc",
        Kind::Fields(&[("port", Kind::Number), ("service", Kind::Text)]),
    ),
    ("httpGet", Kind::Fields(HTTP_GET)),
    ("initialDelaySeconds", Kind::Number),
    ("periodSeconds", Kind::Number),
    ("successThreshold", Kind::Number),
    ("tcpSocket", Kind::Fields(TCP_SOCKET)),
    ("terminationGracePeriodSeconds", Kind::Number),
    ("timeoutSeconds", Kind::Number),
];

const EXEC: Shape = &[("command", Kind::Texts)];

const HTTP_GET: Shape = &[
    ("host", Kind::Text),
    (
        "httpHeaders",
        Kind::Items(&[("name", Kind::Text), ("value", Kind::Text)]),
    ),
    ("path", Kind::Text),
    ("port", Kind::Port),
    ("scheme", Kind::Text),
];

const TCP_SOCKET: Shape = &[("host", Kind::Text), ("port", Kind::Port)];

const CONTAINER_SECURITY: Shape = &[
    ("allowPrivilegeEscalation", Kind::Flag),
    ("appArmorProfile", Kind::Fields(LOCAL_PROFILE)),
    (
        "capabilities",
        Kind::Fields(&[("add", Kind::Texts), ("drop", Kind::GrowingTexts)]),
    ),
    ("privileged", Kind::Flag),
    ("procMount", Kind::Text),
    ("readOnlyRootFilesystem", Kind::Flag),
    ("runAsGroup", Kind::Number),
    ("runAsNonRoot", Kind::Flag),
    ("runAsUser", Kind::Number),
    ("seLinuxOptions", Kind::Fields(SE_LINUX)),
    ("seccompProfile", Kind::Fields(LOCAL_PROFILE)),
    ("windowsOptions", Kind::Fields(WINDOWS)),
];

const POD_SECURITY: Shape = &[
    ("appArmorProfile", Kind::Fields(LOCAL_PROFILE)),
    ("fsGroup", Kind::Number),
    ("fsGroupChangePolicy", Kind::Text),
    ("runAsGroup", Kind::Number),
    ("runAsNonRoot", Kind::Flag),
    ("runAsUser", Kind::Number),
    ("seLinuxChangePolicy", Kind::Text),
    ("seLinuxOptions", Kind::Fields(SE_LINUX)),
    ("seccompProfile", Kind::Fields(LOCAL_PROFILE)),
    ("supplementalGroups", Kind::Free),
    ("supplementalGroupsPolicy", Kind::Text),
    (
        "sysctls",
        Kind::Items(&[("name", Kind::Text), ("value", Kind::Text)]),
    ),
    ("windowsOptions", Kind::Fields(WINDOWS)),
];

const LOCAL_PROFILE: Shape = &[("localhostProfile", Kind::Text), ("type", Kind::Text)];

const SE_LINUX: Shape = &[
    ("level", Kind::Text),
    ("role", Kind::Text),
    ("type", Kind::Text),
    ("user", Kind::Text),
];

const WINDOWS: Shape = &[
    ("gmsaCredentialSpec", Kind::Text),
    ("gmsaCredentialSpecName", Kind::Text),
    ("hostProcess", Kind::Flag),
    ("runAsUserName", Kind::Text),
];

const AFFINITY: Shape = &[
    ("nodeAffinity", Kind::Free),
    ("podAffinity", Kind::Free),
    ("podAntiAffinity", Kind::Free),
];

const DNS_CONFIG: Shape = &[
    ("nameservers", Kind::Texts),
    (
        "options",
        Kind::Items(&[("name", Kind::Text), ("value", Kind::Text)]),
    ),
    ("searches", Kind::Texts),
];

const HOST_ALIAS: Shape = &[("hostnames", Kind::Texts), ("ip", Kind::Text)];

const TOLERATION: Shape = &[
    ("effect", Kind::Text),
    ("key", Kind::Text),
    ("operator", Kind::Text),
    ("tolerationSeconds", Kind::Number),
    ("value", Kind::Text),
];

const SPREAD: Shape = &[
    ("labelSelector", Kind::Free),
    ("matchLabelKeys", Kind::Texts),
    ("maxSkew", Kind::Number),
    ("minDomains", Kind::Number),
    ("nodeAffinityPolicy", Kind::Text),
    ("nodeTaintsPolicy", Kind::Text),
    ("topologyKey", Kind::Text),
    ("whenUnsatisfiable", Kind::Text),
];

/// Every source of a volume has settings of its own, which are not listed.
const VOLUME: Shape = &[
    ("awsElasticBlockStore", Kind::Free),
    ("azureDisk", Kind::Free),
    ("azureFile", Kind::Free),
    ("cephfs", Kind::Free),
    ("cinder", Kind::Free),
    ("configMap", Kind::Free),
    ("csi", Kind::Free),
    ("downwardAPI", Kind::Free),
    ("emptyDir", Kind::Free),
    ("ephemeral", Kind::Free),
    ("fc", Kind::Free),
    ("flexVolume", Kind::Free),
    ("flocker", Kind::Free),
    ("gcePersistentDisk", Kind::Free),
    ("gitRepo", Kind::Free),
    ("glusterfs", Kind::Free),
    ("hostPath", Kind::Free),
    ("image", Kind::Free),
    ("iscsi", Kind::Free),
    ("name", Kind::Label),
    ("nfs", Kind::Free),
    ("persistentVolumeClaim", Kind::Free),
    ("photonPersistentDisk", Kind::Free),
    ("portworxVolume", Kind::Free),
    ("projected", Kind::Free),
    ("quobyte", Kind::Free),
    ("rbd", Kind::Free),
    ("scaleIO", Kind::Free),
    ("secret", Kind::Free),
    ("storageos", Kind::Free),
    ("vsphereVolume", Kind::Free),
];
