use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::document::{Format, parse, to_yaml};
use crate::rest::ProfileTemplate;
use crate::spelling::Dialect;
use palisade_model::clock::Timestamp;
use palisade_model::profile::Revision;

const MINIMAL: &str = "display_name: default
description: Per-user sandboxes with no outbound network access
spec:
  namespace:
    strategy: per-user
  network:
    egress:
      default: deny-all
      modes:
        deny-all:
          type: none
";

fn draft(text: &str) -> Result<ProfileDraft, Vec<String>> {
    let node = parse(text.as_bytes(), Format::Yaml).unwrap();
    read_profile_draft(&node, &Source::whole(Dialect::Friendly))
        .map(|located| located.value)
        .map_err(shown)
}

fn edit(text: &str) -> Result<ProfileEdit, Vec<String>> {
    let node = parse(text.as_bytes(), Format::Yaml).unwrap();
    read_profile_edit(&node, &Source::whole(Dialect::Friendly))
        .map(|located| located.value)
        .map_err(shown)
}

fn shown(findings: Vec<Finding>) -> Vec<String> {
    findings
        .into_iter()
        .map(|finding| match finding.place {
            Some(place) => format!("{}:{} {}", place.line, place.column, finding.violation),
            None => finding.violation.to_string(),
        })
        .collect()
}

#[test]
fn the_minimal_profile_is_read() {
    let draft = draft(MINIMAL).unwrap();
    assert_eq!(draft.display_name.as_str(), "default");
    assert!(draft.spec.network.is_some());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_text() {
    let found = draft(
        "id: x
description: \"\\x07\"
labels: {a: 1.10}
spec:
  contaner_image: x
  namespace: {strategy: per-usr}
  network:
    egress:
      default: nope
      modes:
        a: {type: allowlist, cidrs: [10.0.0.1/8]}
",
    )
    .unwrap_err();
    let starts = [
        "1:1 display_name is required",
        "1:1 id is set by the server; leave it out",
        "2:14 description must not contain control characters",
        "3:13 labels.a must be text, not a number; put it in quotes",
        "5:3 spec.contaner_image is not a field here; did you mean container_image?",
        "6:25 spec.namespace.strategy must be ",
        "11:38 spec.network.egress.modes.a.cidrs[0] ",
    ];
    for start in starts {
        assert!(
            found.iter().any(|text| text.starts_with(start)),
            "{start} in {found:#?}"
        );
    }
    let lines = found
        .iter()
        .map(|text| text.split(':').next().unwrap().parse::<u32>().unwrap());
    assert!(lines.is_sorted(), "{found:#?}");
}

#[test]
fn what_only_the_server_sets_is_refused_in_a_draft() {
    for key in OUTPUT_ONLY {
        let found = draft(&format!("{MINIMAL}{key}: 1\n")).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("is set by the server"), "{found:?}");
    }
}

#[test]
fn a_spec_must_be_there_and_may_be_empty() {
    assert!(draft("display_name: x\nspec: {}\n").is_ok());
    for text in ["display_name: x\n", "display_name: x\nspec:\n"] {
        let found = draft(text).unwrap_err();
        assert!(found[0].contains("spec is required"), "{found:?}");
    }
}

#[test]
fn an_edit_holds_what_the_document_names() {
    let only = edit("description: new\n").unwrap();
    let expected = ProfileEdit {
        description: Some("new".to_owned()),
        ..ProfileEdit::default()
    };
    assert_eq!(only, expected);
    let emptied = edit("description:\nlabels: ~\n").unwrap();
    assert_eq!(emptied.description, Some(String::new()));
    assert_eq!(emptied.labels, Some(BTreeMap::new()));
}

#[test]
fn an_edit_does_not_empty_the_spec_in_passing() {
    let found = edit("spec: ~\n").unwrap_err();
    assert!(found[0].contains("spec must not be null"), "{found:?}");
    assert!(edit("spec: {}\n").unwrap().spec.is_some());
}

#[test]
fn an_edit_passes_over_what_came_with_an_earlier_answer() {
    let text = "organization_id: acme\ncreated_at: x\nupdated_at: y\nrevision: 3\netag: r\n";
    assert_eq!(edit(text).unwrap().etag.as_deref(), Some("r"));
}

#[test]
fn a_mask_keeps_what_it_names_and_empties_what_is_not_given() {
    let whole = edit("description: d\nspec: {}\n").unwrap();
    let masked = whole
        .clone()
        .masked(&[ProfileField::Labels, ProfileField::Spec])
        .unwrap();
    assert_eq!(masked.description, None);
    assert_eq!(masked.labels, Some(BTreeMap::new()));
    assert!(masked.spec.is_some());
    let without = edit("description: d\n").unwrap();
    assert_eq!(without.masked(&[ProfileField::Spec]), Err(MissingSpec));
}

