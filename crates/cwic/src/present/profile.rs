//! Profiles as people read them.

use palisade_wire::profile_document::OUTPUT_ONLY;
use palisade_wire::rest::ProfileTemplate;
use palisade_wire::spelling::PROFILE;
use serde_json::Value;

use super::{friendly, json, minute, or_dash, pairs};
use crate::listing::Item;
use crate::out::Column;

pub(crate) use describing::describe;

mod describing;

/// What a table of profiles shows.
pub(crate) const COLUMNS: [Column; 12] = [
    Column::name("NAME", 9),
    Column::whole("ID", 5),
    Column::soft("NAMESPACE", 4),
    Column::soft("EGRESS", 7),
    Column::soft("INGRESS", 3),
    Column::soft("IMAGE", 2),
    Column::whole("REVISION", 6),
    Column::soft("RUNTIME", 1).wide(),
    Column::soft("RESOURCES", 1).wide(),
    Column::soft("LABELS", 1).wide(),
    Column::whole("UPDATED", 1).wide(),
    Column::soft("DESCRIPTION", 0).wide(),
];

/// A profile in every form that it can be shown in.
pub(crate) fn item(profile: &ProfileTemplate) -> Item {
    let document = document(profile);
    Item {
        name: profile.display_name.clone(),
        answer: json(profile),
        cells: cells(profile, &document),
        document,
        labels: profile.labels.clone(),
    }
}

/// A profile as a document that can be edited and sent back.
pub(crate) fn document(profile: &ProfileTemplate) -> Value {
    friendly(profile, &PROFILE, &OUTPUT_ONLY)
}

/// A flag as a word.
pub(super) fn yes_or_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn cells(profile: &ProfileTemplate, document: &Value) -> Vec<String> {
    let at = |path: &str| document.pointer(path);
    let text = |path: &str| or_dash(at(path).and_then(Value::as_str).unwrap_or_default());
    let levels = at("/spec/network/ingress").and_then(Value::as_object);
    let levels = levels.map(|levels| levels.keys().cloned().collect::<Vec<_>>().join(","));
    vec![
        profile.display_name.clone(),
        profile.id.clone(),
        text("/spec/namespace/strategy"),
        egress(document),
        or_dash(&levels.unwrap_or_default()),
        text("/spec/container_image"),
        profile.revision.to_string(),
        text("/spec/runtime_class"),
        resources(document),
        pairs(&profile.labels),
        minute(&profile.updated_at),
        or_dash(&profile.description),
    ]
}

/// CPU and memory that a sandbox gets that does not ask.
fn resources(document: &Value) -> String {
    let defaults = document.pointer("/spec/resource_defaults");
    let defaults = defaults.and_then(Value::as_object);
    let pairs = defaults.into_iter().flatten().map(|(key, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{key}={value}")
    });
    or_dash(&pairs.collect::<Vec<_>>().join(","))
}

/// The modes, the default one first and marked.
pub(crate) fn egress(document: &Value) -> String {
    let Some(egress) = document.pointer("/spec/network/egress") else {
        return "-".to_owned();
    };
    let default = egress
        .get("default")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let modes = egress.get("modes").and_then(Value::as_object);
    let others = modes.into_iter().flat_map(|modes| modes.keys());
    let others = others.filter(|name| *name != default).cloned();
    let default = (!default.is_empty()).then(|| format!("{default}*"));
    let all: Vec<_> = default.into_iter().chain(others).collect();
    or_dash(&all.join(","))
}
