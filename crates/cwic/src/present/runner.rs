//! Runners as people read them.

use palisade_wire::rest::{
    ConnectionStatus, InstallStatus, ProfileBinding, ProfileTemplate, Runner,
};
use palisade_wire::runner_document::OUTPUT_ONLY;
use palisade_wire::spelling::RUNNER;
use serde_json::Value;

use super::profile::yes_or_no;
use super::{block, friendly, json, minute, or_dash, printable};
use crate::listing::Item;
use crate::out::{Column, Out};

/// What a table of runners shows.
pub(crate) const COLUMNS: [Column; 11] = [
    Column::name("RUNNER", 9),
    Column::soft("ZONE", 4),
    Column::soft("CLUSTER", 3),
    Column::whole("INSTALL", 5),
    Column::whole("CONN", 7),
    Column::soft("PROFILES", 8),
    Column::whole("LAST SEEN", 6),
    Column::whole("ID", 1).wide(),
    Column::soft("GROUP", 1).wide(),
    Column::soft("VERSION", 1).wide(),
    Column::whole("REVISION", 1).wide(),
];

/// A runner in every form that it can be shown in; the profiles give names to
/// bindings.
pub(crate) fn item(runner: &Runner, profiles: &[ProfileTemplate]) -> Item {
    let overrides = runner.managed_spec.overrides.as_ref();
    Item {
        name: runner.identity.runner_id.clone(),
        answer: json(runner),
        document: document(runner),
        labels: overrides
            .map(|overrides| overrides.labels.clone())
            .unwrap_or_default(),
        cells: cells(runner, profiles),
    }
}

/// A runner as a document that can be edited and sent back.
pub(crate) fn document(runner: &Runner) -> Value {
    let mut value = friendly(runner, &RUNNER, &OUTPUT_ONLY);
    if let Some(identity) = value.get_mut("identity").and_then(Value::as_object_mut) {
        // The name alone is enough, and a new runner takes only one of them.
        identity.remove("cluster_id");
    }
    value
}

/// A runner and what it offers.
pub(crate) fn describe(runner: &Runner, profiles: &[ProfileTemplate], out: &mut Out) {
    for (name, value) in facts(runner) {
        out.line(format_args!("{name:<13}{value}"));
    }
    if !runner.lacks.is_empty() {
        out.line("\nLacks:");
        let rows: Vec<_> = (runner.lacks.iter())
            .map(|(feature, why)| [format!("  {}", printable(feature)), printable(why)])
            .collect();
        out.table(["  WHAT", "WHY"], &rows);
    }
    out.line("\nProfiles:");
    let bindings = runner.profile_bindings.iter();
    let rows: Vec<_> = bindings
        .map(|binding| {
            [
                format!("  {}", name_of(binding, profiles)),
                binding.profile_template_id.clone(),
                yes_or_no(binding.is_default),
                or_dash(&binding.overrides_json),
            ]
        })
        .collect();
    out.table(["  NAME", "PROFILE ID", "DEFAULT", "OVERRIDES"], &rows);
    if let Some(settings) = document(runner).get("managed_spec") {
        out.line("\nSettings:");
        block(&palisade_wire::document::to_yaml(settings), out);
    }
}

fn facts(runner: &Runner) -> [(&'static str, String); 12] {
    let identity = &runner.identity;
    [
        ("Runner", identity.runner_id.clone()),
        ("Id", runner.id.clone()),
        ("Name", or_dash(&runner.display_name)),
        ("Zone", identity.zone.clone()),
        ("Cluster", identity.cluster_name.clone()),
        ("Group", identity.runner_group_id.clone()),
        ("Install", install(runner.install_status).to_owned()),
        (
            "Connection",
            connection(runner.connection_status).to_owned(),
        ),
        ("Version", or_dash(&runner.active_config_version)),
        ("Last seen", last_seen(runner)),
        ("Created", minute(&runner.created_at)),
        ("Updated", minute(&runner.updated_at)),
    ]
}

fn cells(runner: &Runner, profiles: &[ProfileTemplate]) -> Vec<String> {
    let identity = &runner.identity;
    let names = runner.profile_bindings.iter().map(|binding| {
        let mark = if binding.is_default { "*" } else { "" };
        format!("{}{mark}", name_of(binding, profiles))
    });
    vec![
        identity.runner_id.clone(),
        identity.zone.clone(),
        identity.cluster_name.clone(),
        install(runner.install_status).to_owned(),
        connection(runner.connection_status).to_owned(),
        or_dash(&names.collect::<Vec<_>>().join(",")),
        last_seen(runner),
        runner.id.clone(),
        or_dash(&identity.runner_group_id),
        or_dash(&runner.active_config_version),
        runner.active_revision.to_string(),
    ]
}

fn last_seen(runner: &Runner) -> String {
    let seen = runner.last_heartbeat_at.as_deref();
    seen.map_or_else(|| "never".to_owned(), minute)
}

/// The name that a binding answers to; the id if the profile is not known.
pub(crate) fn name_of(binding: &ProfileBinding, profiles: &[ProfileTemplate]) -> String {
    let ProfileBinding {
        profile_template_id: id,
        profile_name: alias,
        ..
    } = binding;
    let profile = profiles.iter().find(|profile| profile.id == *id);
    match (alias.as_str(), profile) {
        ("", Some(profile)) => profile.display_name.clone(),
        ("", None) => id.clone(),
        (alias, _) => alias.to_owned(),
    }
}

fn install(status: InstallStatus) -> &'static str {
    match status {
        InstallStatus::Pending => "PENDING",
        InstallStatus::Ready => "READY",
        InstallStatus::Deleting => "DELETING",
        InstallStatus::Unknown => "UNKNOWN",
    }
}

pub(super) fn connection(status: ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::Connected => "CONNECTED",
        ConnectionStatus::Disconnected => "DISCONNECTED",
        ConnectionStatus::Unknown => "UNKNOWN",
    }
}
