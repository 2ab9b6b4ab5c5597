//! What differs between two documents, field by field.
//!
//! Maps are compared key by key, everything else as a whole: a list that changed
//! in one place is a list that changed.

use palisade_model::violation::FieldPath;
use serde_json::{Map, Value, json};

use crate::out::Out;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldChange {
    /// Its path, as people write it.
    pub(crate) path: String,
    /// What it was; `None` if it was not there.
    pub(crate) before: Option<Value>,
    /// What it is; `None` if it is not there any more.
    pub(crate) after: Option<Value>,
}

impl FieldChange {
    /// The change for programs; an absent side is null.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "path": self.path, "before": self.before, "after": self.after })
    }
}

/// Every field in which two documents differ, in the order of the paths.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare(&FieldPath::root(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(
    path: &FieldPath,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<FieldChange>,
) {
    if before == after {
        return;
    }
    let empty = Map::new();
    let maps = match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => Some((before, after)),
        // What comes or goes is told by its leaves, too.
        (None, Some(Value::Object(after))) if !after.is_empty() => Some((&empty, after)),
        (Some(Value::Object(before)), None) if !before.is_empty() => Some((before, &empty)),
        _ => None,
    };
    let Some((old, new)) = maps else {
        changes.push(FieldChange {
            path: path.to_string(),
            before: before.cloned(),
            after: after.cloned(),
        });
        return;
    };
    let mut keys = old.keys().chain(new.keys()).collect::<Vec<_>>();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        compare(&path.key(key), old.get(key), new.get(key), changes);
    }
}

/// Writes changes for people, one a line.
pub(crate) fn write(changes: &[FieldChange], out: &mut Out) {
    if changes.is_empty() {
        out.line("  no difference");
    }
    for FieldChange {
        path,
        before,
        after,
    } in changes
    {
        match (before, after) {
            (None, Some(after)) => out.line(format_args!("  + {path}: {after}")),
            (Some(before), None) => out.line(format_args!("  - {path}: {before}")),
            (before, after) => {
                let text = |side: &Option<Value>| side.clone().unwrap_or_default().to_string();
                out.line(format_args!(
                    "  ~ {path}: {} -> {}",
                    text(before),
                    text(after)
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let text = |side: &Option<Value>| side.as_ref().map(ToString::to_string);
        let changes = between(before, after);
        let line = |change: &FieldChange| {
            let (before, after) = (text(&change.before), text(&change.after));
            format!("{} {before:?} {after:?}", change.path)
        };
        changes.iter().map(line).collect()
    }

    #[test]
    fn fields_that_come_go_and_change_are_told_by_their_leaves() {
        let before = json!({ "a": { "b": 1, "c": [1, 2] }, "gone": { "x": 1 }, "same": {} });
        let after = json!({ "a": { "b": 2, "c": [2] }, "new": { "y.z": 1 }, "same": {} });
        let expected = [
            "a.b Some(\"1\") Some(\"2\")",
            "a.c Some(\"[1,2]\") Some(\"[2]\")",
            "gone.x Some(\"1\") None",
            "new[\"y.z\"] None Some(\"1\")",
        ];
        assert_eq!(lines(&before, &after), expected);
    }

    #[test]
    fn equal_documents_do_not_differ() {
        let document = json!({ "a": [1, { "b": null }] });
        assert_eq!(between(&document, &document), []);
    }
}
