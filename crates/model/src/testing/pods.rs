//! Pod patches as people write them: good ones, and each known way out of one.

use serde_json::{Value, json};

/// `spec` blocks of patches that weaken nothing.
///
/// Among them is every field that public profiles use: scratch and shared
/// volumes, init containers, mounts of the main container, Slurm scheduling.
pub fn good_specs() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "enableServiceLinks": false, "automountServiceAccountToken": false }),
        json!({
            "schedulerName": "tenant-slurm-slurm-scheduler",
            "terminationGracePeriodSeconds": 24,
        }),
        json!({
            "volumes": [{ "name": "scratch", "emptyDir": {} }],
            "initContainers": [{
                "name": "prep", "image": "busybox", "command": ["sh", "-c", "echo prepping"],
            }],
            "securityContext": { "runAsNonRoot": true },
        }),
        json!({
            "nodeSelector": { "gpu": "h100" },
            "serviceAccountName": "kernels",
            "automountServiceAccountToken": false,
            "tolerations": [{ "key": "is_gpu", "operator": "Exists", "effect": "NoSchedule" }],
            "volumes": [
                { "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": "1Gi" } },
                { "name": "home", "persistentVolumeClaim": { "claimName": "homes" } },
            ],
            "containers": [{
                "name": "",
                "volumeMounts": [
                    { "name": "home", "mountPath": "/home", "subPathExpr": "$(USER_ID)/home" },
                    { "name": "tmp", "mountPath": "/tmp" },
                ],
                "resources": {},
            }],
        }),
        json!({
            "hostUsers": false,
            "securityContext": {
                "runAsUser": 1000,
                "fsGroup": 1000,
                "seccompProfile": { "type": "RuntimeDefault" },
                "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }],
            },
            "containers": [{
                "name": "",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] },
                },
                "ports": [{ "containerPort": 8080 }],
                "readinessProbe": { "httpGet": { "path": "/", "port": 8080 } },
            }],
        }),
        json!({
            "containers": [{ "name": "metrics", "image": "example.com/metrics:1", "env": [
                { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            ] }],
            "volumes": [{ "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "audience": "https://storage.example.com" } },
            ] } }],
            "priorityClassName": "batch",
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
            }],
        }),
        json!({ "hostname": null, "imagePullSecrets": [{ "name": "registry" }] }),
    ]
}

/// Ways out of a sandbox: a `spec` block, and where in it the way out is.
pub fn escapes() -> Vec<(Value, &'static str)> {
    let mut all = pod_escapes();
    all.extend(container_escapes());
    all.extend(volume_escapes());
    all.extend(removals());
    all
}

fn pod_escapes() -> Vec<(Value, &'static str)> {
    let context = |context: Value| json!({ "securityContext": context });
    vec![
        (json!({ "hostNetwork": true }), "hostNetwork"),
        (json!({ "hostPID": true }), "hostPID"),
        (json!({ "hostIPC": true }), "hostIPC"),
        (json!({ "hostUsers": true }), "hostUsers"),
        (
            json!({ "shareProcessNamespace": true }),
            "shareProcessNamespace",
        ),
        (
            json!({ "automountServiceAccountToken": true }),
            "automountServiceAccountToken",
        ),
        (json!({ "nodeName": "node-1" }), "nodeName"),
        (
            json!({ "priorityClassName": "system-node-critical" }),
            "priorityClassName",
        ),
        (json!({ "priority": 2_000_001_000 }), "priority"),
        (json!({ "runtimeClassName": "runc" }), "runtimeClassName"),
        (
            context(json!({ "seccompProfile": { "type": "Unconfined" } })),
            "securityContext.seccompProfile.type",
        ),
        (
            context(json!({ "appArmorProfile": { "type": "Unconfined" } })),
            "securityContext.appArmorProfile.type",
        ),
        (
            context(json!({ "seLinuxOptions": { "type": "spc_t" } })),
            "securityContext.seLinuxOptions.type",
        ),
        (
            context(json!({ "seLinuxOptions": { "user": "system_u" } })),
            "securityContext.seLinuxOptions.user",
        ),
        (
            context(json!({ "windowsOptions": { "hostProcess": true } })),
            "securityContext.windowsOptions.hostProcess",
        ),
        (
            context(json!({ "sysctls": [{ "name": "kernel.msgmax", "value": "1" }] })),
            "securityContext.sysctls[0]",
        ),
        (
            context(
                json!({ "sysctls": [{ "name": "net.ipv4.conf.all.route_localnet", "value": "1" }] }),
            ),
            "securityContext.sysctls[0]",
        ),
    ]
}

