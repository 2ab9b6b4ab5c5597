//! The pod of a sandbox, as far as a profile can change it.
//!
//! `spec.pod` of a profile is a patch of the pod that a backend generates. This
//! module knows how it is merged ([`apply`]), which keys of it are the system's
//! own, what it would weaken ([`escapes`]), and which of its fields a backend
//! must be able to honour ([`used_fields`]). It makes no pods; backends do.

use std::fmt;

use serde_json::{Map, Value};

use crate::profile::PodPatch;
use crate::violation::FieldPath;

mod check;
mod escape;
mod metadata;
mod shape;
mod strategic;
mod used;

pub(crate) use check::check_spec;
pub use escape::{escapes, escapes_in_overrides, escapes_in_pod};
pub use metadata::{
    LaunchMetadata, REQUEST_ANNOTATIONS_MAX, check_request_annotations, launch_metadata,
    restriction,
};
pub use used::used_fields;

/// The name by which a patch refers to the main container of a sandbox.
pub const MAIN_CONTAINER: &str = "";

/// A key that only the system sets, and that was therefore left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where it stood.
    pub path: FieldPath,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was left out: only the system sets keys under {}",
            self.path,
            crate::label::RESERVED_PREFIX
        )
    }
}

/// Patches a generated pod. `main` is the name of its main container.
///
/// Keys that are the system's own are left out and reported. Whether the patch
/// may be applied at all is for [`escapes`] to say, before.
pub fn apply(pod: &mut Value, patch: &PodPatch, main: &str) -> Vec<Dropped> {
    let patch = patch.as_map();
    let mut dropped = Vec::new();
    for block in ["labels", "annotations"] {
        let Some(keys) = metadata::keys(patch, block) else {
            continue;
        };
        let (kept, reserved) = metadata::without_reserved(keys, block);
        dropped.extend(reserved);
        merge_metadata(pod, block, kept);
    }
    if let Some(spec) = patch.get("spec") {
        let spec = with_main_named(spec.clone(), main);
        strategic::merge(
            member(pod, "spec"),
            &spec,
            shape::Kind::Fields(shape::POD_SPEC),
        );
    }
    dropped
}

fn merge_metadata(pod: &mut Value, block: &str, keys: Map<String, Value>) {
    let metadata = member(pod, "metadata");
    crate::merge::patch(member(metadata, block), &Value::Object(keys));
}

/// The value of a key, which is made when it is not there.
fn member<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    &mut value[key]
}

fn with_main_named(mut spec: Value, main: &str) -> Value {
    let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(name) = container.get_mut("name")
            && *name == MAIN_CONTAINER
        {
            *name = main.into();
        }
    }
    spec
}

#[cfg(test)]
mod tests;
