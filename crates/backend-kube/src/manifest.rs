//! The objects of a sandbox, made from its launch and nothing else.
//!
//! Pure: no clock, no cluster. An object holds only fields that servers from
//! 1.20 on know, and is complete, so that applying it twice changes nothing.
//! Everything but the namespace is owned by the record, and goes when that goes.

use palisade_model::cidr::Cidr;
use palisade_model::pod::Dropped;
use palisade_model::sandbox::Launch;
use serde_json::{Value, json};

use crate::naming;
use crate::settings::Settings;

mod container;
mod entry;
mod namespace;
mod placement;
mod pod;
mod policy;
pub(crate) mod program;
mod record;
mod secrets;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use entry::http_port;
pub use entry::{ingress, service};
pub use namespace::namespace;
pub use pod::{GRACE_SECONDS, pod};
pub use policy::network_policy;
pub(crate) use policy::surroundings;
pub use record::{RECORD_BYTES_MAX, RecordError, read_record, record};
pub use secrets::add_secrets;

/// A pod, and what its profile asked for that only the system sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The object.
    pub object: Value,
    /// Keys that were left out.
    pub dropped: Vec<Dropped>,
}

/// The record that owns the other objects of a sandbox, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name of the Secret.
    pub name: String,
    /// What the server calls it.
    pub uid: String,
}

/// Every object of a sandbox but its namespace and its record, in the order in
/// which they have to exist: nothing runs before its policy is there.
pub fn objects(
    launch: &Launch,
    settings: &Settings,
    nodes: &[Cidr],
    owner: &Owner,
) -> (Vec<Value>, Vec<Dropped>) {
    let mut objects = vec![network_policy(launch, settings, nodes)];
    objects.extend(service(launch, settings));
    objects.extend(ingress(launch, settings));
    let Made { object, dropped } = pod(launch, settings);
    objects.push(object);
    for object in &mut objects {
        own(object, owner);
    }
    (objects, dropped)
}

/// Has an object go with its record.
pub(crate) fn own(object: &mut Value, owner: &Owner) {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1",
        "kind": "Secret",
        "name": owner.name,
        "uid": owner.uid,
        "controller": true,
    }]);
}

/// The metadata that every object of a sandbox starts from.
fn metadata(launch: &Launch, settings: &Settings, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": launch.namespace.name.as_str(),
        "labels": naming::labels(launch, settings),
    })
}
