//! A request for a sandbox as a document, to be explained and not to be started.
//!
//! The fields are those of `StartSandboxRequest`, in either spelling. What they
//! mean is read by [`crate::v1beta2::start_request`], the same as of a call, so
//! that a document is refused for the same reasons.

use std::collections::HashMap;

use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::StartRequest;
use palisade_model::violation::{FieldPath, ViolationKind};

use crate::document::Node;
use crate::located::{Located, Source, read, refuse_all};
use crate::proto::v1beta2 as pb;
use crate::spelling::{Finding, START_REQUEST};
use crate::v1beta2::start_request;

mod kept;

/// The most items of any list or map of a request.
const ITEMS_MAX: usize = 4_096;

const FIELDS: [&str; 23] = [
    "command",
    "args",
    "tags",
    "container_image",
    "environment_variables",
    "ports",
    "network",
    "profile_ids",
    "profile_names",
    "runner_ids",
    "max_lifetime_seconds",
    "max_timeout_seconds",
    "pod_annotations",
    "resources",
    "resource_requests",
    "resource_limits",
    "mounted_files",
    "file_system",
    "secret_stores",
    "runner_cluster_secrets",
    "volumes",
    "s3_mount",
    "object_storage_access",
];

/// Why a document is no request that could be started.
#[derive(Clone, Debug)]
pub enum Unread {
    /// What is wrong in it, in its own spelling.
    Findings(Vec<Finding>),
    /// What a call would be told.
    Refused(Refusal),
}

/// Reads a request.
pub fn read_start_request(node: &Node, source: &Source) -> Result<Located<StartRequest>, Unread> {
    let mut refused = None;
    let made = read(node, &START_REQUEST, source, |root, reader| {
        let fields = reader.fields(root, &FIELDS)?;
        let message = message(&fields, reader);
        match start_request(message) {
            Ok(request) => Some(request),
            // What is not about fields is told as it is.
            Err(refusal) if refusal.violations.is_empty() => {
                refused = Some(refusal);
                None
            }
            Err(refusal) => {
                refuse_all(reader, &FieldPath::root(), refusal.violations);
                None
            }
        }
    });
    match (made, refused) {
        (Err(findings), Some(refusal)) if findings.is_empty() => Err(Unread::Refused(refusal)),
        (made, _) => made.map_err(Unread::Findings),
    }
}

/// The message that the document stands for; what is wrong is noted and absent.
fn message(fields: &Fields<'_>, reader: &mut Reader) -> pb::StartSandboxRequest {
    pb::StartSandboxRequest {
        command: text(fields, "command", reader),
        args: texts(fields, "args", reader),
        tags: texts(fields, "tags", reader),
        container_image: text(fields, "container_image", reader),
        environment_variables: map(fields, "environment_variables", reader),
        ports: ports(fields, reader),
        network: network(fields, reader),
        profile_ids: texts(fields, "profile_ids", reader),
        profile_names: texts(fields, "profile_names", reader),
        runner_ids: texts(fields, "runner_ids", reader),
        max_lifetime_seconds: number(fields, "max_lifetime_seconds", reader),
        max_timeout_seconds: number(fields, "max_timeout_seconds", reader),
        pod_annotations: map(fields, "pod_annotations", reader),
        resources: amounts(fields, "resources", reader),
        resource_requests: amounts(fields, "resource_requests", reader),
        resource_limits: amounts(fields, "resource_limits", reader),
        mounted_files: kept::mounted_files(fields, reader),
        s3_mount: kept::s3_mount(fields),
        file_system: kept::file_system(fields, reader),
        runner_cluster_secrets: kept::runner_cluster_secrets(fields, reader),
        object_storage_access: kept::object_storage_access(fields),
        secret_stores: kept::secret_stores(fields, reader),
        volumes: kept::volumes(fields),
    }
}

