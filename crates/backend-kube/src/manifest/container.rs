//! The main container of a sandbox.

use palisade_model::sandbox::{GrantedResources, Launch};
use serde_json::{Map, Value, json};

use super::{record, secrets};
use crate::naming;
use crate::settings::Settings;

/// What processes of a container may do that runs as root: what package
/// managers and servers need, and nothing that reaches beyond the container.
/// The same list as on a Linux host, and the low ports.
const CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The volume of mounted files.
pub(super) const FILES_VOLUME: &str = "sandbox-files";

/// The container, without what a patch adds.
pub(super) fn container(launch: &Launch, settings: &Settings) -> Value {
    let mut container = json!({
        "name": naming::MAIN_CONTAINER,
        "image": launch.workload.image.to_string(),
        "imagePullPolicy": "IfNotPresent",
        "env": environment(launch),
        "resources": resources(&launch.resources, settings),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "capabilities": { "drop": ["ALL"], "add": CAPABILITIES },
        },
        "terminationMessagePolicy": "File",
    });
    if !launch.workload.command.is_empty() {
        let words = launch.workload.command.iter();
        container["command"] = words.map(|word| literal(word)).collect();
    }
    if !launch.ports.is_empty() {
        container["ports"] = ports(launch);
    }
    if !launch.mounted_files.is_empty() {
        container["volumeMounts"] = mounts(launch);
    }
    container
}

/// The volumes that the container needs.
pub(super) fn volumes(launch: &Launch) -> Vec<Value> {
    if launch.mounted_files.is_empty() {
        return Vec::new();
    }
    let items = (0..launch.mounted_files.len()).map(|index| {
        let key = record::file_key(index);
        json!({ "key": key, "path": key })
    });
    vec![json!({
        "name": FILES_VOLUME,
        "secret": {
            "secretName": naming::object(launch.id),
            "defaultMode": 0o444,
            "items": items.collect::<Vec<_>>(),
        },
    })]
}

/// A word that comes out of Kubernetes as it went in: there, two dollar signs are
/// one, and one begins the name of a variable.
fn literal(word: &str) -> Value {
    Value::String(word.replace('$', "$$"))
}

/// Values come out of the record: they may be secrets, and none is expanded.
fn environment(launch: &Launch) -> Value {
    let names = launch.workload.environment.keys().enumerate();
    let variable = |(index, name): (usize, &String)| {
        json!({
            "name": name,
            "valueFrom": { "secretKeyRef": {
                "name": naming::object(launch.id),
                "key": record::variable_key(index),
            } },
        })
    };
    let secrets = launch.secrets.iter().enumerate();
    let secrets = secrets.map(|(index, secret)| secrets::variable(launch, index, secret));
    names.map(variable).chain(secrets).collect()
}

fn ports(launch: &Launch) -> Value {
    let ports = launch.ports.iter();
    // Names of ports have rules of their own and no effect; they are left out.
    ports
        .map(|port| json!({ "containerPort": port.number, "protocol": port.protocol.as_str() }))
        .collect()
}

fn mounts(launch: &Launch) -> Value {
    let files = launch.mounted_files.iter().enumerate();
    let mount = |(index, file): (usize, &palisade_model::sandbox::MountedFile)| {
        json!({
            "name": FILES_VOLUME,
            "mountPath": file.path,
            "subPath": record::file_key(index),
            "readOnly": true,
        })
    };
    files.map(mount).collect()
}

pub(super) fn resources(granted: &GrantedResources, settings: &Settings) -> Value {
    let GrantedResources {
        cpu_request,
        cpu_limit,
        memory_request,
        memory_limit,
        gpu,
    } = granted;
    let mut requests = amounts([("cpu", cpu_request), ("memory", memory_request)]);
    let mut limits = amounts([("cpu", cpu_limit), ("memory", memory_limit)]);
    if let Some(gpu) = gpu {
        // Extended resources are not shared: request and limit are one number.
        let count = Value::String(gpu.count.to_string());
        requests.insert(settings.gpu_resource.clone(), count.clone());
        limits.insert(settings.gpu_resource.clone(), count);
    }
    let mut resources = Map::new();
    for (name, amounts) in [("requests", requests), ("limits", limits)] {
        if !amounts.is_empty() {
            resources.insert(name.to_owned(), Value::Object(amounts));
        }
    }
    Value::Object(resources)
}

fn amounts(
    amounts: [(&str, &Option<palisade_model::quantity::Quantity>); 2],
) -> Map<String, Value> {
    let amounts = amounts.into_iter();
    amounts
        .filter_map(|(name, amount)| {
            let amount = amount.as_ref()?.as_str();
            Some((name.to_owned(), Value::String(amount.to_owned())))
        })
        .collect()
}
