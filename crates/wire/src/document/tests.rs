use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn yaml(text: &str) -> Result<Node, Fault> {
    parse(text.as_bytes(), Format::Yaml)
}

fn json_text(text: &str) -> Result<Node, Fault> {
    parse(text.as_bytes(), Format::Json)
}

fn fault(result: Result<Node, Fault>) -> (Option<Place>, FaultKind) {
    let fault = result.unwrap_err();
    (fault.place, fault.kind)
}

#[expect(clippy::unnecessary_wraps, reason = "compared with optional places")]
fn at(line: u32, column: u32) -> Option<Place> {
    Some(Place { line, column })
}

#[test]
fn the_same_document_reads_equal_from_yaml_and_json() {
    let from_yaml = yaml("a: [1, two, null]\nb:\n  c: true\n").unwrap();
    let from_json = json_text(r#"{"a": [1, "two", null], "b": {"c": true}}"#).unwrap();
    assert_eq!(from_yaml.to_value(), from_json.to_value());
    assert_eq!(
        from_yaml.to_value(),
        json!({"a": [1, "two", null], "b": {"c": true}})
    );
}

#[test]
fn every_value_knows_its_line_and_column() {
    let text = "a:\n  - x\n  - b: ü y\n    c: 1\n";
    let document = yaml(text).unwrap();
    let Data::List(items) = &document.entry("a").unwrap().value.data else {
        panic!("a list");
    };
    let c = items[1].entry("c").unwrap();
    assert_eq!(items[0].place, at(2, 5));
    assert_eq!(c.key_place, at(4, 5));
    assert_eq!(c.value.place, at(4, 8));

    let document = json_text("{\n \"ü\": 1, \"b\": [\n 2]}").unwrap();
    let b = document.entry("b").unwrap();
    assert_eq!((b.key_place, b.value.place), (at(2, 10), at(2, 15)));
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    for (text, value) in [
        ("", Value::Null),
        ("~", Value::Null),
        ("TRUE", json!(true)),
        ("yes", json!("yes")),
        ("off", json!("off")),
        ("n", json!("n")),
        ("2026-01-02", json!("2026-01-02")),
        ("1:30", json!("1:30")),
        ("-0", json!(-0.0)),
        ("007", json!(7)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("-0x1F", json!("-0x1F")),
        ("+5", json!(5)),
        ("1.50", json!(1.5)),
        (".5e1", json!(5.0)),
        ("5.", json!(5)),
        ("1e", json!("1e")),
        ("1_000", json!("1_000")),
        (".", json!(".")),
        ("18446744073709551615", json!(u64::MAX)),
        ("'5'", json!("5")),
        ("!!str 5", json!("5")),
    ] {
        let document = yaml(&format!("k: {text}\n")).unwrap();
        assert_eq!(document.to_value()["k"], value, "{text}");
    }
}

#[test]
fn a_number_keeps_the_text_it_was_written_in() {
    for document in [yaml("v: 1.10"), json_text("{\"v\": 1.10}")] {
        let document = document.unwrap();
        let Data::Number(number) = &document.entry("v").unwrap().value.data else {
            panic!("a number");
        };
        assert_eq!(number.as_str(), "1.10");
    }
}

#[test]
fn a_number_that_json_cannot_hold_is_refused() {
    for text in [".inf", "-.INF", ".nan", "1e999", "99999999999999999999"] {
        let found = fault(yaml(&format!("v: {text}")));
        let text = text.to_owned();
        assert_eq!(found, (at(1, 4), FaultKind::BadNumber { text }));
    }
    assert!(json_text("{\"v\": 1e999}").is_err());
    assert!(json_text("{\"v\": 01}").is_err());
}

#[test]
fn a_key_given_twice_is_refused_with_both_places() {
    let kind = FaultKind::DuplicateKey {
        key: "a".to_owned(),
        first: Place { line: 1, column: 1 },
    };
    assert_eq!(fault(yaml("a: 1\nb: 2\na: 3\n")), (at(3, 1), kind));

    let kind = FaultKind::DuplicateKey {
        key: "a".to_owned(),
        first: Place { line: 1, column: 2 },
    };
    assert_eq!(
        fault(json_text("{\"a\": 1,\n \"\\u0061\": 2}")),
        (at(2, 2), kind)
    );
}

#[test]
fn documents_of_one_text_are_read_apart() {
    let documents = parse_all(b"a: 1\n---\nb: 2\n---\n", Format::Yaml).unwrap();
    let values = documents.iter().map(Node::to_value).collect::<Vec<_>>();
    assert_eq!(values, [json!({"a": 1}), json!({"b": 2})]);
    assert_eq!(
        fault(yaml("a: 1\n---\nb: 2\n")),
        (at(3, 1), FaultKind::SecondDocument)
    );
}

#[test]
fn a_text_with_nothing_in_it_is_refused() {
    for text in ["", "# only a comment\n", "---\n", "\u{feff}"] {
        assert_eq!(fault(yaml(text)).1, FaultKind::Empty, "{text:?}");
    }
    assert_eq!(fault(json_text(" \n")).1, FaultKind::Empty);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let found = parse(b"a: b\nc: \xff\n", Format::Yaml).unwrap_err();
    assert_eq!((found.place, found.kind), (at(2, 4), FaultKind::NotUtf8));
}

#[test]
fn a_text_beyond_the_limit_is_not_looked_at() {
    let found = parse(&vec![b'['; 10 * BYTES_MAX], Format::Either).unwrap_err();
    let len = 10 * BYTES_MAX;
    assert_eq!(found.kind, FaultKind::TooLarge { len });
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
    for parse in [yaml, json_text] {
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(fault(parse(&nested(DEPTH_MAX + 1))).1, FaultKind::TooDeep);
    }
    let flow = "[".repeat(BYTES_MAX);
    assert_eq!(fault(json_text(&flow)).1, FaultKind::TooDeep);
    assert_eq!(fault(yaml(&flow)).1, FaultKind::TooDeep);
    assert_eq!(
        fault(yaml(&"- ".repeat(BYTES_MAX / 2))).1,
        FaultKind::TooDeep
    );
}

#[test]
fn an_alias_stands_for_its_anchor() {
    let document = yaml("a: &x {k: [1]}\nb: *x\n").unwrap();
    assert_eq!(document.to_value()["b"], json!({"k": [1]}));
}

#[test]
fn aliases_are_counted_as_what_they_stand_for() {
    let level = |level: u32| {
        let below = format!("*a{}, ", level - 1).repeat(10);
        format!("a{level}: &a{level} [{below}]\n")
    };
    let levels = (1..9).map(level).collect::<String>();
    let bomb = format!("a0: &a0 x\n{levels}");
    assert_eq!(fault(yaml(&bomb)).1, FaultKind::TooManyNodes);

    let big = "x".repeat(BYTES_MAX / 2);
    let long = format!("a: &a {big}\nb: [*a, *a, *a, *a]\n");
    assert_eq!(fault(yaml(&long)).1, FaultKind::TooMuchText);

    let deep = "[".repeat(DEPTH_MAX - 1) + &"]".repeat(DEPTH_MAX - 1);
    let deeper = format!("a: &a {deep}\nb: [[*a]]\n");
    assert_eq!(fault(yaml(&deeper)).1, FaultKind::TooDeep);
}

#[test]
fn an_alias_inside_of_its_own_anchor_is_refused() {
    assert_eq!(fault(yaml("a: &a [*a]\n")).1, FaultKind::CyclicAlias);
    assert!(yaml("a: *nowhere\n").is_err());
}

#[test]
fn what_is_not_supported_says_so() {
    for (text, kind) in [
        (
            "a: !!binary aGk=",
            FaultKind::Tag {
                tag: "!!binary".to_owned(),
            },
        ),
        (
            "a: !secret x",
            FaultKind::Tag {
                tag: "!secret".to_owned(),
            },
        ),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", FaultKind::MergeKey),
        ("? [a]\n: b\n", FaultKind::ComplexKey),
        ("&k a: 1\n*k : 2\n", FaultKind::ComplexKey),
    ] {
        assert_eq!(fault(yaml(text)).1, kind, "{text}");
    }
}

#[test]
fn broken_grammar_is_refused_where_it_breaks() {
    for (text, place) in [
        ("{\"a\": 1,}", at(1, 9)),
        ("{\"a\" 1}", at(1, 6)),
        ("[1 2]", at(1, 4)),
        ("{a: 1}", at(1, 2)),
        ("nul", at(1, 1)),
        ("\"\\ud800\"", at(1, 1)),
        ("\"open", at(1, 1)),
        ("1 2", at(1, 3)),
        ("{", at(1, 2)),
    ] {
        let (found, kind) = fault(json_text(text));
        assert_eq!(found, place, "{text}");
        assert!(matches!(kind, FaultKind::Syntax(_)), "{text} {kind:?}");
    }
    let (place, kind) = fault(yaml("a: 1\n b: [\n"));
    assert!(matches!(kind, FaultKind::Syntax(_)), "{kind:?}");
    assert!(place.unwrap().line >= 2);
}

#[test]
fn surrogate_pairs_are_one_character() {
    let document = json_text(r#""\ud83d\ude00""#).unwrap();
    assert_eq!(document.to_value(), json!("😀"));
}

#[test]
fn a_text_that_opens_like_json_may_be_yaml() {
    let read = |text: &str| parse(text.as_bytes(), Format::Either);
    assert_eq!(read("{a: 1}").unwrap().to_value(), json!({"a": 1}));
    assert_eq!(read(" {\"a\": 1}").unwrap().to_value(), json!({"a": 1}));
    assert_eq!(read("a: 1").unwrap().to_value(), json!({"a": 1}));
    let text = fault(read("{\"a\": }}")).1.to_string();
    assert!(text.starts_with("is not JSON"), "{text}");
}

#[test]
fn printed_yaml_is_pleasant() {
    let value = json!({
        "display_name": "ci",
        "description": "first line\nsecond line\n",
        "labels": {},
        "spec": {
            "tags": ["a", "on", "1.10", "- x", ""],
            "cidrs": ["10.0.0.0/8"],
            "rules": [{"a": 1, "b": ["c"]}, []],
            "template": "{{.SandboxID}}.example.com",
            "none": null,
        },
    });
    let expected = r#"display_name: ci
description: |
  first line
  second line
labels: {}
spec:
  tags:
    - a
    - "on"
    - "1.10"
    - "- x"
    - ""
  cidrs:
    - 10.0.0.0/8
  rules:
    - a: 1
      b:
        - c
    - []
  template: "{{.SandboxID}}.example.com"
  none: null
"#;
    assert_eq!(to_yaml(&value), expected);
}

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        "[ -~\n]{0,20}",
        any::<String>(),
        Just("true".to_owned()),
        Just("1e3".to_owned()),
        Just("no".to_owned()),
        Just("a\nb".to_owned()),
        Just("a\n\nb\n".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,12}|[ -~\n]{0,12}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn overlong_keys_read_back_too() {
    let key = |c: &str| c.repeat(1_100);
    let value = json!({ key("a"): { key("\u{1}"): [1], "b": { key("c"): "d" } }, "e": "f" });
    let read = yaml(&to_yaml(&value));
    assert_eq!(read.map(|node| node.to_value()), Ok(value));
}

proptest! {
    #[test]
    fn printed_yaml_reads_back_equal(value in values().prop_filter("a document", |v| !v.is_null())) {
        let text = to_yaml(&value);
        let read = yaml(&text);
        prop_assert_eq!(read.map(|node| node.to_value()), Ok(value), "{}", text);
    }

    #[test]
    fn printed_json_reads_back_equal(value in values()) {
        let read = json_text(&value.to_string()).map(|node| node.to_value());
        prop_assert_eq!(read, Ok(value));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-\\[\\]{}:,&*!|>'\"%@`#?a1. \n\t]{0,60}") {
        let _ = parse_all(text.as_bytes(), Format::Either);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse_all(&bytes, Format::Either);
    }
}
