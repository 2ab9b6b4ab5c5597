//! Escapes in the security contexts of a pod and of its containers.

use super::{At, Findings, switched_on};
use crate::document::clipped;

/// Capabilities that a container may add: those that runtimes give anyway and
/// that reach nothing outside of it.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel parameters that have effect in the pod's own namespaces only.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Types of `SELinux` under which a container stays one.
const SE_LINUX_TYPES: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// The security context of a pod.
pub(super) fn pod(context: &At<'_>, findings: &mut Findings) {
    shared(context, findings);
    for sysctl in context.list("sysctls") {
        let name = sysctl.text("name").unwrap_or_default();
        if !SYSCTLS.contains(&name.replace('/', ".").as_str()) {
            findings.add(
                sysctl.path,
                "sets a kernel parameter that can reach the host or other pods",
                "leave it out; those that stay in the pod are allowed, such as net.ipv4.ip_unprivileged_port_start",
            );
        }
    }
}

/// The security context of a container.
pub(super) fn container(context: &At<'_>, findings: &mut Findings) {
    shared(context, findings);
    let why = "gives the container all power over its host";
    let instead = "leave it out and use what the structured fields of the profile offer";
    switched_on(context, "privileged", (why, instead), findings);
    switched_on(
        context,
        "allowPrivilegeEscalation",
        (
            "lets programs gain rights that the sandbox was started without",
            "leave it out or set it to false",
        ),
        findings,
    );
    let mount = context.get("procMount");
    if let Some(mount) = mount.filter(|m| m.value.as_str().is_some_and(|v| v != "Default")) {
        findings.add(
            mount.path,
            "uncovers the parts of /proc that reach the kernel",
            "leave it out",
        );
    }
    let capabilities = context.get("capabilities");
    for added in capabilities.iter().flat_map(|c| c.list("add")) {
        let name = added
            .value
            .as_str()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if !CAPABILITIES.contains(&name) {
            findings.add(
                added.path.clone(),
                &format!(
                    "adds the capability {}, with which a container can act beyond itself",
                    clipped(name)
                ),
                "leave it out",
            );
        }
    }
}

/// What both kinds of context have.
fn shared(context: &At<'_>, findings: &mut Findings) {
    for (name, why) in [
        ("seccompProfile", "opens every system call of the kernel"),
        (
            "appArmorProfile",
            "takes the sandbox out of AppArmor's control",
        ),
    ] {
        let profile = context.get(name);
        if let Some(profile) = profile.filter(|p| p.text("type") == Some("Unconfined")) {
            let path = profile.path.key("type");
            findings.add(path, why, "use RuntimeDefault, or leave it out");
        }
    }
    if let Some(options) = context.get("seLinuxOptions") {
        se_linux(&options, findings);
    }
    if let Some(windows) = context.get("windowsOptions") {
        let why = "runs the container as a process of its host";
        switched_on(&windows, "hostProcess", (why, "leave it out"), findings);
    }
}

fn se_linux(options: &At<'_>, findings: &mut Findings) {
    let why = "takes the sandbox out of SELinux' control";
    if let Some(kind) = options.text("type")
        && !SE_LINUX_TYPES.contains(&kind)
    {
        findings.add(
            options.path.key("type"),
            why,
            "use container_t, or leave it out",
        );
    }
    for name in ["user", "role"] {
        if options.text(name).is_some_and(|text| !text.is_empty()) {
            findings.add(options.path.key(name), why, "leave it out");
        }
    }
}
