//! The ways into a sandbox: a Service per exposure level, and an Ingress where
//! the level has a host name.

use palisade_model::policy::{Door, Standing};
use palisade_model::profile::ServiceSpec;
use palisade_model::sandbox::{Launch, Protocol};
use serde_json::{Map, Value, json};

use super::metadata;
use crate::naming;
use crate::settings::Settings;

/// The Service of the exposure level, unless nothing is exposed.
pub fn service(launch: &Launch, settings: &Settings) -> Option<Value> {
    let level = launch.exposure.as_ref()?;
    let doors = doors(launch);
    if doors.is_empty() {
        return None;
    }
    let mut metadata = metadata(launch, settings, &naming::service(launch.id));
    let annotations = annotations(&level.exposure.service);
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations);
    }
    let ports = doors.iter().map(|door| {
        json!({
            "name": port_name(*door),
            "protocol": door.protocol.as_str(),
            "port": door.port,
            "targetPort": door.port,
        })
    });
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": level.exposure.service.service_type.as_str(),
            "selector": { naming::SANDBOX_ID: launch.id.to_string() },
            "ports": ports.collect::<Vec<_>>(),
        },
    }))
}

/// The Ingress of the exposure level, if it has a host name and a TCP port.
pub fn ingress(launch: &Launch, settings: &Settings) -> Option<Value> {
    let level = launch.exposure.as_ref()?;
    let route = level.exposure.route.as_ref()?;
    let host = route.template.render(launch.id, &launch.namespace.name)?;
    let port = http_port(launch)?;
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(launch, settings, &naming::object(launch.id)),
        "spec": {
            "ingressClassName": route.controller_name.as_str(),
            "rules": [{
                "host": host,
                "http": { "paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": { "service": {
                        "name": naming::service(launch.id),
                        "port": { "number": port },
                    } },
                }] },
            }],
        },
    }))
}

/// The port that a host name leads to: the first one that was asked for.
pub(crate) fn http_port(launch: &Launch) -> Option<u16> {
    let level = launch.exposure.as_ref()?;
    let doors = doors(launch);
    let is_tcp = |port: &&u16| {
        doors
            .iter()
            .any(|door| door.port == **port && door.protocol == Protocol::Tcp)
    };
    level.ports.iter().find(is_tcp).copied()
}

fn doors(launch: &Launch) -> Vec<Door> {
    let exposed = Standing::of(launch).exposed;
    exposed.map_or_else(Vec::new, |exposed| exposed.doors.into_iter().collect())
}

/// Several ports of a Service need names; people's names of ports may clash.
fn port_name(door: Door) -> String {
    format!("{}-{}", door.protocol.as_str(), door.port).to_ascii_lowercase()
}

fn annotations(service: &ServiceSpec) -> Map<String, Value> {
    let both = [&service.selector_annotation, &service.dns_annotation];
    let both = both.into_iter().flatten();
    both.map(|one| (one.key().to_owned(), Value::String(one.value().to_owned())))
        .collect()
}
