//! Strategic merge of a patch onto a pod, by the rules of Kubernetes.
//!
//! Maps merge, `null` deletes, lists with keys merge item by item, other lists
//! and everything else are replaced. The directive `$patch` replaces or deletes
//! a map or an item of a list. Merging cannot fail: a patch was checked when it
//! was read, and what does not fit is replaced.

use serde_json::{Map, Value};

use super::shape::{self, Key, Kind, Shape};
use crate::merge;

/// The key of a directive.
pub(super) const DIRECTIVE: &str = "$patch";

/// What a patch does to the map that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    /// Merges with it, as without a directive.
    Merge,
    /// Takes its place. Alone in an item of a list: the list takes the place.
    Replace,
    /// Takes it away.
    Delete,
}

impl Directive {
    /// Every directive.
    pub(super) const ALL: [Self; 3] = [Self::Merge, Self::Replace, Self::Delete];

    /// The directive as Kubernetes spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }

    /// The directive in a map, if there is one.
    pub(super) fn of(fields: &Map<String, Value>) -> Option<Self> {
        let word = fields.get(DIRECTIVE)?.as_str()?;
        Self::ALL.into_iter().find(|d| d.as_str() == word)
    }
}

/// Merges `patch` into `target`.
pub(super) fn merge(target: &mut Value, patch: &Value, kind: Kind) {
    match (kind, patch) {
        (Kind::Fields(shape), Value::Object(patch)) => merge_fields(target, patch, shape),
        (Kind::Keyed(shape, keys), Value::Array(patch)) => {
            merge_list(target, patch, shape, keys);
        }
        (Kind::GrowingTexts, Value::Array(more)) => grow(target, more),
        (Kind::Strings | Kind::Amounts | Kind::Free, _) => merge::patch(target, patch),
        (Kind::Items(_), Value::Array(items)) => {
            *target = items.iter().map(without_nulls).collect();
        }
        (
            Kind::Text
            | Kind::Label
            | Kind::ContainerName
            | Kind::Flag
            | Kind::Number
            | Kind::Port
            | Kind::Texts
            | Kind::GrowingTexts
            | Kind::Fields(_)
            | Kind::Items(_)
            | Kind::Keyed(..),
            _,
        ) => *target = patch.clone(),
    }
}

/// What makes an item of a list unique; `None` if a key is missing.
pub(super) fn identity(item: &Map<String, Value>, keys: &[Key]) -> Option<Vec<String>> {
    keys.iter()
        .map(|key| match item.get(key.field) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
                key.default.map(str::to_owned)
            }
        })
        .collect()
}

fn merge_fields(target: &mut Value, patch: &Map<String, Value>, shape: Shape) {
    let directive = Directive::of(patch).unwrap_or(Directive::Merge);
    if !target.is_object() || directive != Directive::Merge {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    if directive == Directive::Delete {
        return;
    }
    for (key, value) in patch {
        if key == DIRECTIVE {
            continue;
        }
        if value.is_null() {
            target.shift_remove(key);
            continue;
        }
        let below = target.entry(key.as_str()).or_insert(Value::Null);
        merge(below, value, shape::field(shape, key).unwrap_or(Kind::Free));
    }
}

fn merge_list(target: &mut Value, patch: &[Value], shape: Shape, keys: &[Key]) {
    let items = patch.iter().filter_map(Value::as_object);
    let replaces_list = items
        .clone()
        .any(|item| item.len() == 1 && Directive::of(item) == Some(Directive::Replace));
    if replaces_list || !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(list) = target else {
        return;
    };
    for item in items {
        let Some(wanted) = identity(item, keys) else {
            continue;
        };
        let place = list.iter().position(|present| {
            present
                .as_object()
                .and_then(|fields| identity(fields, keys))
                == Some(wanted.clone())
        });
        match (place, Directive::of(item)) {
            (Some(place), Some(Directive::Delete)) => {
                list.remove(place);
            }
            (None, Some(Directive::Delete)) => {}
            (Some(place), _) => merge_fields(&mut list[place], item, shape),
            (None, _) => {
                let mut added = Value::Null;
                merge_fields(&mut added, item, shape);
                list.push(added);
            }
        }
    }
}

fn grow(target: &mut Value, more: &[Value]) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(list) = target else {
        return;
    };
    for text in more {
        if !list.contains(text) {
            list.push(text.clone());
        }
    }
}

fn without_nulls(item: &Value) -> Value {
    let mut clean = Value::Null;
    merge::patch(&mut clean, item);
    clean
}

#[cfg(test)]
mod tests;
