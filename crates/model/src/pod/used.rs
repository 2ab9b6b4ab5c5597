//! Which fields of a pod a patch uses.
//!
//! A backend that cannot honour a field must refuse it, so it lists those that
//! it can, as [`PodFieldSupport`], in the notation of this module:
//! `spec.tolerations`, `spec.containers[''].env` for the main container,
//! `spec.containers[*].image` for others, `spec.volumes[*].emptyDir`. Fields by
//! which items are told apart are not listed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::shape::{self, Key, Kind, Shape};
use super::strategic::DIRECTIVE;
use super::{MAIN_CONTAINER, metadata};
use crate::label;
use crate::profile::PodPatch;
use crate::runner::PodFieldSupport;

/// The place of the main container in its list.
const MAIN_PLACE: &str = "['']";

/// The fields that a patch sets or deletes.
///
/// `placement` is not among them: it is a wish to placement, not to a backend.
pub fn used_fields(patch: &PodPatch) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for block in ["labels", "annotations"] {
        let keys = metadata::keys(patch.as_map(), block);
        if keys.is_some_and(|keys| keys.keys().any(|key| !label::is_reserved(key))) {
            used.insert(format!("metadata.{block}"));
        }
    }
    if let Some(spec) = patch.as_map().get("spec").and_then(Value::as_object) {
        fields(spec, shape::POD_SPEC, &[], "spec", &mut used);
    }
    used
}

impl PodFieldSupport {
    /// The fields of a patch that are not supported; empty when all are.
    pub fn unsupported(&self, patch: &PodPatch) -> Vec<String> {
        let Self::Only(supported) = self else {
            return Vec::new();
        };
        used_fields(patch)
            .into_iter()
            .filter(|used| !supported.iter().any(|path| is_at_or_below(used, path)))
            .collect()
    }

    /// Whether every field that a patch uses is supported.
    pub fn supports(&self, patch: &PodPatch) -> bool {
        self.unsupported(patch).is_empty()
    }
}

fn is_at_or_below(used: &str, path: &str) -> bool {
    used.strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn fields(
    map: &Map<String, Value>,
    shape: Shape,
    keys: &[Key],
    path: &str,
    used: &mut BTreeSet<String>,
) {
    for (name, value) in map {
        if keys.iter().any(|key| key.field == name) {
            continue;
        }
        if name == DIRECTIVE {
            used.insert(path.to_owned());
            continue;
        }
        let here = format!("{path}.{name}");
        match (shape::field(shape, name), value) {
            (Some(Kind::Fields(shape)), Value::Object(map)) => fields(map, shape, &[], &here, used),
            (Some(Kind::Keyed(shape, keys)), Value::Array(list)) => {
                items(list, shape, keys, &here, used);
            }
            (Some(_) | None, _) => {
                used.insert(here);
            }
        }
    }
}

fn items(list: &[Value], shape: Shape, keys: &[Key], path: &str, used: &mut BTreeSet<String>) {
    for item in list.iter().filter_map(Value::as_object) {
        let here = item_path(path, item);
        fields(item, shape, keys, &here, used);
        // An item that is only named is still one more item.
        let is_bare = item.keys().all(|name| keys.iter().any(|k| k.field == name));
        if is_bare && !here.ends_with(MAIN_PLACE) {
            used.insert(here);
        }
    }
}

fn item_path(list: &str, item: &Map<String, Value>) -> String {
    let is_main =
        list == "spec.containers" && item.get("name").is_some_and(|n| n == MAIN_CONTAINER);
    if is_main {
        format!("{list}{MAIN_PLACE}")
    } else {
        format!("{list}[*]")
    }
}

#[cfg(test)]
mod tests;
