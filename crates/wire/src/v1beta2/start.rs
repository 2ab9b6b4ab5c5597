//! A request for a sandbox, from the wire into the domain.
//!
//! Every rule that a single field can break is checked here, and all broken
//! ones are reported at once. Rules between fields are the domain's.

use std::collections::BTreeSet;
use std::time::Duration;

use palisade_model::image::ImageReference;
use palisade_model::name::Tag;
use palisade_model::quantity::Quantity;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::{
    FileSystemWish, GpuKind, GpuRequest, MountedFile, Network, Port, Protocol, ResourceAmounts,
    Selectors, StartRequest,
};
use palisade_model::violation::{FieldPath, Violation, ViolationKind, did_you_mean};

use super::snapshot::snapshot_id;
use crate::proto::v1beta2 as pb;

/// The most items of any list of a request; rules of the domain are tighter.
const LIST_LEN_MAX: usize = 4_096;

/// Reads a request; the refusal names every field that is wrong.
pub fn start_request(message: pb::StartSandboxRequest) -> Result<StartRequest, Refusal> {
    // No `..`: a field added to the protocol must be dealt with here.
    let pb::StartSandboxRequest {
        command,
        args,
        tags,
        resources,
        container_image,
        environment_variables,
        ports,
        mounted_files,
        s3_mount,
        network,
        file_system,
        profile_ids,
        runner_ids,
        max_lifetime_seconds,
        max_timeout_seconds,
        runner_cluster_secrets,
        object_storage_access,
        pod_annotations,
        secret_stores,
        resource_limits,
        resource_requests,
        profile_names,
        volumes,
    } = message;
    if let Some(access) = &object_storage_access {
        object_storage::check(access)?;
    }
    let absent = [
        ("s3_mount", "mounting of buckets", s3_mount.is_some()),
        (
            "object_storage_access",
            "access to object storage",
            object_storage_access.is_some(),
        ),
        ("volumes", "volumes", !volumes.is_empty()),
    ];
    if let Some((field, feature, _)) = absent.into_iter().find(|(_, _, present)| *present) {
        return Err(not_implemented(field, feature));
    }

    if let Some(id) = named_snapshot(file_system.as_ref()) {
        // A text that is no id is the name of none, as in every other call.
        snapshot_id(id)?;
    }
    let mut reader = Reader::default();
    let (requests, limits) = reader.resources(resources, resource_requests, resource_limits);
    let ports = reader.list("ports", ports, Reader::port);
    let network = reader.network(network.unwrap_or_default());
    let request = StartRequest {
        command: reader.command(command, args),
        image: reader.image(&container_image),
        environment: environment_variables.into_iter().collect(),
        secrets: secrets::read(&mut reader, secret_stores, runner_cluster_secrets),
        requests,
        limits,
        ports: or_as_exposed(ports, &network),
        network,
        mounted_files: reader.list("mounted_files", mounted_files, |_, _, file| {
            Some(mounted_file(file))
        }),
        file_system: file_system.and_then(|mount| reader.file_system(mount)),
        tags: reader.list("tags", tags, |reader, path, text: String| {
            reader.parse::<Tag>(path.clone(), &text)
        }),
        annotations: pod_annotations.into_iter().collect(),
        selectors: Selectors {
            profiles: profile_ids.into_iter().chain(profile_names).collect(),
            runners: runner_ids,
        },
        max_lifetime: reader.seconds("max_lifetime_seconds", max_lifetime_seconds),
        // It stands outside of the message.
        key: None,
    };
    // The time-out is the client's own; it travels as the deadline of the call.
    reader.seconds("max_timeout_seconds", max_timeout_seconds);
    reader.finish()?;
    Ok(request)
}

/// The snapshot that a file system should be filled with, if one is named.
fn named_snapshot(file_system: Option<&pb::SandboxFileSystemMount>) -> Option<&str> {
    use pb::sandbox_file_system_mount::Source;
    let Source::FileSystemSnapshot(source) = file_system?.source.as_ref()?;
    let id = source.file_system_snapshot_id.as_str();
    (!id.is_empty()).then_some(id)
}

fn not_implemented(field: &str, feature: &str) -> Refusal {
    Refusal::new(
        Reason::NotImplemented,
        format!("this server has no {feature}; leave out the field {field}"),
    )
    .with("feature", field)
}

