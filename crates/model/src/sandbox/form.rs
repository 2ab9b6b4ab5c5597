//! A launch as a document, for whoever keeps one or sends one.
//!
//! Reading is strict: an unknown field makes the whole document unreadable,
//! since it may be a guardrail of a newer version. What a profile can say is
//! written in the structured form of [`crate::profile::form`], as a spec in
//! which everything is decided. [`encode_launch`] and [`decode_launch`] are
//! inverse.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::document::{Node, Reader};
use crate::profile::{Egress, NetworkSpec, ProfileSpec, ResourceDefaults, form};
use crate::sandbox::{
    AppliedEgress, AppliedExposure, GpuKind, GpuRequest, GrantedResources, Launch, LaunchNamespace,
    MountedFile, Owner, PodMetadata, Port, Protocol, Workload,
};
use crate::violation::{FieldPath, Violation, ViolationKind};

mod file_system;

/// The version of the document that is written. Readers refuse any other.
pub const LAUNCH_FORMAT: u32 = 1;

/// The most entries of any list or map of a launch.
const ENTRIES_MAX: usize = 65_536;

// What can be asked for can be read back.
const _: () = assert!(ENTRIES_MAX >= crate::sandbox::PROCESS_WORDS_MAX);

const FIELDS: [&str; 20] = [
    "format",
    "id",
    "organization",
    "user",
    "runner",
    "profile",
    "profile_name",
    "spec",
    "command",
    "environment",
    "gpu",
    "namespace",
    "exposed_ports",
    "ports",
    "mounted_files",
    "labels",
    "annotations",
    "max_lifetime_ms",
    "file_system",
    "secrets",
];

/// Writes a launch, the contents of its mounted files included.
pub fn encode_launch(launch: &Launch) -> Value {
    let Launch {
        id,
        owner: Owner { organization, user },
        runner,
        profile,
        profile_name,
        workload,
        resources,
        runtime_class: _,
        instance_types: _,
        node_selector: _,
        namespace,
        egress: _,
        exposure,
        ports,
        secrets,
        mounted_files,
        file_system,
        metadata: PodMetadata {
            labels,
            annotations,
        },
        pod: _,
        max_lifetime,
    } = launch;
    let mut document = json!({
        "format": LAUNCH_FORMAT,
        "id": id.to_string(),
        "organization": organization.as_str(),
        "user": user.as_str(),
        "runner": runner.as_str(),
        "profile": profile.to_string(),
        "profile_name": profile_name.as_str(),
        "spec": form::encode(&decided_spec(launch)),
        "command": workload.command,
        "environment": text_map(&workload.environment),
        "gpu": resources.gpu.as_ref().map(encode_gpu),
        "namespace": encode_namespace(namespace),
        "exposed_ports": exposure.as_ref().map(|exposure| exposure.ports.clone()),
        "ports": ports.iter().map(encode_port).collect::<Vec<_>>(),
        "mounted_files": mounted_files.iter().map(encode_file).collect::<Vec<_>>(),
        "labels": text_map(labels),
        "annotations": text_map(annotations),
        "max_lifetime_ms": max_lifetime.map(millis),
    });
    // Not written where there is none: runners that know of none read the rest.
    if let Some(file_system) = file_system {
        document["file_system"] = file_system::encode(file_system);
    }
    // Whoever knows no secrets can read launches without any.
    if !secrets.is_empty() {
        document["secrets"] = secrets::encode(secrets);
    }
    document
}

/// Reads a launch, or finds everything that is wrong with the document.
pub fn decode_launch(document: &Value) -> Result<Launch, Vec<Violation>> {
    let mut reader = Reader::default();
    let launch = read_launch(&mut reader, &Node::root(document));
    let violations = reader.finish();
    match launch {
        Some(launch) if violations.is_empty() => Ok(launch),
        _ if violations.is_empty() => Err(vec![unreadable()]),
        _ => Err(violations),
    }
}

fn unreadable() -> Violation {
    let description = "is not a complete launch";
    Violation::new(FieldPath::root(), ViolationKind::Required, description)
}

