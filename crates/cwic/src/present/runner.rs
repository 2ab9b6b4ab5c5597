//! Runners as people read them.

use palisade_wire::rest::{
    ConnectionStatus, InstallStatus, ProfileBinding, ProfileTemplate, Runner,
};
use palisade_wire::spelling::RUNNER;
use serde_json::Value;

use super::profile::yes_or_no;
use super::{friendly, minute, or_dash};
use crate::out::Out;

/// What only the server sets.
const ASSIGNED: [&str; 15] = [
    "id",
    "management_mode",
    "install_status",
    "connection_status",
    "active_config_version",
    "active_profile_spec_version",
    "active_revision",
    "target_revision",
    "update_available",
    "rollout_in_progress",
    "deployment_spec",
    "created_at",
    "updated_at",
    "last_heartbeat_at",
    "etag",
];

/// A table of runners; the profiles give names to bindings.
pub(crate) fn table(runners: &[Runner], profiles: &[ProfileTemplate], out: &mut Out) {
    let rows: Vec<_> = runners.iter().map(|runner| row(runner, profiles)).collect();
    let heading = [
        "RUNNER",
        "ZONE",
        "CLUSTER",
        "INSTALL",
        "CONN",
        "PROFILES",
        "LAST SEEN",
    ];
    out.table(heading, &rows);
}

/// A runner as a document that can be edited and sent back.
pub(crate) fn document(runner: &Runner) -> Value {
    let mut value = friendly(runner, &RUNNER, &ASSIGNED);
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
    let document = document(runner);
    if let Some(settings) = document.get("managed_spec") {
        out.line("\nSettings:");
        for line in palisade_wire::document::to_yaml(settings).lines() {
            out.line(format_args!("  {line}"));
        }
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

fn row(runner: &Runner, profiles: &[ProfileTemplate]) -> [String; 7] {
    let identity = &runner.identity;
    let names = runner.profile_bindings.iter().map(|binding| {
        let mark = if binding.is_default { "*" } else { "" };
        format!("{}{mark}", name_of(binding, profiles))
    });
    [
        identity.runner_id.clone(),
        identity.zone.clone(),
        identity.cluster_name.clone(),
        install(runner.install_status).to_owned(),
        connection(runner.connection_status).to_owned(),
        or_dash(&names.collect::<Vec<_>>().join(",")),
        last_seen(runner),
    ]
}

fn last_seen(runner: &Runner) -> String {
    let seen = runner.last_heartbeat_at.as_deref();
    seen.map_or_else(|| "never".to_owned(), minute)
}

/// The name that a binding answers to; the id if the profile is not known.
fn name_of(binding: &ProfileBinding, profiles: &[ProfileTemplate]) -> String {
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

fn connection(status: ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::Connected => "CONNECTED",
        ConnectionStatus::Disconnected => "DISCONNECTED",
        ConnectionStatus::Unknown => "UNKNOWN",
    }
}
