//! How a runner is kept and what it allows.

use palisade_model::clock::Timestamp;
use palisade_model::document::{Node, Reader};
use palisade_model::profile::form;
use palisade_model::runner::{
    MaintenanceExclusion, MaintenancePolicy, MaintenanceWindow, ReleaseChannel, RunnerSettings,
};
use serde_json::{Value, json};

use super::deployment::{read_deployment, write_deployment};
use super::profile::spec;
use super::{read, read_i64, read_list, read_text};
use crate::error::Fault;

pub(crate) fn write_settings(settings: &RunnerSettings) -> String {
    let RunnerSettings {
        release_channel,
        maintenance,
        overrides,
        zone_defaults,
        allow_privileged_profile_annotations,
        enforce_resource_limits,
    } = settings;
    json!({
        "release_channel": release_channel.as_str(),
        "maintenance": write_maintenance(maintenance),
        "deployment": write_deployment(overrides),
        "zone_defaults": form::encode(zone_defaults),
        "allow_privileged_profile_annotations": allow_privileged_profile_annotations,
        "enforce_resource_limits": enforce_resource_limits,
    })
    .to_string()
}

pub(crate) fn read_settings(text: &str) -> Result<RunnerSettings, Fault> {
    let known = [
        "release_channel",
        "maintenance",
        "deployment",
        "zone_defaults",
        "allow_privileged_profile_annotations",
        "enforce_resource_limits",
    ];
    read("settings of a runner", text, |reader, root| {
        let fields = reader.fields(root, &known)?;
        let allows = fields.get("allow_privileged_profile_annotations")?;
        Some(RunnerSettings {
            release_channel: reader.word(
                &fields.get("release_channel")?,
                &ReleaseChannel::ALL,
                ReleaseChannel::as_str,
            )?,
            maintenance: read_maintenance(reader, &fields.get("maintenance")?)?,
            overrides: read_deployment(reader, &fields.get("deployment")?)?,
            zone_defaults: spec(reader, &fields.get("zone_defaults")?)?,
            allow_privileged_profile_annotations: reader.boolean(&allows)?,
            enforce_resource_limits: reader.boolean(&fields.get("enforce_resource_limits")?)?,
        })
    })
}

fn write_maintenance(policy: &MaintenancePolicy) -> Value {
    let MaintenancePolicy {
        windows,
        exclusions,
    } = policy;
    json!({
        "windows": windows.iter().map(write_window).collect::<Vec<_>>(),
        "exclusions": exclusions.iter().map(write_exclusion).collect::<Vec<_>>(),
    })
}

fn read_maintenance(reader: &mut Reader, node: &Node<'_>) -> Option<MaintenancePolicy> {
    let fields = reader.fields(node, &["windows", "exclusions"])?;
    Some(MaintenancePolicy {
        windows: read_list(reader, &fields.get("windows")?, read_window)?,
        exclusions: read_list(reader, &fields.get("exclusions")?, read_exclusion)?,
    })
}

fn write_window(window: &MaintenanceWindow) -> Value {
    let MaintenanceWindow {
        cron,
        duration_seconds,
    } = window;
    json!({ "cron": cron, "duration_seconds": duration_seconds })
}

fn read_window(reader: &mut Reader, node: &Node<'_>) -> Option<MaintenanceWindow> {
    let fields = reader.fields(node, &["cron", "duration_seconds"])?;
    Some(MaintenanceWindow {
        cron: read_text(reader, &fields.get("cron")?)?,
        duration_seconds: reader.count(&fields.get("duration_seconds")?)?,
    })
}

fn write_exclusion(exclusion: &MaintenanceExclusion) -> Value {
    let MaintenanceExclusion { start, end, reason } = exclusion;
    json!({ "start": start.as_micros(), "end": end.as_micros(), "reason": reason })
}

fn read_exclusion(reader: &mut Reader, node: &Node<'_>) -> Option<MaintenanceExclusion> {
    let fields = reader.fields(node, &["start", "end", "reason"])?;
    Some(MaintenanceExclusion {
        start: read_instant(reader, &fields.get("start")?)?,
        end: read_instant(reader, &fields.get("end")?)?,
        reason: read_text(reader, &fields.get("reason")?)?,
    })
}

pub(super) fn read_instant(reader: &mut Reader, node: &Node<'_>) -> Option<Timestamp> {
    read_i64(reader, node).map(Timestamp::from_micros)
}