/// What a profile could have said, with everything decided: one egress mode,
/// and at most one ingress level.
fn decided_spec(launch: &Launch) -> ProfileSpec {
    let AppliedEgress { name, mode } = &launch.egress;
    let ingress = launch
        .exposure
        .iter()
        .map(|applied| (applied.name.clone(), applied.exposure.clone()))
        .collect();
    let GrantedResources {
        cpu_request,
        cpu_limit,
        memory_request,
        memory_limit,
        gpu: _,
    } = launch.resources.clone();
    let instance_types = &launch.instance_types;
    ProfileSpec {
        container_image: Some(launch.workload.image.clone()),
        runtime_class: launch.runtime_class.clone(),
        resource_defaults: ResourceDefaults {
            cpu_request,
            memory_request,
            cpu_limit,
            memory_limit,
        },
        instance_types: (!instance_types.is_empty()).then(|| instance_types.clone()),
        node_selector: launch.node_selector.clone(),
        network: Some(NetworkSpec {
            // A mode that is the only one is the default; that cannot fail.
            egress: Egress::new(name.clone(), BTreeMap::from([(name.clone(), mode.clone())])).ok(),
            ingress,
        }),
        pod: launch.pod.clone(),
        ..ProfileSpec::default()
    }
}

fn text_map(map: &BTreeMap<String, String>) -> Value {
    let entries = map
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(value.clone())));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn encode_gpu(gpu: &GpuRequest) -> Value {
    let GpuRequest { count, kind } = gpu;
    match kind {
        GpuKind::Any => json!({ "count": count }),
        GpuKind::Type(name) => json!({ "count": count, "type": name }),
        GpuKind::MemoryGb(size) => json!({ "count": count, "memory_gb": size }),
    }
}

fn encode_namespace(namespace: &LaunchNamespace) -> Value {
    let LaunchNamespace {
        name,
        auto_create,
        labels,
        annotations,
    } = namespace;
    json!({
        "name": name.as_str(),
        "auto_create": auto_create,
        "labels": text_map(labels),
        "annotations": text_map(annotations),
    })
}

fn encode_port(port: &Port) -> Value {
    let Port {
        number,
        name,
        protocol,
    } = port;
    json!({ "number": number, "name": name, "protocol": protocol.as_str() })
}

