//! JSON Merge Patch (RFC 7386), and layers that remember who set what.
//!
//! Maps merge, everything else replaces. In a patch `null` removes; in a layer
//! it is a value like any other, since it has a meaning to whoever reads it.
//! Nothing here knows what the fields mean.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::violation::FieldPath;

/// Applies a JSON Merge Patch.
pub fn patch(target: &mut Value, patch: &Value) {
    merge(target, patch, Null::Removes);
}

/// Lays `layer` over `target`; whatever it has, wins.
pub fn overlay(target: &mut Value, layer: &Value) {
    merge(target, layer, Null::IsAValue);
}

/// The paths of everything that is not a map, in the order of the document.
pub fn leaves(value: &Value) -> Vec<FieldPath> {
    let mut paths = Vec::new();
    collect(value, &FieldPath::root(), &mut |path, _| paths.push(path));
    paths
}

/// What several layers make together, and which of them each leaf is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Layered<L> {
    value: Value,
    origins: BTreeMap<FieldPath, L>,
}

impl<L: Clone> Layered<L> {
    /// No layer at all: an empty map.
    pub fn new() -> Self {
        Self {
            value: Value::Object(Map::new()),
            origins: BTreeMap::new(),
        }
    }

    /// Layers that were put together before.
    ///
    /// Leaves that `origins` does not know stay without one.
    pub fn resume(value: Map<String, Value>, origins: BTreeMap<FieldPath, L>) -> Self {
        let mut layered = Self {
            value: Value::Object(value),
            origins: BTreeMap::new(),
        };
        layered.attribute(origins);
        layered
    }

    /// The outcome of all layers so far.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The layer of every leaf of the outcome, and of nothing else.
    pub fn origins(&self) -> &BTreeMap<FieldPath, L> {
        &self.origins
    }

    /// Lays a layer over what is there.
    pub fn overlay(&mut self, layer: &Map<String, Value>, name: &L) {
        self.merge(layer, name, Null::IsAValue);
    }

    /// Patches what is there.
    pub fn patch(&mut self, patch: &Map<String, Value>, name: &L) {
        self.merge(patch, name, Null::Removes);
    }

    /// Takes a field away, with everything below it.
    pub fn remove(&mut self, keys: &[&str]) {
        let Some((last, above)) = keys.split_last() else {
            return;
        };
        let parent = above
            .iter()
            .try_fold(&mut self.value, |value, key| value.get_mut(*key));
        if let Some(Value::Object(map)) = parent {
            map.shift_remove(*last);
        }
        self.attribute(BTreeMap::new());
    }

    fn merge(&mut self, layer: &Map<String, Value>, name: &L, null: Null) {
        let layer = Value::Object(layer.clone());
        merge(&mut self.value, &layer, null);
        let mut set = BTreeMap::new();
        collect(&layer, &FieldPath::root(), &mut |path, value| {
            if !(value.is_null() && matches!(null, Null::Removes)) {
                set.insert(path, name.clone());
            }
        });
        self.attribute(set);
    }

    /// Every leaf that there is now is from the newest layer that set it.
    fn attribute(&mut self, mut newest: BTreeMap<FieldPath, L>) {
        let mut older = std::mem::take(&mut self.origins);
        self.origins = leaves(&self.value)
            .into_iter()
            .filter_map(|path| {
                let origin = newest.remove(&path).or_else(|| older.remove(&path))?;
                Some((path, origin))
            })
            .collect();
    }
}

impl<L: Clone> Default for Layered<L> {
    fn default() -> Self {
        Self::new()
    }
}

/// What `null` means.
#[derive(Clone, Copy)]
enum Null {
    Removes,
    IsAValue,
}

fn merge(target: &mut Value, layer: &Value, null: Null) {
    let Value::Object(layer) = layer else {
        *target = layer.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in layer {
        if value.is_null() && matches!(null, Null::Removes) {
            target.shift_remove(key);
        } else {
            let below = target.entry(key.as_str()).or_insert(Value::Null);
            merge(below, value, null);
        }
    }
}

fn collect(value: &Value, path: &FieldPath, found: &mut impl FnMut(FieldPath, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                collect(below, &path.key(key), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            found(path.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests;