fn container_escapes() -> Vec<(Value, &'static str)> {
    let main = |fields: Value| {
        let mut container = fields;
        container["name"] = json!("");
        json!({ "containers": [container] })
    };
    let context = |context: Value| main(json!({ "securityContext": context }));
    vec![
        (
            context(json!({ "privileged": true })),
            "containers[0].securityContext.privileged",
        ),
        (
            context(json!({ "allowPrivilegeEscalation": true })),
            "containers[0].securityContext.allowPrivilegeEscalation",
        ),
        (
            context(json!({ "procMount": "Unmasked" })),
            "containers[0].securityContext.procMount",
        ),
        (
            context(json!({ "capabilities": { "add": ["CHOWN", "SYS_ADMIN"] } })),
            "containers[0].securityContext.capabilities.add[1]",
        ),
        (
            context(json!({ "capabilities": { "add": ["CAP_SYS_MODULE"] } })),
            "containers[0].securityContext.capabilities.add[0]",
        ),
        (
            context(json!({ "capabilities": { "add": ["dac_read_search"] } })),
            "containers[0].securityContext.capabilities.add[0]",
        ),
        (
            context(json!({ "capabilities": { "add": ["NET_RAW"] } })),
            "containers[0].securityContext.capabilities.add[0]",
        ),
        (
            context(json!({ "capabilities": { "add": ["ALL"] } })),
            "containers[0].securityContext.capabilities.add[0]",
        ),
        (
            context(json!({ "seccompProfile": { "type": "Unconfined" } })),
            "containers[0].securityContext.seccompProfile.type",
        ),
        (
            context(json!({ "windowsOptions": { "hostProcess": true } })),
            "containers[0].securityContext.windowsOptions.hostProcess",
        ),
        (
            main(json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] })),
            "containers[0].ports[0].hostPort",
        ),
        (
            main(json!({ "volumeMounts": [{
                "name": "x", "mountPath": "/x", "mountPropagation": "Bidirectional",
            }] })),
            "containers[0].volumeMounts[0].mountPropagation",
        ),
        (
            main(
                json!({ "livenessProbe": { "httpGet": { "host": "169.254.169.254", "port": 80 } } }),
            ),
            "containers[0].livenessProbe.httpGet.host",
        ),
        (
            main(
                json!({ "lifecycle": { "postStart": { "tcpSocket": { "host": "10.0.0.1", "port": 22 } } } }),
            ),
            "containers[0].lifecycle.postStart.tcpSocket.host",
        ),
        (
            json!({ "initContainers": [{ "name": "x", "securityContext": { "privileged": true } }] }),
            "initContainers[0].securityContext.privileged",
        ),
        (
            json!({ "containers": [{ "name": "", "tty": true }, {
                "name": "side", "securityContext": { "capabilities": { "add": ["SYS_PTRACE"] } },
            }] }),
            "containers[1].securityContext.capabilities.add[0]",
        ),
    ]
}

fn volume_escapes() -> Vec<(Value, &'static str)> {
    let volume = |name: &str, source: Value| json!({ "volumes": [{ "name": "x", name: source }] });
    let token = |token: Value| {
        volume(
            "projected",
            json!({ "sources": [{ "serviceAccountToken": token }] }),
        )
    };
    vec![
        (
            volume("hostPath", json!({ "path": "/" })),
            "volumes[0].hostPath",
        ),
        (
            volume("hostPath", json!({ "path": "/var/run/docker.sock" })),
            "volumes[0].hostPath",
        ),
        (
            volume(
                "hostPath",
                json!({ "path": "/run/containerd/containerd.sock", "type": "Socket" }),
            ),
            "volumes[0].hostPath",
        ),
        (
            volume("gitRepo", json!({ "repository": "https://example.com/x" })),
            "volumes[0].gitRepo",
        ),
        (
            volume("flexVolume", json!({ "driver": "example.com/x" })),
            "volumes[0].flexVolume",
        ),
        (
            token(json!({ "path": "token" })),
            "volumes[0].projected.sources[0].serviceAccountToken",
        ),
        (
            token(json!({ "path": "token", "audience": "https://kubernetes.default.svc" })),
            "volumes[0].projected.sources[0].serviceAccountToken",
        ),
    ]
}

fn removals() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({ "automountServiceAccountToken": null }),
            "automountServiceAccountToken",
        ),
        (json!({ "hostUsers": null }), "hostUsers"),
        (json!({ "runtimeClassName": null }), "runtimeClassName"),
        (json!({ "securityContext": null }), "securityContext"),
        (
            json!({ "securityContext": { "seccompProfile": null } }),
            "securityContext.seccompProfile",
        ),
        (
            json!({ "securityContext": { "$patch": "replace", "runAsUser": 0 } }),
            "securityContext.$patch",
        ),
        (
            json!({ "containers": [{ "name": "", "securityContext": null }] }),
            "containers[0].securityContext",
        ),
        (
            json!({ "containers": [{ "name": "", "securityContext": { "capabilities": { "drop": null } } }] }),
            "containers[0].securityContext.capabilities.drop",
        ),
        (
            json!({ "containers": [{ "name": "side", "$patch": "delete" }] }),
            "containers[0].$patch",
        ),
        (json!({ "initContainers": null }), "initContainers"),
        (json!({ "volumes": null }), "volumes"),
        (
            json!({ "volumes": [{ "$patch": "replace" }] }),
            "volumes[0].$patch",
        ),
    ]
}
