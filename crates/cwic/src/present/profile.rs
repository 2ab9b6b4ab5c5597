//! Profiles as people read them.

use palisade_wire::rest::{ProfileTemplate, Runner};
use palisade_wire::spelling::PROFILE;
use serde_json::Value;

use super::{friendly, minute, or_dash, pairs};
use crate::out::Out;

/// What only the server sets.
const ASSIGNED: [&str; 6] = [
    "id",
    "organization_id",
    "created_at",
    "updated_at",
    "revision",
    "etag",
];

/// A table of profiles.
pub(crate) fn table(profiles: &[ProfileTemplate], out: &mut Out) {
    let rows: Vec<_> = profiles.iter().map(row).collect();
    let heading = [
        "NAME",
        "ID",
        "NAMESPACE",
        "EGRESS",
        "INGRESS",
        "IMAGE",
        "REVISION",
    ];
    out.table(heading, &rows);
}

/// A profile as a document that can be edited and sent back.
pub(crate) fn document(profile: &ProfileTemplate) -> Value {
    friendly(profile, &PROFILE, &ASSIGNED)
}

/// A profile and who offers it.
pub(crate) fn describe(profile: &ProfileTemplate, runners: &[Runner], out: &mut Out) {
    let facts = [
        ("Name", profile.display_name.clone()),
        ("Id", profile.id.clone()),
        ("Description", or_dash(&profile.description)),
        ("Labels", pairs(&profile.labels)),
        ("Revision", profile.revision.to_string()),
        ("Created", minute(&profile.created_at)),
        ("Updated", minute(&profile.updated_at)),
    ];
    for (name, value) in facts {
        out.line(format_args!("{name:<13}{value}"));
    }
    out.line("\nGuardrails:");
    let spec = document(profile).get("spec").cloned().unwrap_or_default();
    let text = if spec.is_null() {
        "everything is inherited from the runner\n".to_owned()
    } else {
        palisade_wire::document::to_yaml(&spec)
    };
    for line in text.lines() {
        out.line(format_args!("  {line}"));
    }
    describe_bindings(profile, runners, out);
}

fn describe_bindings(profile: &ProfileTemplate, runners: &[Runner], out: &mut Out) {
    let mut rows = Vec::new();
    for runner in runners {
        let bindings = runner.profile_bindings.iter();
        for binding in bindings.filter(|binding| binding.profile_template_id == profile.id) {
            let alias = match binding.profile_name.as_str() {
                "" => &profile.display_name,
                alias => alias,
            };
            rows.push([
                format!("  {}", runner.identity.runner_id),
                alias.to_owned(),
                yes_or_no(binding.is_default),
                or_dash(&binding.overrides_json),
            ]);
        }
    }
    if rows.is_empty() {
        out.line("\nNo runner offers it: cwic sandbox runner edit RUNNER-ID -f FILE");
    } else {
        out.line("\nOffered by:");
        out.table(["  RUNNER", "AS", "DEFAULT", "OVERRIDES"], &rows);
    }
}

/// A flag as a word.
pub(super) fn yes_or_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn row(profile: &ProfileTemplate) -> [String; 7] {
    let document = document(profile);
    let at = |path: &str| document.pointer(path);
    let text = |path: &str| or_dash(at(path).and_then(Value::as_str).unwrap_or_default());
    let levels = at("/spec/network/ingress").and_then(Value::as_object);
    let levels = levels.map(|levels| levels.keys().cloned().collect::<Vec<_>>().join(","));
    [
        profile.display_name.clone(),
        profile.id.clone(),
        text("/spec/namespace/strategy"),
        egress(&document),
        or_dash(&levels.unwrap_or_default()),
        text("/spec/container_image"),
        profile.revision.to_string(),
    ]
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
