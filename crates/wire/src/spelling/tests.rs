use palisade_model::violation::ViolationKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::{Format, Node, parse};

fn yaml(text: &str) -> Node {
    parse(text.as_bytes(), Format::Yaml).unwrap()
}

fn friendly(text: &str) -> Translated {
    translate(&yaml(text), &PROFILE, Dialect::Friendly, &FieldPath::root())
}

fn wire(value: &Value) -> Translated {
    let at = FieldPath::root().key("profileTemplate");
    translate(&Node::from_value(value), &PROFILE, Dialect::Wire, &at)
}

fn path(text: &str) -> FieldPath {
    parse_path(text).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "compared with optional places")]
fn at(line: u32, column: u32) -> Option<Place> {
    Some(Place { line, column })
}

#[test]
fn both_spellings_read_as_one_document() {
    let friendly = friendly(
        "display_name: ci
spec:
  container_image: python:3.11
  resource_defaults: {cpuRequest: 1}
  network:
    egress: {default: none, modes: {none: {type: none}}}
  pod:
    spec: {hostname: x}
",
    );
    let wire = wire(&json!({
        "displayName": "ci",
        "spec": {
            "containerImage": "python:3.11",
            "resourceDefaults": {"cpu_request": "1"},
            "networkConfigJson": r#"{"egress":{"default":"none","modes":{"none":{"type":"none"}}}}"#,
            "pod_template_json": {"spec": {"hostname": "x"}},
        },
    }));
    assert_eq!(friendly.value, wire.value);
    assert!(friendly.findings.is_empty() && wire.findings.is_empty());
}

#[test]
fn a_number_where_a_quantity_belongs_keeps_its_text() {
    let read = friendly("spec: {resource_defaults: {cpuRequest: 1.50, cpuLimit: 0x10}}");
    assert_eq!(
        read.value["spec"]["resource_defaults"],
        json!({"cpuRequest": "1.50", "cpuLimit": "0x10"})
    );
}

#[test]
fn nothing_below_free_keys_and_pods_is_respelled() {
    let text = "labels: {displayName: x}
spec:
  node_selector: {nodeSelector: y}
  pod: {spec: {nodeSelector: {}, node_selector: {}}}
";
    let read = friendly(text);
    assert_eq!(read.value, yaml(text).to_value());
}

#[test]
fn a_field_given_in_both_spellings_is_refused_with_both_places() {
    let read = friendly("display_name: a\ndisplayName: b\n");
    let [finding] = read.findings.as_slice() else {
        panic!("{:?}", read.findings);
    };
    assert_eq!(finding.violation.kind, ViolationKind::Duplicate);
    assert_eq!(
        finding.violation.to_string(),
        "displayName is the same field as display_name at line 1, column 1; give it once"
    );
    assert_eq!(finding.place, at(2, 1));
    assert_eq!(read.value, json!({"display_name": "a"}));
}

#[test]
fn an_unknown_field_is_told_in_the_spelling_of_the_document() {
    let read = friendly("spec:\n  contaner_image: x\n  zebra: 1\n");
    let texts = read
        .findings
        .iter()
        .map(|finding| finding.violation.to_string())
        .collect::<Vec<_>>();
    assert_eq!(
        texts[0],
        "spec.contaner_image is not a field here; did you mean container_image?"
    );
    assert!(texts[1].starts_with("spec.zebra is not a field here; known are container_image, "));
    assert_eq!(read.findings[1].place, at(3, 3));

    let read = wire(&json!({"spec": {"netwrkConfigJson": "{}"}}));
    assert_eq!(
        read.findings[0].violation.to_string(),
        "profileTemplate.spec.netwrkConfigJson is not a field here; did you mean networkConfigJson?"
    );
}

#[test]
fn a_thousand_unknown_fields_are_not_all_told() {
    let text = (0..1000).map(|n| format!("x{n}: 1\n")).collect::<String>();
    assert_eq!(friendly(&text).findings.len(), 100);
}

#[test]
fn json_in_a_string_that_is_none_is_told_where_it_stands() {
    let read = friendly("spec:\n  networkConfigJson: '{\"egress\": }'\n");
    let finding = &read.findings[0];
    assert_eq!(finding.place, at(2, 22));
    assert_eq!(
        finding.violation.to_string(),
        "spec.networkConfigJson must hold JSON in a string, or a map; is not JSON: found '}' where \
         a value should be at line 1, column 12 of the text"
    );
}

#[test]
fn an_empty_string_is_no_block() {
    let read = friendly("spec: {networkConfigJson: ''}");
    assert_eq!(read.value["spec"]["network"], Value::Null);
    assert!(read.findings.is_empty());
}