#[test]
fn the_table_of_names_knows_every_field_that_the_domain_writes() {
    let crate::spelling::Shape::Object(fields) = &crate::spelling::SPEC else {
        panic!("a map");
    };
    let names = fields.iter().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names, form::FIELDS);
}

/// Specs in canonical spelling that are valid, with every field in play.
fn specs() -> impl Strategy<Value = Value> {
    let some = |value: Value| prop::option::of(Just(value));
    let images = prop::option::of(prop_oneof![
        Just("python:3.11"),
        Just("ghcr.io/o/i@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    ]);
    let modes = prop_oneof![
        Just(json!({"none": {"type": "none"}})),
        Just(json!({"none": {"type": "allowlist", "cidrs": ["10.0.0.0/8", "2001:db8::/32"]}})),
        Just(json!({"none": {"type": "org"}, "y": {"type": "internet"}})),
    ];
    let ingress = prop_oneof![
        Just(json!({})),
        Just(json!({"public": {
            "scope": "any",
            "expectsExternalAddress": true,
            "service": {
                "serviceType": "LoadBalancer",
                "dnsAnnotation": {"key": "example.com/dns", "value": "x y"},
            },
            "ingress": {"controllerName": "nginx", "template": "{{.SandboxID}}.example.com"},
        }})),
    ];
    let network = prop::option::of((modes, ingress).prop_map(|(modes, ingress)| {
        json!({"egress": {"default": "none", "modes": modes}, "ingress": ingress})
    }));
    (
        images,
        some(json!({"cpuRequest": "1.50", "memoryLimit": "8Gi"})),
        some(json!({"gpu": 2, "cpu": "64"})),
        some(json!(["h100", "a.b"])),
        some(json!({"gpu": "h100", "a/b": "true"})),
        some(json!(["ml", "yes", "1.10", "#x: y"])),
        some(json!({"strategy": "static", "staticNamespace": "team", "autoCreate": false, "labels": {"a": "b"}})),
        network,
        some(json!({"metadata": {"labels": {"a": "1"}}, "spec": {"terminationGracePeriodSeconds": 20, "containers": [{"name": "", "env": [{"name": "A", "value": "x\ny"}]}]}})),
    )
        .prop_map(|(image, defaults, ceiling, types, selector, tags, namespace, network, pod)| {
            let fields = [
                ("container_image", image.map(Value::from)),
                ("resource_defaults", defaults),
                ("resource_ceiling", ceiling),
                ("instance_types", types),
                ("node_selector", selector),
                ("tags", tags),
                ("namespace", namespace),
                ("network", network),
                ("pod", pod),
            ];
            fields
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect()
        })
}

fn profile(spec: ProfileSpec) -> Profile {
    Profile {
        id: "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d".parse().unwrap(),
        organization: "acme".parse().unwrap(),
        display_name: "on".parse().unwrap(),
        description: "two\nlines".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "a: b".to_owned())]),
        spec,
        revision: Revision(3),
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    }
}

proptest! {
    #[test]
    fn a_profile_survives_every_spelling(spec in specs()) {
        let profile = profile(form::decode(&spec).expect("a valid spec"));

        // As an answer on the wire, and back as an edit.
        let answer = serde_json::to_value(ProfileTemplate::new(&profile, "e".to_owned())).unwrap();
        let node = parse(answer.to_string().as_bytes(), Format::Json).unwrap();
        let from_wire = read_profile_edit(&node, &Source::whole(Dialect::Wire)).unwrap().value;

        // As YAML for people, and back as an edit.
        let text = to_yaml(&Value::Object(write_profile(&profile)));
        let from_yaml = edit(&text).unwrap();

        let etag = Some("e".to_owned());
        prop_assert_eq!(&from_wire, &ProfileEdit { etag, ..from_yaml.clone() });
        prop_assert_eq!(from_yaml.id, Some(profile.id));
        prop_assert_eq!(from_yaml.display_name, Some(profile.display_name));
        prop_assert_eq!(from_yaml.description, Some(profile.description));
        prop_assert_eq!(from_yaml.labels, Some(profile.labels));
        prop_assert_eq!(from_yaml.spec, Some(profile.spec));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z_:{}\\[\\], \n-]{0,80}") {
        if let Ok(node) = parse(text.as_bytes(), Format::Either) {
            let _ = read_profile_draft(&node, &Source::whole(Dialect::Friendly));
            let _ = read_profile_edit(&node, &Source::whole(Dialect::Wire));
        }
    }
}