fn text(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> String {
    let node = fields.get(key);
    let text = node.and_then(|node| reader.text(&node));
    text.unwrap_or_default().to_owned()
}

fn texts(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> Vec<String> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let items = reader.items(&node, ITEMS_MAX).unwrap_or_default();
    let texts = items.iter().filter_map(|item| reader.text(item));
    texts.map(str::to_owned).collect()
}

fn map(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> HashMap<String, String> {
    let Some(node) = fields.get(key) else {
        return HashMap::new();
    };
    let entries = reader.entries(&node, ITEMS_MAX).unwrap_or_default();
    let texts = entries
        .iter()
        .filter_map(|(key, node)| Some(((*key).to_owned(), reader.text(node)?.to_owned())));
    texts.collect()
}

fn number(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> i32 {
    let node = fields.get(key);
    node.and_then(|node| small(&node, reader))
        .unwrap_or_default()
}

fn small(node: &Place<'_>, reader: &mut Reader) -> Option<i32> {
    let count = reader.count(node)?;
    let small = i32::try_from(count).ok();
    if small.is_none() {
        let what = format!("must be at most {}", i32::MAX);
        reader.refuse(node, ViolationKind::Invalid, what);
    }
    small
}

fn ports(fields: &Fields<'_>, reader: &mut Reader) -> Vec<pb::Port> {
    let Some(node) = fields.get("ports") else {
        return Vec::new();
    };
    let items = reader.items(&node, ITEMS_MAX).unwrap_or_default();
    let mut ports = Vec::with_capacity(items.len());
    for item in &items {
        let known = ["container_port", "name", "protocol"];
        let Some(fields) = reader.fields(item, &known) else {
            continue;
        };
        ports.push(pb::Port {
            container_port: number(&fields, "container_port", reader),
            name: text(&fields, "name", reader),
            protocol: text(&fields, "protocol", reader),
        });
    }
    ports
}

fn network(fields: &Fields<'_>, reader: &mut Reader) -> Option<pb::NetworkOptions> {
    let node = fields.get("network")?;
    let known = ["ingress_mode", "exposed_ports", "egress_mode"];
    let fields = reader.fields(&node, &known)?;
    let exposed = fields.get("exposed_ports");
    let mut exposed_ports = Vec::new();
    if let Some(node) = &exposed {
        let items = reader.items(node, ITEMS_MAX).unwrap_or_default();
        exposed_ports.extend(items.iter().filter_map(|item| small(item, reader)));
    }
    Some(pb::NetworkOptions {
        ingress_mode: text(&fields, "ingress_mode", reader),
        exposed_ports,
        egress_mode: text(&fields, "egress_mode", reader),
    })
}

fn amounts(fields: &Fields<'_>, key: &str, reader: &mut Reader) -> Option<pb::ResourceRequest> {
    let node = fields.get(key)?;
    let fields = reader.fields(&node, &["cpu", "memory", "gpu"])?;
    Some(pb::ResourceRequest {
        cpu: text(&fields, "cpu", reader),
        memory: text(&fields, "memory", reader),
        gpu: gpu(&fields, reader),
    })
}

fn gpu(fields: &Fields<'_>, reader: &mut Reader) -> Option<pb::GpuRequest> {
    let node = fields.get("gpu")?;
    let known = ["gpu_count", "gpu_type", "gpu_memory_gb"];
    let fields = reader.fields(&node, &known)?;
    let count = fields.get("gpu_count");
    let count = count.and_then(|node| reader.count(&node));
    let kind = fields.get("gpu_type");
    let memory = fields.get("gpu_memory_gb");
    if let (Some(_), Some(memory)) = (&kind, &memory) {
        let what = "contradicts gpu_type; name the type or the memory, not both";
        reader.refuse(memory, ViolationKind::Conflict, what);
    }
    let kind = kind.and_then(|node| Some(reader.text(&node)?.to_owned()));
    let memory = memory.and_then(|node| reader.count(&node));
    let by_memory = memory.map(|size| pb::gpu_request::Spec::GpuMemoryGb(size.into()));
    Some(pb::GpuRequest {
        gpu_count: count.unwrap_or_default().into(),
        spec: kind.map(pb::gpu_request::Spec::GpuType).or(by_memory),
    })
}

#[cfg(test)]
mod tests {
    use palisade_model::sandbox::GpuKind;

    use super::*;
    use crate::document::{Format, parse};
    use crate::spelling::Dialect;

    fn read(text: &str) -> Result<StartRequest, Vec<String>> {
        let node = parse(text.as_bytes(), Format::Either).unwrap();
        let source = Source::whole(Dialect::Friendly);
        read_start_request(&node, &source)
            .map(|located| located.value)
            .map_err(|unread| {
                let Unread::Findings(findings) = unread else {
                    unreachable!("fields are wrong: {unread:?}");
                };
                let lines = findings.iter().map(|finding| {
                    let line = finding.place.map_or(0, |place| place.line);
                    format!("{line}: {}", finding.violation)
                });
                lines.collect()
            })
    }

    #[test]
    fn a_document_says_what_a_call_says() {
        let text = "command: sleep\nargs: [\"60\"]\ncontainer_image: python:3.11\n\
            ports: [{container_port: 8080}]\n\
            network: {egress_mode: deny-all, ingress_mode: public, exposed_ports: [8080]}\n\
            profile_names: [agents]\nrunner_ids: [local]\nmax_lifetime_seconds: 60\n\
            pod_annotations: {team: ml}\n\
            resources: {cpu: 2, memory: 4Gi, gpu: {gpu_count: 1, gpu_type: h100}}\n";
        let request = read(text).unwrap();
        assert_eq!(request.command, ["sleep", "60"]);
        assert_eq!(request.ports[0].number, 8080);
        assert_eq!(request.network.exposed_ports, [8080]);
        assert_eq!(request.selectors.profiles, ["agents"]);
        assert_eq!(request.limits.cpu.unwrap().as_str(), "2");
        let gpu = request.requests.gpu.unwrap();
        assert_eq!((gpu.count, gpu.kind), (1, GpuKind::Type("h100".to_owned())));
    }

    #[test]
    fn the_wire_s_spelling_means_the_same() {
        let friendly = read("network: {egress_mode: none}\nprofile_names: [a]\n").unwrap();
        let wire = read("{\"network\": {\"egressMode\": \"none\"}, \"profileNames\": [\"a\"]}");
        assert_eq!(wire.unwrap(), friendly);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_its_line() {
        let text = "network:\n  egress: none\nresources:\n  cpu: lots\nports:\n  - {container_port: 99999}\n";
        let wrong = read(text).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("2: network.egress"), "{wrong:?}");
        assert!(wrong[1].starts_with("4: resources.cpu"), "{wrong:?}");
        assert!(
            wrong[2].starts_with("6: ports[0].container_port"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_type_and_a_size_of_gpu_contradict() {
        let text = "resources: {gpu: {gpu_count: 1, gpu_type: a, gpu_memory_gb: 80}}";
        let wrong = read(text).unwrap_err();
        assert!(
            wrong[0].contains("gpu_memory_gb contradicts gpu_type"),
            "{wrong:?}"
        );
    }

    #[test]
    fn secrets_files_and_a_file_system_are_read_as_of_a_call() {
        let text = "secret_stores: [{store_name: team, secrets: [{path: db, field: pass, env_var: P}]}]\n\
            runner_cluster_secrets: [{kubernetes: {secret_name: db, secret_key: user}, env_var: U}]\n\
            mounted_files: [{mount_path: /a, file_content: aGk=}]\n\
            file_system: {mount_path: /data, size: 2Gi}\n";
        let request = read(text).unwrap();
        let variables = request.secrets.iter();
        let variables: Vec<_> = variables.map(|it| it.variable.env_var.as_str()).collect();
        assert_eq!(variables, ["P", "U"]);
        assert_eq!(&request.mounted_files[0].content[..], b"hi");
        assert_eq!(request.file_system.unwrap().mount_path.as_str(), "/data");
    }

    #[test]
    fn a_secret_that_is_wrong_is_told_at_its_line() {
        let text = "secret_stores:\n  - store_name: team\n    secrets:\n      - {path: ../x, env_var: P}\n\
            mounted_files: [{mount_path: /a, file_content: '%'}]\n";
        let wrong = read(text).unwrap_err();
        assert!(
            wrong[0].starts_with("4: secret_stores[0].secrets[0].path"),
            "{wrong:?}"
        );
        assert!(
            wrong[1].starts_with("5: mounted_files[0].file_content"),
            "{wrong:?}"
        );
    }

    #[test]
    fn what_the_server_does_not_have_is_refused_as_a_call_is() {
        for (text, field) in [
            ("volumes: [{volume_id: v, mount_path: /v}]", "volumes"),
            ("s3_mount: {bucket: b}", "s3_mount"),
            (
                "object_storage_access: {buckets: [b]}",
                "object_storage_access",
            ),
        ] {
            let node = parse(text.as_bytes(), Format::Either).unwrap();
            let source = Source::whole(Dialect::Friendly);
            let Err(Unread::Refused(refusal)) = read_start_request(&node, &source) else {
                unreachable!("{field} is refused");
            };
            assert_eq!(refusal.metadata["feature"], field);
        }
    }
}