#[test]
fn a_violation_is_located_in_what_the_caller_wrote() {
    let read = friendly("spec:\n  network:\n    egress:\n      default: x\n");
    let violation = |at: &str, kind| Violation::new(path(at), kind, "is wrong");

    let value = read.origin.locate(violation(
        "spec.network.egress.default",
        ViolationKind::Invalid,
    ));
    assert_eq!(value.place, at(4, 16));

    let key = read
        .origin
        .locate(violation("spec.network", ViolationKind::Forbidden));
    assert_eq!(key.place, at(2, 3));

    let missing = read.origin.locate(violation(
        "spec.network.egress.modes",
        ViolationKind::Required,
    ));
    assert_eq!(missing.place, at(3, 5));
}

#[test]
fn a_violation_keeps_the_spelling_of_the_caller() {
    let read = wire(&json!({
        "display_name": "x",
        "spec": {"networkConfigJson": "{\"egress\": {\"default\": \"x\"}}"},
    }));
    let spell = |at: &str| {
        let violation = Violation::new(path(at), ViolationKind::Required, "");
        read.origin.locate(violation).violation.path.to_string()
    };
    assert_eq!(
        spell("spec.network.egress.default"),
        "profileTemplate.spec.networkConfigJson.egress.default"
    );
    assert_eq!(spell("display_name"), "profileTemplate.display_name");
    assert_eq!(
        spell("spec.container_image"),
        "profileTemplate.spec.containerImage"
    );
    assert_eq!(
        spell("spec.pod.spec.a[1]"),
        "profileTemplate.spec.podTemplateJson.spec.a[1]"
    );
}

#[test]
fn a_path_in_any_spelling_has_a_canonical_form() {
    for (spelled, canonical) in [
        (
            "spec.networkConfigJson.egress.modes.a.cidrs[0]",
            "spec.network.egress.modes.a.cidrs[0]",
        ),
        (
            "spec.pod_template_json.nodeSelector",
            "spec.pod.nodeSelector",
        ),
        ("displayName", "display_name"),
        ("zebraStripe", "zebraStripe"),
        ("labels.displayName", "labels.displayName"),
    ] {
        assert_eq!(PROFILE.canonical(&path(spelled)), path(canonical));
    }
}

#[test]
fn words_are_taken_in_any_form() {
    for text in [
        "stable",
        "STABLE",
        "RELEASE_CHANNEL_STABLE",
        "release_channel_unspecified",
    ] {
        let node = yaml(&format!("managed_spec: {{release_channel: {text}}}"));
        let read = translate(&node, &RUNNER, Dialect::Friendly, &FieldPath::root());
        assert_eq!(read.value["managed_spec"]["release_channel"], "stable");
    }
    let wire = to_wire(
        &json!({"managed_spec": {"release_channel": "rapid"}}),
        &RUNNER,
    );
    assert_eq!(
        wire["managedSpec"]["releaseChannel"],
        "RELEASE_CHANNEL_RAPID"
    );
}

#[test]
fn overrides_hold_their_blocks_as_text_on_the_wire() {
    let canonical = json!({"profile_bindings": [{
        "profile_template_id": "x",
        "overrides_json": {"runtime_class": null, "network": {"egress": null}},
    }]});
    let spelled = to_wire(&canonical, &RUNNER);
    let text = spelled["profileBindings"][0]["overridesJson"]
        .as_str()
        .unwrap();
    assert_eq!(
        text,
        r#"{"runtimeClass":null,"networkConfigJson":"{\"egress\":null}"}"#
    );
    let node = Node::from_value(&spelled);
    let read = translate(&node, &RUNNER, Dialect::Wire, &FieldPath::root());
    assert_eq!(read.value, canonical);
}

#[test]
fn what_prints_no_path_is_refused() {
    for text in [
        ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[\"b]", "a]b[0]c", "[0]x",
    ] {
        assert_eq!(parse_path(text), Err(BadPath), "{text}");
    }
}

fn steps() -> impl Strategy<Value = FieldPath> {
    let step = prop_oneof![
        any::<String>().prop_map(Step::Key),
        "[a-z_]{1,8}".prop_map(Step::Key),
        (0..1000usize).prop_map(Step::Index),
    ];
    ("[a-z]{1,5}", prop::collection::vec(step, 0..5))
        .prop_map(|(first, rest)| std::iter::once(Step::Key(first)).chain(rest).collect())
}

proptest! {
    #[test]
    fn a_path_reads_as_it_was_printed(path in steps()) {
        prop_assert_eq!(parse_path(&path.to_string()), Ok(path));
    }

    #[test]
    fn no_text_makes_the_reader_of_paths_panic(text in any::<String>()) {
        let _ = parse_path(&text);
    }
}
