//! The text in which a runner is written: the document, with the names of
//! profiles beside their ids, and examples behind a `#`.
//!
//! Prose and examples look as in [`super::profile_template`].

use std::fmt::Write as _;

use palisade_wire::document::to_yaml;
use palisade_wire::rest::ProfileTemplate;
use serde_json::{Map, Value, json};

use crate::present::plain;

const HEAD: &str = "\
# Change what you like, save and leave the editor; then you are shown what would
# become of it, and asked. Empty the file to give up. Take away the # before a
# field to use it.
";

/// Examples, each under the key of the settings that it is for.
const SETTINGS: [(&str, &str); 4] = [
    (
        "maintenance_policy",
        "  # When it may be updated, in UTC, and when not.
  #maintenance_policy:
  #  windows:
  #    - cron: 0 2 * * SAT
  #      duration_seconds: 14400
  #  exclusions:
  #    - start_time: 2027-12-20T00:00:00Z
  #      end_time: 2028-01-03T00:00:00Z
  #      reason: freeze
",
    ),
    (
        "zone_defaults",
        "  # The lowest layer of every sandbox on it; profiles lie above.
  #zone_defaults:
  #  container_image: python:3.11
",
    ),
    (
        "enforce_resource_limits",
        "  # Whether every sandbox must have limits.
  #enforce_resource_limits: true
",
    ),
    (
        "overrides",
        "  # Changes to the deployment of the runner itself.
  #overrides:
  #  node_selector:
  #    pool: system
",
    ),
];

const BINDINGS: &str = "\
# What it offers, in the order in which it is tried; exactly one is the default.
# The list replaces the present one: what is taken out is detached.
";

const OVERRIDES: &str = "    # Changes to the profile on this runner alone; null removes a field.
    #overrides_json:
    #  container_image: python:3.12
";

/// The text.
pub(super) fn text(document: &Value, profiles: &[ProfileTemplate]) -> String {
    let mut text = HEAD.to_owned();
    let nothing = Map::new();
    let document = document.as_object().unwrap_or(&nothing);
    for (key, value) in document {
        match key.as_str() {
            "managed_spec" => settings(value, &mut text),
            "profile_bindings" => bindings(value, profiles, &mut text),
            _ => text.push_str(&to_yaml(&json!({ key: value }))),
        }
    }
    text
}

fn settings(value: &Value, text: &mut String) {
    text.push_str(&to_yaml(&json!({ "managed_spec": value })));
    for (key, example) in SETTINGS {
        if value.get(key).is_none() {
            text.push_str(example);
        }
    }
}

fn bindings(value: &Value, profiles: &[ProfileTemplate], text: &mut String) {
    text.push_str(BINDINGS);
    text.push_str("profile_bindings:\n");
    for binding in value.as_array().into_iter().flatten() {
        let id = binding.get("profile_template_id").and_then(Value::as_str);
        let profile = profiles
            .iter()
            .find(|profile| Some(profile.id.as_str()) == id);
        if let Some(profile) = profile {
            let name = plain(&profile.display_name).replace(['\n', '\t'], " ");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  # {name}");
        }
        for (place, line) in to_yaml(binding).lines().enumerate() {
            text.push_str(if place == 0 { "  - " } else { "    " });
            text.push_str(line);
            text.push('\n');
        }
        if binding.get("overrides_json").is_none() {
            text.push_str(OVERRIDES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Kind;
    use crate::input::typed::Typed;
    use crate::wizard::profile_template::tests::uncommented;

    fn document() -> Value {
        json!({
            "identity": {"runner_id": "local", "zone": "z", "cluster_name": "c"},
            "managed_spec": {"release_channel": "stable"},
            "profile_bindings": [
                {"profile_template_id": "019b5000-0000-7000-8000-000000000002", "is_default": true},
                {"profile_template_id": "019b5000-0000-7000-8000-000000000003", "profile_name": "x"},
            ],
        })
    }

    fn read(text: &str) -> Value {
        let typed = Typed::read(text, Kind::NewRunner(None));
        typed
            .unwrap_or_else(|findings| panic!("{findings:?}\n{text}"))
            .friendly
    }

    #[test]
    fn the_document_comes_back_as_it_was() {
        let profile = ProfileTemplate {
            id: "019b5000-0000-7000-8000-000000000003".to_owned(),
            display_name: "a\nb: \u{1b}c".to_owned(),
            ..ProfileTemplate::default()
        };
        let text = text(&document(), &[profile]);
        assert_eq!(read(&text), document());
        assert!(text.contains(
            "  # a b: \\u{1b}c\n  - profile_template_id: 019b5000-0000-7000-8000-000000000003\n"
        ));
    }

    #[test]
    fn every_example_is_right() {
        let full = uncommented(&text(&document(), &[]));
        let full = read(&full);
        let overrides = full.pointer("/profile_bindings/1/overrides_json/container_image");
        assert_eq!(overrides, Some(&json!("python:3.12")));
        assert!(
            full.pointer("/managed_spec/maintenance_policy/exclusions/0")
                .is_some()
        );
    }
}
