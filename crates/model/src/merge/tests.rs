use proptest::prelude::*;
use serde_json::json;

use super::*;

fn patched(mut target: Value, by: &Value) -> Value {
    patch(&mut target, by);
    target
}

fn overlaid(mut target: Value, layer: &Value) -> Value {
    overlay(&mut target, layer);
    target
}

#[test]
fn every_example_of_the_rfc_holds() {
    for (target, by, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"a": "foo"}), json!("bar"), json!("bar")),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!([1, 2]),
            json!({"a": "b", "c": null}),
            json!({"a": "b"}),
        ),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        assert_eq!(patched(target.clone(), &by), result, "{target} by {by}");
    }
}

#[test]
fn the_document_of_the_rfc_is_patched_as_it_shows() {
    let target = json!({
        "title": "Goodbye!",
        "author": { "givenName": "John", "familyName": "Doe" },
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    });
    let by = json!({
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": { "familyName": null },
        "tags": ["example"],
    });
    let result = json!({
        "title": "Hello!",
        "author": { "givenName": "John" },
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    });
    assert_eq!(patched(target, &by), result);
}

#[test]
fn null_in_a_layer_is_a_value() {
    assert_eq!(
        overlaid(json!({"a": {"b": 1}, "c": 2}), &json!({"a": null})),
        json!({"a": null, "c": 2})
    );
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn origins(layered: &Layered<u8>) -> Vec<(String, u8)> {
    layered
        .origins()
        .iter()
        .map(|(path, layer)| (path.to_string(), *layer))
        .collect()
}

#[test]
fn each_leaf_is_from_the_last_layer_that_set_it() {
    let mut layered = Layered::new();
    layered.overlay(&map(&json!({"a": {"x": 1, "y": [1]}, "b": 2})), &1);
    layered.overlay(&map(&json!({"a": {"y": [2]}, "c": null})), &2);
    layered.patch(&map(&json!({"b": null, "c": {"d": 3}})), &3);
    assert_eq!(
        *layered.value(),
        json!({"a": {"x": 1, "y": [2]}, "c": {"d": 3}})
    );
    let expected = [("a.x", 1), ("a.y", 2), ("c.d", 3)];
    assert_eq!(
        origins(&layered),
        expected.map(|(path, layer)| (path.to_owned(), layer))
    );
}

#[test]
fn a_removed_field_takes_its_origins_along() {
    let mut layered = Layered::new();
    layered.overlay(&map(&json!({"a": {"x": {"z": 1}, "y": 1}})), &1);
    layered.remove(&["a", "x"]);
    layered.remove(&["a", "absent"]);
    layered.remove(&["absent", "x"]);
    assert_eq!(*layered.value(), json!({"a": {"y": 1}}));
    assert_eq!(origins(&layered), [("a.y".to_owned(), 1)]);
}

#[test]
fn setting_a_field_to_what_it_was_makes_it_ones_own() {
    let mut layered = Layered::new();
    layered.overlay(&map(&json!({"a": 1})), &1);
    layered.patch(&map(&json!({"a": 1})), &2);
    assert_eq!(origins(&layered), [("a".to_owned(), 2)]);
}

/// Any JSON, over few keys.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        3 => (0u8..4).prop_map(Value::from),
        1 => Just(json!([1, {"a": null}])),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::btree_map("[abc]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

fn any_map() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]", any_value(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// Maps in which each key is always of one kind: a map, or something else.
///
/// This is what the structured form of a spec is like.
fn typed_map() -> impl Strategy<Value = Value> {
    let leaf = || {
        prop::collection::btree_map(
            "[lm]",
            prop_oneof![Just(Value::Null), (0u8..4).prop_map(Value::from)],
            0..3,
        )
    };
    let inner = prop::collection::btree_map("[xy]", leaf().prop_map(object), 0..3);
    (leaf(), inner).prop_map(|(leaves, maps)| object(leaves.into_iter().chain(maps).collect()))
}

fn object(map: BTreeMap<String, Value>) -> Value {
    Value::Object(map.into_iter().collect())
}

proptest! {
    #[test]
    fn patching_twice_is_patching_once(target in any_value(), by in any_value()) {
        let once = patched(target, &by);
        prop_assert_eq!(patched(once.clone(), &by), once);
    }

    #[test]
    fn an_empty_patch_changes_no_map(target in any_map()) {
        prop_assert_eq!(patched(target.clone(), &json!({})), target.clone());
        prop_assert_eq!(overlaid(target.clone(), &json!({})), target);
    }

    #[test]
    fn nothing_that_a_patch_removes_is_left(target in any_map(), by in any_map()) {
        let result = patched(target, &by);
        for (key, value) in by.as_object().unwrap() {
            prop_assert_eq!(result.get(key).is_none(), value.is_null());
        }
    }

    /// Does not hold where one layer has a map and another something else.
    #[test]
    fn patches_can_be_put_together_first(
        target in typed_map(), first in typed_map(), second in typed_map()
    ) {
        let in_turn = patched(patched(target.clone(), &first), &second);
        let together = patched(target, &overlaid(first, &second));
        prop_assert_eq!(in_turn, together);
    }

    #[test]
    fn layers_can_be_put_together_first(
        target in typed_map(), first in typed_map(), second in typed_map()
    ) {
        let in_turn = overlaid(overlaid(target.clone(), &first), &second);
        prop_assert_eq!(in_turn, overlaid(target, &overlaid(first, &second)));
    }

    #[test]
    fn exactly_the_leaves_have_an_origin(
        layers in prop::collection::vec((any_map(), any::<bool>()), 0..5)
    ) {
        let mut layered = Layered::new();
        let mut plain = json!({});
        for (number, (layer, is_patch)) in layers.iter().enumerate() {
            let fields = layer.as_object().unwrap();
            if *is_patch {
                layered.patch(fields, &number);
                patch(&mut plain, layer);
            } else {
                layered.overlay(fields, &number);
                overlay(&mut plain, layer);
            }
        }
        prop_assert_eq!(layered.value(), &plain);
        let paths = layered.origins().keys().cloned().collect::<Vec<_>>();
        let mut leaves = leaves(&plain);
        leaves.sort();
        prop_assert_eq!(paths, leaves);
    }
}
