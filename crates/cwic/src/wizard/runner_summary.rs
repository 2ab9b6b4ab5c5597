//! What a change does to the profiles that a runner offers.

use std::fmt;

use palisade_wire::rest::{ProfileBinding, ProfileTemplate};
use serde_json::Value;

use crate::present::plain;

/// The bindings of a runner before and after a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bindings {
    lines: Vec<(&'static str, String)>,
}

/// A binding, as far as it is told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: String,
    name: String,
    alias: String,
    is_default: bool,
    overrides: Option<Value>,
}

impl Bindings {
    /// Compares what is bound with a list as people write it; the profiles
    /// give names to ids and ids to names.
    pub(crate) fn between(
        before: &[ProfileBinding],
        after: &Value,
        profiles: &[ProfileTemplate],
    ) -> Self {
        let before: Vec<Told> = before
            .iter()
            .map(|one| Told::bound(one, profiles))
            .collect();
        let after = after.as_array().into_iter().flatten();
        let after: Vec<Told> = after.map(|one| Told::written(one, profiles)).collect();
        let mut lines = Vec::new();
        for one in &after {
            let old = before.iter().find(|old| old.id == one.id);
            let word = match old {
                None => "attached",
                Some(old) if old == one => "kept",
                Some(_) => "changed",
            };
            lines.push((word, one.to_string()));
        }
        for old in &before {
            if !after.iter().any(|one| one.id == old.id) {
                lines.push(("detached", old.to_string()));
            }
        }
        Self { lines }
    }
}

impl fmt::Display for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, line) in &self.lines {
            writeln!(f, "  {word:<9}{}", plain(line).replace('\n', " "))?;
        }
        Ok(())
    }
}

impl Told {
    fn bound(binding: &ProfileBinding, profiles: &[ProfileTemplate]) -> Self {
        let ProfileBinding {
            profile_template_id,
            profile_name,
            is_default,
            overrides_json,
        } = binding;
        Self {
            id: profile_template_id.clone(),
            name: name_of(profile_template_id, profiles),
            alias: profile_name.clone(),
            is_default: *is_default,
            overrides: serde_json::from_str(overrides_json).ok(),
        }
    }

    fn written(binding: &Value, profiles: &[ProfileTemplate]) -> Self {
        let text = |key: &str| binding.get(key).and_then(Value::as_str).unwrap_or_default();
        let given = text("profile_template_id");
        let profile = profiles.iter().find(|one| one.id == given);
        let profile = profile.or_else(|| profiles.iter().find(|one| one.display_name == given));
        let id = profile.map_or(given, |profile| profile.id.as_str());
        let overrides = binding
            .get("overrides_json")
            .filter(|value| value.as_object().is_some_and(|map| !map.is_empty()));
        Self {
            id: id.to_owned(),
            name: name_of(id, profiles),
            alias: text("profile_name").to_owned(),
            is_default: binding
                .get("is_default")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            overrides: overrides.map(wire_overrides),
        }
    }
}

/// Overrides in the spelling in which the server tells them.
fn wire_overrides(overrides: &Value) -> Value {
    palisade_wire::spelling::to_wire(overrides, &palisade_wire::spelling::SPEC)
}

fn name_of(id: &str, profiles: &[ProfileTemplate]) -> String {
    let profile = profiles.iter().find(|profile| profile.id == id);
    profile.map_or_else(String::new, |profile| profile.display_name.clone())
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            name,
            alias,
            is_default,
            overrides,
        } = self;
        write!(f, "{id}")?;
        if !name.is_empty() {
            write!(f, " {name}")?;
        }
        if !alias.is_empty() {
            write!(f, " as {alias}")?;
        }
        if *is_default {
            write!(f, ", the default")?;
        }
        if overrides.is_some() {
            write!(f, ", with overrides")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_binding_is_attached_kept_changed_or_detached() {
        let profile = |id: &str, name: &str| ProfileTemplate {
            id: id.to_owned(),
            display_name: name.to_owned(),
            ..ProfileTemplate::default()
        };
        let bound = |id: &str, is_default| ProfileBinding {
            profile_template_id: id.to_owned(),
            is_default,
            overrides_json: r#"{"containerImage":"x"}"#.to_owned(),
            ..ProfileBinding::default()
        };
        let profiles = [
            profile("1", "one"),
            profile("2", "two"),
            profile("3", "three\u{1b}"),
        ];
        let before = [bound("1", true), bound("2", false), bound("4", false)];
        let after = json!([
            {"profile_template_id": "one", "is_default": true, "overrides_json": {"container_image": "x"}},
            {"profile_template_id": "2", "profile_name": "deux", "is_default": false},
            {"profile_template_id": "three\u{1b}"},
        ]);
        let told = Bindings::between(&before, &after, &profiles).to_string();
        let expected = "  kept     1 one, the default, with overrides\n  changed  2 two as deux\n  \
                        attached 3 three\\u{1b}\n  detached 4, with overrides\n";
        assert_eq!(told, expected);
    }
}
