//! Two versions of a document beside each other, and both put together.

use palisade_model::violation::FieldPath;
use palisade_wire::document::to_yaml;
use serde_json::{Map, Value};
use similar::TextDiff;

/// The lines that differ, as `diff -u` shows them; empty if none do.
pub(super) fn diff(before: &Value, after: &Value) -> String {
    let (before, after) = (to_yaml(before), to_yaml(after));
    let diff = TextDiff::from_lines(&before, &after);
    diff.unified_diff().context_radius(3).to_string()
}

/// What both made out of `base`, and where they contradict each other. There
/// it is as `mine` has it.
pub(super) fn merge(base: &Value, mine: &Value, theirs: &Value) -> (Value, Vec<FieldPath>) {
    let mut conflicts = Vec::new();
    let merged = merge_at(
        [Some(base), Some(mine), Some(theirs)],
        &FieldPath::root(),
        &mut conflicts,
    );
    (merged.unwrap_or_default(), conflicts)
}

fn merge_at(
    [base, mine, theirs]: [Option<&Value>; 3],
    path: &FieldPath,
    conflicts: &mut Vec<FieldPath>,
) -> Option<Value> {
    if mine == theirs || theirs == base {
        return mine.cloned();
    }
    if mine == base {
        return theirs.cloned();
    }
    if let (Some(Value::Object(mine)), Some(Value::Object(theirs))) = (mine, theirs) {
        let nothing = Map::new();
        let base = base.and_then(Value::as_object).unwrap_or(&nothing);
        let added = theirs.keys().filter(|key| !mine.contains_key(*key));
        let merged = mine.keys().chain(added).filter_map(|key| {
            let sides = [base.get(key), mine.get(key), theirs.get(key)];
            Some((key.clone(), merge_at(sides, &path.key(key), conflicts)?))
        });
        return Some(Value::Object(merged.collect()));
    }
    conflicts.push(path.clone());
    mine.cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_at_different_places_are_both_kept() {
        let base = json!({"a": 1, "b": {"c": 1, "d": 1}, "e": 1});
        let mine = json!({"a": 2, "b": {"c": 1, "d": 1, "n": 1}});
        let theirs = json!({"a": 1, "b": {"c": 2}, "e": 1, "f": 1});
        let (merged, conflicts) = merge(&base, &mine, &theirs);
        assert_eq!(merged, json!({"a": 2, "b": {"c": 2, "n": 1}, "f": 1}));
        assert_eq!(conflicts, []);
    }

    #[test]
    fn the_same_change_is_no_conflict_and_another_one_is() {
        let base = json!({"a": 1, "b": [1]});
        let mine = json!({"a": 2, "b": [1, 2]});
        assert_eq!(merge(&base, &mine, &mine), (mine.clone(), Vec::new()));
        let theirs = json!({"a": 2, "b": [1, 3]});
        let (merged, conflicts) = merge(&base, &mine, &theirs);
        assert_eq!(merged, mine);
        assert_eq!(conflicts, [FieldPath::root().key("b")]);
    }

    #[test]
    fn what_one_removed_and_the_other_changed_is_a_conflict() {
        let base = json!({"a": {"b": 1}});
        let (merged, conflicts) = merge(&base, &json!({}), &json!({"a": {"b": 2}}));
        assert_eq!(merged, json!({}));
        assert_eq!(conflicts, [FieldPath::root().key("a")]);
    }

    #[test]
    fn equal_versions_have_no_diff() {
        assert_eq!(diff(&json!({"a": 1}), &json!({"a": 1})), "");
        assert!(diff(&json!({"a": 1}), &json!({"a": 2})).contains("-a: 1\n+a: 2\n"));
    }
}
