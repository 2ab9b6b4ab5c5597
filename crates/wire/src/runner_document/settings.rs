//! How a runner is kept and what it allows, as documents hold it.

use palisade_model::clock::Timestamp;
use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::profile::{ProfileSpec, form};
use palisade_model::runner::{
    MaintenanceExclusion, MaintenancePolicy, MaintenanceWindow, ReleaseChannel,
};
use palisade_model::violation::ViolationKind;

use super::cron::check_cron;
use super::{SettingsEdit, overrides};
use crate::located::{refuse_all, required};
use crate::timestamp;

/// The most windows, and the most exclusions, of a runner.
const WINDOWS_MAX: usize = 32;

/// The shortest and the longest window, in seconds.
const WINDOW_SECONDS_MIN: u32 = 60;
const WINDOW_SECONDS_MAX: u32 = 604_800;

/// The longest reason of an exclusion, in characters.
const REASON_LEN_MAX: usize = 256;

pub(super) fn read(node: &Place<'_>, reader: &mut Reader) -> SettingsEdit {
    const KEYS: [&str; 6] = [
        "release_channel",
        "maintenance_policy",
        "overrides",
        "allow_privileged_profile_annotations",
        "enforce_resource_limits",
        "zone_defaults",
    ];
    let Some(fields) = reader.fields(node, &KEYS) else {
        return SettingsEdit::default();
    };
    SettingsEdit {
        release_channel: (fields.get("release_channel"))
            .and_then(|node| reader.word(&node, &ReleaseChannel::ALL, ReleaseChannel::as_str)),
        maintenance: (fields.get("maintenance_policy")).and_then(|node| maintenance(&node, reader)),
        overrides: (fields.get("overrides")).and_then(|node| overrides::read(&node, reader)),
        zone_defaults: (fields.get("zone_defaults")).and_then(|node| zone_defaults(&node, reader)),
        allow_privileged_profile_annotations: (fields.get("allow_privileged_profile_annotations"))
            .and_then(|node| reader.boolean(&node)),
        enforce_resource_limits: (fields.get("enforce_resource_limits"))
            .and_then(|node| reader.boolean(&node)),
    }
}

fn maintenance(node: &Place<'_>, reader: &mut Reader) -> Option<MaintenancePolicy> {
    let fields = reader.fields(node, &["windows", "exclusions"])?;
    Some(MaintenancePolicy {
        windows: list(&fields, "windows", reader, window),
        exclusions: list(&fields, "exclusions", reader, exclusion),
    })
}

fn list<T>(
    fields: &Fields<'_>,
    key: &str,
    reader: &mut Reader,
    read: fn(&Place<'_>, &mut Reader) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let items = reader.items(&node, WINDOWS_MAX).unwrap_or_default();
    items.iter().filter_map(|item| read(item, reader)).collect()
}

fn window(node: &Place<'_>, reader: &mut Reader) -> Option<MaintenanceWindow> {
    let fields = reader.fields(node, &["cron", "duration_seconds"])?;
    let cron = required(&fields, "cron", reader, "is required").and_then(|node| {
        let text = reader.text(&node)?;
        reader.accept(&node, check_cron(text).map(|()| text.to_owned()))
    });
    let duration = required(&fields, "duration_seconds", reader, "is required").and_then(|node| {
        let seconds = reader.count(&node)?;
        if (WINDOW_SECONDS_MIN..=WINDOW_SECONDS_MAX).contains(&seconds) {
            return Some(seconds);
        }
        let what = format!("must be from {WINDOW_SECONDS_MIN} to {WINDOW_SECONDS_MAX} seconds");
        reader.refuse(&node, ViolationKind::Invalid, what);
        None
    });
    Some(MaintenanceWindow {
        cron: cron?,
        duration_seconds: duration?,
    })
}

fn exclusion(node: &Place<'_>, reader: &mut Reader) -> Option<MaintenanceExclusion> {
    let fields = reader.fields(node, &["start_time", "end_time", "reason"])?;
    let start = required(&fields, "start_time", reader, "is required")
        .and_then(|node| instant(&node, reader));
    let end = required(&fields, "end_time", reader, "is required")
        .and_then(|node| instant(&node, reader));
    let reason = fields.get("reason").and_then(|node| {
        let text = reader.text(&node)?;
        let len = text.chars().count();
        let fits = reader.is_within(&node, len, REASON_LEN_MAX, "characters");
        fits.then(|| text.to_owned())
    });
    let (start, end) = (start?, end?);
    if start >= end {
        let what = "must be later than start_time";
        reader.refuse_at(fields.path_of("end_time"), ViolationKind::Conflict, what);
        return None;
    }
    Some(MaintenanceExclusion {
        start,
        end,
        reason: reason.unwrap_or_default(),
    })
}

fn instant(node: &Place<'_>, reader: &mut Reader) -> Option<Timestamp> {
    let text = reader.text(node)?;
    reader.accept(node, timestamp::parse(text))
}

fn zone_defaults(node: &Place<'_>, reader: &mut Reader) -> Option<ProfileSpec> {
    match form::decode(node.value()) {
        Ok(spec) => Some(spec),
        Err(violations) => {
            refuse_all(reader, &node.path(), violations);
            None
        }
    }
}