fn encode_file(file: &MountedFile) -> Value {
    let MountedFile { path, content } = file;
    json!({ "path": path, "content": STANDARD.encode(content) })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read_launch(reader: &mut Reader, root: &Node<'_>) -> Option<Launch> {
    let fields = reader.fields(root, &FIELDS)?;
    read_format(reader, &fields.get("format")?)?;
    let spec = read_spec(reader, &fields.get("spec")?)?;
    let (egress, exposure) = read_network(&spec, || {
        let node = fields.get("exposed_ports")?;
        let items = reader.items(&node, ENTRIES_MAX)?;
        items
            .iter()
            .map(|item| read_port_number(reader, item))
            .collect()
    })?;
    let ports = list(reader, &fields.get("ports")?, read_port)?;
    let secrets = match fields.get("secrets") {
        Some(node) => list(reader, &node, secrets::read)?,
        None => Vec::new(),
    };
    let mounted_files = list(reader, &fields.get("mounted_files")?, read_file)?;
    let gpu = match fields.get("gpu") {
        Some(node) => Some(read_gpu(reader, &node)?),
        None => None,
    };
    let max_lifetime = match fields.get("max_lifetime_ms") {
        Some(node) => Some(read_millis(reader, &node)?),
        None => None,
    };
    let file_system = match fields.get("file_system") {
        Some(node) => Some(file_system::read(reader, &node)?),
        None => None,
    };
    let command = list(reader, &fields.get("command")?, |reader, node| {
        reader.text(node).map(str::to_owned)
    })?;
    Some(Launch {
        id: reader.parsed(&fields.get("id")?)?,
        owner: Owner {
            organization: reader.parsed(&fields.get("organization")?)?,
            user: reader.parsed(&fields.get("user")?)?,
        },
        runner: reader.parsed(&fields.get("runner")?)?,
        profile: reader.parsed(&fields.get("profile")?)?,
        profile_name: reader.parsed(&fields.get("profile_name")?)?,
        workload: Workload {
            image: spec.container_image?,
            command,
            environment: read_text_map(reader, &fields.get("environment")?)?,
        },
        resources: granted(spec.resource_defaults, gpu),
        runtime_class: spec.runtime_class,
        instance_types: spec.instance_types.unwrap_or_default(),
        node_selector: spec.node_selector,
        namespace: read_namespace(reader, &fields.get("namespace")?)?,
        egress,
        exposure,
        ports,
        secrets,
        mounted_files,
        file_system,
        metadata: PodMetadata {
            labels: read_text_map(reader, &fields.get("labels")?)?,
            annotations: read_text_map(reader, &fields.get("annotations")?)?,
        },
        pod: spec.pod,
        max_lifetime,
    })
}

fn read_format(reader: &mut Reader, node: &Node<'_>) -> Option<()> {
    let format = reader.count(node)?;
    if format != LAUNCH_FORMAT {
        let description = format!("is {format}; only {LAUNCH_FORMAT} can be read here");
        reader.refuse(node, ViolationKind::Invalid, description);
        return None;
    }
    Some(())
}

fn read_spec(reader: &mut Reader, node: &Node<'_>) -> Option<ProfileSpec> {
    match form::decode(node.value()) {
        Ok(spec) => Some(spec),
        Err(violations) => {
            for violation in violations {
                let path = node.path().join(&violation.path);
                reader.refuse_at(path, violation.kind, violation.description);
            }
            None
        }
    }
}

fn read_network(
    spec: &ProfileSpec,
    ports: impl FnOnce() -> Option<Vec<u16>>,
) -> Option<(AppliedEgress, Option<AppliedExposure>)> {
    let network = spec.network.as_ref()?;
    let egress = network.egress.as_ref()?;
    let name = egress.default_name().clone();
    let mode = egress.mode(&name)?.clone();
    let exposure = match network.ingress.first_key_value() {
        Some((name, exposure)) => Some(AppliedExposure {
            name: name.clone(),
            exposure: exposure.clone(),
            ports: ports()?,
        }),
        None => None,
    };
    Some((AppliedEgress { name, mode }, exposure))
}

fn granted(defaults: ResourceDefaults, gpu: Option<GpuRequest>) -> GrantedResources {
    let ResourceDefaults {
        cpu_request,
        memory_request,
        cpu_limit,
        memory_limit,
    } = defaults;
    GrantedResources {
        cpu_request,
        cpu_limit,
        memory_request,
        memory_limit,
        gpu,
    }
}

fn list<T>(
    reader: &mut Reader,
    node: &Node<'_>,
    mut read: impl FnMut(&mut Reader, &Node<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = reader.items(node, ENTRIES_MAX)?;
    items.iter().map(|item| read(reader, item)).collect()
}

fn read_text_map(reader: &mut Reader, node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let entries = reader.entries(node, ENTRIES_MAX)?;
    entries
        .iter()
        .map(|(key, value)| Some(((*key).to_owned(), reader.text(value)?.to_owned())))
        .collect()
}

fn read_gpu(reader: &mut Reader, node: &Node<'_>) -> Option<GpuRequest> {
    let fields = reader.fields(node, &["count", "type", "memory_gb"])?;
    let kind = match (fields.get("type"), fields.get("memory_gb")) {
        (None, None) => GpuKind::Any,
        (Some(name), None) => GpuKind::Type(reader.text(&name)?.to_owned()),
        (None, Some(size)) => GpuKind::MemoryGb(reader.count(&size)?),
        (Some(_), Some(_)) => {
            reader.refuse(
                node,
                ViolationKind::Conflict,
                "has both a type and a memory size",
            );
            return None;
        }
    };
    let count = reader.count(&fields.get("count")?)?;
    Some(GpuRequest { count, kind })
}

fn read_namespace(reader: &mut Reader, node: &Node<'_>) -> Option<LaunchNamespace> {
    let known = ["name", "auto_create", "labels", "annotations"];
    let fields = reader.fields(node, &known)?;
    Some(LaunchNamespace {
        name: reader.parsed(&fields.get("name")?)?,
        auto_create: reader.boolean(&fields.get("auto_create")?)?,
        labels: read_text_map(reader, &fields.get("labels")?)?,
        annotations: read_text_map(reader, &fields.get("annotations")?)?,
    })
}

fn read_port(reader: &mut Reader, node: &Node<'_>) -> Option<Port> {
    let fields = reader.fields(node, &["number", "name", "protocol"])?;
    Some(Port {
        number: read_port_number(reader, &fields.get("number")?)?,
        name: reader.text(&fields.get("name")?)?.to_owned(),
        protocol: reader.word(&fields.get("protocol")?, &Protocol::ALL, Protocol::as_str)?,
    })
}

fn read_port_number(reader: &mut Reader, node: &Node<'_>) -> Option<u16> {
    let number = reader.count(node)?;
    reader.accept(node, u16::try_from(number))
}

fn read_file(reader: &mut Reader, node: &Node<'_>) -> Option<MountedFile> {
    let fields = reader.fields(node, &["path", "content"])?;
    let content = fields.get("content")?;
    let text = reader.text(&content)?;
    Some(MountedFile {
        path: reader.text(&fields.get("path")?)?.to_owned(),
        content: reader.accept(&content, STANDARD.decode(text))?,
    })
}

fn read_millis(reader: &mut Reader, node: &Node<'_>) -> Option<Duration> {
    let millis = node.value().as_u64();
    if millis.is_none() {
        reader.wrong_type(node, "a whole number");
    }
    millis.map(Duration::from_millis)
}

mod secrets;
#[cfg(test)]
mod tests;
