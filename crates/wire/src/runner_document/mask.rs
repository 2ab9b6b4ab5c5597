//! Which fields of a runner an update is about.

use palisade_model::violation::FieldPath;

use super::{DEFAULT_GROUP, RunnerEdit, SettingsEdit};
use crate::field_mask::{self, MaskField};
use crate::spelling::{Finding, RUNNER};

/// A field of a runner that an update can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunnerField {
    /// The display name.
    DisplayName,
    /// The zone.
    Zone,
    /// The group.
    Group,
    /// The release channel.
    ReleaseChannel,
    /// The maintenance policy.
    Maintenance,
    /// The changes to the runner's own deployment.
    Overrides,
    /// The zone defaults.
    ZoneDefaults,
    /// Whether profiles may weaken the guardrails of the pod.
    AllowPrivileged,
    /// Whether limits are enforced.
    EnforceLimits,
    /// All bindings.
    Bindings,
}

use MaskField::{Immutable, Mutable};

const FIELDS: &[MaskField<RunnerField>] = &[
    Mutable("display_name", &[RunnerField::DisplayName]),
    Mutable("identity.zone", &[RunnerField::Zone]),
    Mutable("identity.runner_group_id", &[RunnerField::Group]),
    Mutable(
        "managed_spec",
        &[
            RunnerField::ReleaseChannel,
            RunnerField::Maintenance,
            RunnerField::Overrides,
            RunnerField::ZoneDefaults,
            RunnerField::AllowPrivileged,
            RunnerField::EnforceLimits,
        ],
    ),
    Mutable(
        "managed_spec.release_channel",
        &[RunnerField::ReleaseChannel],
    ),
    Mutable(
        "managed_spec.maintenance_policy",
        &[RunnerField::Maintenance],
    ),
    Mutable("managed_spec.overrides", &[RunnerField::Overrides]),
    Mutable("managed_spec.zone_defaults", &[RunnerField::ZoneDefaults]),
    Mutable(
        "managed_spec.allow_privileged_profile_annotations",
        &[RunnerField::AllowPrivileged],
    ),
    Mutable(
        "managed_spec.enforce_resource_limits",
        &[RunnerField::EnforceLimits],
    ),
    Mutable("profile_bindings", &[RunnerField::Bindings]),
    Immutable("id"),
    Immutable("identity"),
    Immutable("identity.runner_id"),
    Immutable("identity.cluster_id"),
    Immutable("identity.cluster_name"),
    Immutable("management_mode"),
    Immutable("install_status"),
    Immutable("connection_status"),
    Immutable("created_at"),
    Immutable("updated_at"),
];

/// Reads the paths of an update mask, which `at` is the place of.
pub fn runner_mask(paths: &[String], at: &FieldPath) -> Result<Vec<RunnerField>, Vec<Finding>> {
    field_mask::read(paths, at, &RUNNER, FIELDS)
}

impl RunnerEdit {
    /// Keeps what the mask names. What it names and the document lacks gets its
    /// default, but for the zone and the bindings, which have none: those that
    /// are missing are returned as the error, by their canonical paths.
    pub fn masked(self, mask: &[RunnerField]) -> Result<Self, Vec<FieldPath>> {
        let names = |field| mask.contains(&field);
        let mut missing = Vec::new();
        if names(RunnerField::Zone) && self.zone.is_none() {
            missing.push(FieldPath::root().key("identity").key("zone"));
        }
        if names(RunnerField::Bindings) && self.bindings.is_none() {
            missing.push(FieldPath::root().key("profile_bindings"));
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let group = || self.group.or_else(|| DEFAULT_GROUP.parse().ok());
        Ok(Self {
            display_name: names(RunnerField::DisplayName)
                .then(|| self.display_name.unwrap_or_default()),
            zone: self.zone.filter(|_| names(RunnerField::Zone)),
            group: names(RunnerField::Group).then(group).flatten(),
            settings: self.settings.masked(mask),
            bindings: self.bindings.filter(|_| names(RunnerField::Bindings)),
            uid: self.uid,
            id: self.id,
            cluster_id: self.cluster_id,
            cluster_name: self.cluster_name,
            etag: self.etag,
        })
    }
}

impl SettingsEdit {
    fn masked(self, mask: &[RunnerField]) -> Self {
        Self {
            release_channel: keep(mask, RunnerField::ReleaseChannel, self.release_channel),
            maintenance: keep(mask, RunnerField::Maintenance, self.maintenance),
            overrides: keep(mask, RunnerField::Overrides, self.overrides),
            zone_defaults: keep(mask, RunnerField::ZoneDefaults, self.zone_defaults),
            allow_privileged_profile_annotations: keep(
                mask,
                RunnerField::AllowPrivileged,
                self.allow_privileged_profile_annotations,
            ),
            enforce_resource_limits: keep(
                mask,
                RunnerField::EnforceLimits,
                self.enforce_resource_limits,
            ),
        }
    }
}

/// What a masked field becomes.
fn keep<T: Default>(mask: &[RunnerField], field: RunnerField, value: Option<T>) -> Option<T> {
    mask.contains(&field).then(|| value.unwrap_or_default())
}
