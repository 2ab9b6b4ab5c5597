//! Escapes in volumes: files of the host, and tokens of the cluster.

use super::{At, Findings};

/// The ends of paths at which a runtime or an agent takes orders.
const SOCKETS: [&str; 8] = [
    "docker.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "crio.sock",
    "podman.sock",
    "buildkitd.sock",
    "dockershim.sock",
    "kubelet.sock",
];

/// Audiences of tokens that the API of a cluster accepts.
const API_AUDIENCES: [&str; 3] = ["api", "kubernetes", "k8s"];

/// One volume.
pub(super) fn volume(volume: &At<'_>, findings: &mut Findings) {
    if let Some(source) = volume.get("hostPath")
        && !source.value.is_null()
    {
        host_path(&source, findings);
    }
    for (name, why) in [
        (
            "gitRepo",
            "lets the content of a repository run programs on the host",
        ),
        (
            "flexVolume",
            "runs a program of the host with settings from the patch",
        ),
    ] {
        if let Some(source) = volume.get(name)
            && !source.value.is_null()
        {
            findings.add(
                source.path,
                why,
                "fetch the data in an init container, or use a persistentVolumeClaim",
            );
        }
    }
    let projected = volume.get("projected");
    for source in projected.iter().flat_map(|p| p.list("sources")) {
        if let Some(token) = source.get("serviceAccountToken") {
            service_account_token(&token, findings);
        }
    }
}

fn host_path(source: &At<'_>, findings: &mut Findings) {
    let path = source.text("path").unwrap_or_default();
    let path = path.trim_end_matches('/');
    if SOCKETS.iter().any(|socket| path.ends_with(socket)) {
        findings.add(
            source.path.clone(),
            "hands the sandbox a socket at which its host takes orders",
            "leave it out",
        );
    } else {
        findings.add(
            source.path.clone(),
            "opens files of the host to the sandbox",
            "use an emptyDir or a persistentVolumeClaim",
        );
    }
}

/// A token for another service is what workload identity is made of; one for
/// the cluster, which is what a token without an audience is for, is a way out.
fn service_account_token(token: &At<'_>, findings: &mut Findings) {
    let audience = token.text("audience").unwrap_or_default();
    let is_for_api = audience.is_empty()
        || API_AUDIENCES.contains(&audience)
        || audience.contains("kubernetes.default");
    if is_for_api {
        findings.add(
            token.path.clone(),
            "hands the sandbox a token for the API of the cluster",
            "name the audience of another service, or leave it out",
        );
    }
}
