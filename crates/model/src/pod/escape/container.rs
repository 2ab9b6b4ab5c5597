//! Escapes in a container: its ports, mounts, probes and security context.

use serde_json::Value;

use super::{At, Findings, security};

/// Where a request is made from the node: probes, and handlers of hooks.
const CALLS: [&[&str]; 5] = [
    &["livenessProbe"],
    &["readinessProbe"],
    &["startupProbe"],
    &["lifecycle", "postStart"],
    &["lifecycle", "preStop"],
];

/// One container of any kind.
pub(super) fn container(container: &At<'_>, findings: &mut Findings) {
    for port in container.list("ports") {
        host_port(&port, findings);
    }
    for mount in container.list("volumeMounts") {
        if mount.text("mountPropagation") == Some("Bidirectional") {
            findings.add(
                mount.path.key("mountPropagation"),
                "carries mounts from the sandbox to its host",
                "leave it out",
            );
        }
    }
    for keys in CALLS {
        let call = container.get_in(keys);
        if let Some(call) = call {
            called_host(&call, findings);
        }
    }
    if let Some(context) = container.get("securityContext") {
        security::container(&context, findings);
    }
}

fn host_port(port: &At<'_>, findings: &mut Findings) {
    let number = port.value.get("hostPort").and_then(Value::as_i64);
    if number.is_some_and(|number| number != 0) {
        findings.add(
            port.path.key("hostPort"),
            "opens a port of the host, past every ingress rule",
            "use an exposure level in spec.network.ingress",
        );
    }
}

fn called_host(call: &At<'_>, findings: &mut Findings) {
    for kind in ["httpGet", "tcpSocket"] {
        let Some(action) = call.get(kind) else {
            continue;
        };
        if action.text("host").is_some_and(|host| !host.is_empty()) {
            findings.add(
                action.path.key("host"),
                "makes the node call an address of the sandbox's choice",
                "leave it out, so that the sandbox itself is called",
            );
        }
    }
}