/// The ports of a request. Clients may leave the list out and say only what to
/// expose; what is exposed is listened to.
fn or_as_exposed(ports: Vec<Port>, network: &Network) -> Vec<Port> {
    if !ports.is_empty() {
        return ports;
    }
    let exposed: BTreeSet<u16> = network.exposed_ports.iter().copied().collect();
    exposed
        .into_iter()
        .map(|number| Port {
            number,
            name: String::new(),
            protocol: Protocol::Tcp,
        })
        .collect()
}

fn mounted_file(message: pb::MountedFile) -> MountedFile {
    let pb::MountedFile {
        mount_path,
        file_content,
    } = message;
    MountedFile {
        path: mount_path,
        content: file_content,
    }
}

/// Collects what is wrong while a request is read.
#[derive(Default)]
struct Reader {
    violations: Vec<Violation>,
}

impl Reader {
    fn finish(self) -> Result<(), Refusal> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid(self.violations))
        }
    }

    fn wrong(&mut self, path: FieldPath, kind: ViolationKind, description: impl Into<String>) {
        self.violations
            .push(Violation::new(path, kind, description));
    }

    /// Reads a list item by item, leaving out the ones that are wrong.
    fn list<M, T>(
        &mut self,
        field: &str,
        items: Vec<M>,
        read: impl Fn(&mut Self, &FieldPath, M) -> Option<T>,
    ) -> Vec<T> {
        self.items(&FieldPath::root().key(field), items, read)
    }

    fn items<M, T>(
        &mut self,
        path: &FieldPath,
        items: Vec<M>,
        read: impl Fn(&mut Self, &FieldPath, M) -> Option<T>,
    ) -> Vec<T> {
        if items.len() > LIST_LEN_MAX {
            let description = format!("has {} items; at most {LIST_LEN_MAX} are read", items.len());
            self.wrong(path.clone(), ViolationKind::TooMany, description);
            return Vec::new();
        }
        items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| read(self, &path.index(index), item))
            .collect()
    }

    fn command(&mut self, command: String, args: Vec<String>) -> Vec<String> {
        if command.is_empty() && !args.is_empty() {
            let path = FieldPath::root().key("command");
            self.wrong(
                path,
                ViolationKind::Required,
                "is needed when args are given",
            );
        }
        if command.is_empty() {
            return Vec::new();
        }
        std::iter::once(command).chain(args).collect()
    }

    fn image(&mut self, text: &str) -> Option<ImageReference> {
        if text.is_empty() {
            return None;
        }
        let path = FieldPath::root().key("container_image");
        self.parse(path, text)
    }

    fn parse<T>(&mut self, path: FieldPath, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(path, ViolationKind::Invalid, error.to_string());
                None
            }
        }
    }

    /// Both sides of the amounts. The flat form means that they are the same,
    /// and counts only when the newer two are absent.
    fn resources(
        &mut self,
        flat: Option<pb::ResourceRequest>,
        requests: Option<pb::ResourceRequest>,
        limits: Option<pb::ResourceRequest>,
    ) -> (ResourceAmounts, ResourceAmounts) {
        match (requests, limits) {
            (Some(requests), Some(limits)) => (
                self.amounts("resource_requests", requests),
                self.amounts("resource_limits", limits),
            ),
            (None, None) => {
                let amounts = self.amounts("resources", flat.unwrap_or_default());
                (amounts.clone(), amounts)
            }
            (requests, _) => {
                let (present, missing) = if requests.is_some() {
                    ("resource_requests", "resource_limits")
                } else {
                    ("resource_limits", "resource_requests")
                };
                let description = format!("is needed when {present} is given");
                let path = FieldPath::root().key(missing);
                self.wrong(path, ViolationKind::Required, description);
                (ResourceAmounts::default(), ResourceAmounts::default())
            }
        }
    }

    fn amounts(&mut self, field: &str, message: pb::ResourceRequest) -> ResourceAmounts {
        let pb::ResourceRequest { cpu, memory, gpu } = message;
        let path = FieldPath::root().key(field);
        ResourceAmounts {
            cpu: self.quantity(path.key("cpu"), &cpu),
            memory: self.quantity(path.key("memory"), &memory),
            gpu: gpu.and_then(|gpu| self.gpu(&path.key("gpu"), gpu)),
        }
    }

    fn quantity(&mut self, path: FieldPath, text: &str) -> Option<Quantity> {
        if text.is_empty() {
            return None;
        }
        self.parse(path, text)
    }

    fn file_system(&mut self, message: pb::SandboxFileSystemMount) -> Option<FileSystemWish> {
        let snapshot = named_snapshot(Some(&message)).and_then(|id| id.parse().ok());
        let pb::SandboxFileSystemMount {
            mount_path,
            size,
            // Read above.
            source: _,
        } = message;
        let path = FieldPath::root().key("file_system");
        let size = self.quantity(path.key("size"), &size);
        Some(FileSystemWish {
            mount_path: self.parse(path.key("mount_path"), &mount_path)?,
            size,
            snapshot,
        })
    }

    fn gpu(&mut self, path: &FieldPath, message: pb::GpuRequest) -> Option<GpuRequest> {
        let pb::GpuRequest { gpu_count, spec } = message;
        if gpu_count == 0 && spec.is_none() {
            return None;
        }
        let count = match u32::try_from(gpu_count) {
            Ok(count) if count > 0 => count,
            Ok(_) | Err(_) => {
                let description = "must be from 1 to 4294967295";
                self.wrong(path.key("gpu_count"), ViolationKind::Invalid, description);
                return None;
            }
        };
        let kind = match spec {
            None => GpuKind::Any,
            Some(pb::gpu_request::Spec::GpuType(name)) => GpuKind::Type(name),
            Some(pb::gpu_request::Spec::GpuMemoryGb(size)) => {
                let size = u32::try_from(size).ok();
                if size.is_none() {
                    let description = "must be from 0 to 4294967295";
                    let path = path.key("gpu_memory_gb");
                    self.wrong(path, ViolationKind::Invalid, description);
                }
                GpuKind::MemoryGb(size?)
            }
        };
        Some(GpuRequest { count, kind })
    }

    fn port(&mut self, path: &FieldPath, message: pb::Port) -> Option<Port> {
        let pb::Port {
            container_port,
            name,
            protocol,
        } = message;
        let number = self.port_number(path.key("container_port"), container_port)?;
        Some(Port {
            number,
            name,
            protocol: self.protocol(path.key("protocol"), &protocol)?,
        })
    }

    fn protocol(&mut self, path: FieldPath, text: &str) -> Option<Protocol> {
        if text.is_empty() {
            return Some(Protocol::default());
        }
        let found = Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == text);
        if found.is_none() {
            let known = Protocol::ALL.map(Protocol::as_str);
            let hint = did_you_mean(text, known)
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            let description = format!("must be one of {}{hint}", known.join(", "));
            self.wrong(path, ViolationKind::Invalid, description);
        }
        found
    }

    fn port_number(&mut self, path: FieldPath, number: i32) -> Option<u16> {
        match u16::try_from(number) {
            Ok(number) if number > 0 => Some(number),
            Ok(_) | Err(_) => {
                let description = format!("is {number}; a port is from 1 to 65535");
                self.wrong(path, ViolationKind::Invalid, description);
                None
            }
        }
    }

    fn network(&mut self, message: pb::NetworkOptions) -> Network {
        let pb::NetworkOptions {
            ingress_mode,
            exposed_ports,
            egress_mode,
        } = message;
        let path = FieldPath::root().key("network");
        let ports = path.key("exposed_ports");
        Network {
            ingress_mode: self.optional(path.key("ingress_mode"), &ingress_mode),
            exposed_ports: self.items(&ports, exposed_ports, |reader, path, port| {
                reader.port_number(path.clone(), port)
            }),
            egress_mode: self.optional(path.key("egress_mode"), &egress_mode),
        }
    }

    fn optional<T>(&mut self, path: FieldPath, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        if text.is_empty() {
            None
        } else {
            self.parse(path, text)
        }
    }

    fn seconds(&mut self, field: &str, seconds: i32) -> Option<Duration> {
        match u64::try_from(seconds) {
            Ok(0) => None,
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let description = format!("is {seconds}; it must not be negative");
                let path = FieldPath::root().key(field);
                self.wrong(path, ViolationKind::Invalid, description);
                None
            }
        }
    }
}

mod object_storage;
mod secrets;
#[cfg(test)]
mod tests;
