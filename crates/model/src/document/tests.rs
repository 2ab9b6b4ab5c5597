use serde_json::json;

use super::*;

fn findings(value: &Value, read: impl FnOnce(&mut Reader, &Node<'_>)) -> Vec<String> {
    let mut reader = Reader::default();
    read(&mut reader, &Node::root(value));
    reader.finish().iter().map(Violation::to_string).collect()
}

#[test]
fn a_misspelt_field_is_reported_with_its_neighbour() {
    let found = findings(&json!({"runtimeclass": 1, "zebra": 2}), |reader, node| {
        reader.fields(node, &["runtime_class", "tags"]);
    });
    assert_eq!(
        found,
        [
            "runtimeclass is not a field here; did you mean runtime_class?",
            "zebra is not a field here; known are runtime_class, tags",
        ]
    );
}

#[test]
fn a_wrong_type_names_what_was_expected_and_what_was_found() {
    let value = json!({"a": 1, "b": [], "c": "x"});
    let found = findings(&value, |reader, node| {
        let fields = reader.fields(node, &["a", "b", "c"]).unwrap();
        reader.text(&fields.get("a").unwrap());
        reader.boolean(&fields.get("b").unwrap());
        reader.items(&fields.get("c").unwrap(), 9);
    });
    assert_eq!(
        found,
        [
            "a must be text, not a number; put it in quotes",
            "b must be true or false, not a list",
            "c must be a list, not text",
        ]
    );
}

#[test]
fn null_reads_as_an_absent_field() {
    let value = json!({"a": null});
    let found = findings(&value, |reader, node| {
        assert!(
            reader
                .fields(node, &["a"])
                .is_some_and(|f| f.get("a").is_none())
        );
        assert!(reader.entries(node, 1).unwrap().is_empty());
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_place_in_a_list_has_its_number() {
    let value = json!({"list": ["x", 5]});
    let found = findings(&value, |reader, node| {
        let fields = reader.fields(node, &["list"]).unwrap();
        let list = fields.get("list").unwrap();
        for item in reader.items(&list, 2).unwrap() {
            reader.text(&item);
        }
    });
    assert_eq!(
        found,
        ["list[1] must be text, not a number; put it in quotes"]
    );
}

#[test]
fn too_many_parts_are_refused_unread() {
    let found = findings(&json!([1, 2, 3]), |reader, node| {
        assert!(reader.items(node, 2).is_none());
    });
    assert_eq!(found, ["has 3 items; at most 2 are allowed"]);
}

#[test]
fn the_list_of_violations_has_an_end() {
    let value = Value::Array(vec![json!(1); 150]);
    let found = findings(&value, |reader, node| {
        for item in reader.items(node, 200).unwrap() {
            reader.text(&item);
        }
    });
    assert_eq!(found.len(), VIOLATIONS_MAX + 1);
    assert_eq!(
        found[VIOLATIONS_MAX],
        "breaks 50 more rules, not listed here"
    );
}

#[test]
fn a_count_is_a_whole_number_of_32_bits() {
    for bad in [json!(-1), json!(1.5), json!(4_294_967_296_u64), json!("1")] {
        assert_eq!(
            findings(&bad, |reader, node| {
                assert_eq!(reader.count(node), None);
            })
            .len(),
            1,
            "{bad}"
        );
    }
    let mut reader = Reader::default();
    assert_eq!(reader.count(&Node::root(&json!(u32::MAX))), Some(u32::MAX));
}

#[test]
fn a_word_outside_its_list_is_refused_with_the_list() {
    let found = findings(&json!("Any"), |reader, node| {
        reader.word(node, &["user", "org", "any"], |word| word);
    });
    assert_eq!(
        found,
        [r#"must be user, org or any, not "Any"; did you mean any?"#]
    );
}

#[test]
fn depth_counts_maps_and_lists() {
    let value = json!({"a": [{"b": 1}]});
    assert!(is_deeper(&value, 2));
    assert!(!is_deeper(&value, 3));
    assert!(!is_deeper(&json!(1), 0));
}

#[test]
fn a_long_word_is_neither_compared_nor_quoted_whole() {
    let long = "é".repeat(10_000);
    assert_eq!(clipped(&long).chars().count(), WORD_MAX);
    assert_eq!(suggestion(&long, &["e"]), "");
}
