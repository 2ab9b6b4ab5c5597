//! Runners as people and programs write them.
//!
//! A [`RunnerDraft`] makes a new runner; a [`RunnerEdit`] changes one and holds
//! only what the document named. Which profiles the bindings mean, and whether
//! they go together, is decided where profiles are known.

use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::id::{ClusterId, RunnerUid};
use palisade_model::name::{ClusterName, RunnerGroupId, RunnerId, Zone};
use palisade_model::profile::ProfileSpec;
use palisade_model::runner::{
    DeploymentOverrides, MaintenancePolicy, ReleaseChannel, RunnerSettings,
};
use palisade_model::violation::ViolationKind;

use crate::document::Node;
use crate::located::{Located, Source, read, require, required};
use crate::profile_document::refuse_output_only;
use crate::spelling::{Finding, RUNNER};

mod bindings;
mod cron;
mod mask;
mod overrides;
mod settings;
mod write;

pub use bindings::{BindingDraft, ProfileChoice, binding_path, bindings_violation};
pub use cron::{BadCron, check_cron};
pub use mask::{RunnerField, runner_mask};
pub use write::write_runner;

/// The group of a runner that names none.
const DEFAULT_GROUP: &str = "default";

/// The longest display name of a runner, in characters.
pub const DISPLAY_NAME_LEN_MAX: usize = 128;

/// A runner that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerDraft {
    /// The id that the operator chose.
    pub id: RunnerId,
    /// What people call it; may be empty.
    pub display_name: String,
    /// Where it stands.
    pub zone: Zone,
    /// The cluster that it serves.
    pub cluster: ClusterRef,
    /// The group that it is scheduled with.
    pub group: RunnerGroupId,
    /// How it is kept and what it allows.
    pub settings: RunnerSettings,
    /// The profiles that it offers, in order.
    pub bindings: Vec<BindingDraft>,
}

/// A cluster, by the one of its names that the caller used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterRef {
    /// By its id.
    Id(ClusterId),
    /// By its name.
    Name(ClusterName),
}

/// What a document says about a runner that exists. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunnerEdit {
    /// Which runner it is about, if it says so.
    pub uid: Option<RunnerUid>,
    /// The operator's id of the runner, which cannot be changed.
    pub id: Option<RunnerId>,
    /// The id of the cluster, which cannot be changed.
    pub cluster_id: Option<ClusterId>,
    /// The name of the cluster, which cannot be changed.
    pub cluster_name: Option<ClusterName>,
    /// What people call it.
    pub display_name: Option<String>,
    /// Where it stands.
    pub zone: Option<Zone>,
    /// The group that it is scheduled with.
    pub group: Option<RunnerGroupId>,
    /// Changes to the settings.
    pub settings: SettingsEdit,
    /// All bindings.
    pub bindings: Option<Vec<BindingDraft>>,
    /// Which state of the runner the edit was made from.
    pub etag: Option<String>,
}

/// What a document says about the settings of a runner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsEdit {
    /// How soon it gets new versions.
    pub release_channel: Option<ReleaseChannel>,
    /// When it may be updated.
    pub maintenance: Option<MaintenancePolicy>,
    /// Changes to the runner's own deployment.
    pub overrides: Option<DeploymentOverrides>,
    /// The lowest layer of every sandbox on it.
    pub zone_defaults: Option<ProfileSpec>,
    /// Whether bound profiles may weaken the guardrails of the pod.
    pub allow_privileged_profile_annotations: Option<bool>,
    /// Whether every sandbox must have limits.
    pub enforce_resource_limits: Option<bool>,
}

impl SettingsEdit {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings with what the document said.
    #[must_use]
    pub fn apply(self, settings: RunnerSettings) -> RunnerSettings {
        let Self {
            release_channel,
            maintenance,
            overrides,
            zone_defaults,
            allow_privileged_profile_annotations,
            enforce_resource_limits,
        } = self;
        RunnerSettings {
            release_channel: release_channel.unwrap_or(settings.release_channel),
            maintenance: maintenance.unwrap_or(settings.maintenance),
            overrides: overrides.unwrap_or(settings.overrides),
            zone_defaults: zone_defaults.unwrap_or(settings.zone_defaults),
            allow_privileged_profile_annotations: allow_privileged_profile_annotations
                .unwrap_or(settings.allow_privileged_profile_annotations),
            enforce_resource_limits: enforce_resource_limits
                .unwrap_or(settings.enforce_resource_limits),
        }
    }
}

const FIELDS: [&str; 21] = [
    "id",
    "display_name",
    "identity",
    "management_mode",
    "managed_spec",
    "profile_bindings",
    "install_status",
    "install_error",
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
    "lacks",
    "etag",
];

/// The fields that only the server sets.
pub const OUTPUT_ONLY: [&str; 17] = [
    "id",
    "management_mode",
    "install_status",
    "install_error",
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
    "lacks",
    "etag",
];

/// Reads a runner that is to be made.
///
/// `id` is the id that was given beside the document, if any.
pub fn read_runner_draft(
    node: &Node,
    source: &Source,
    id: Option<&RunnerId>,
) -> Result<Located<RunnerDraft>, Vec<Finding>> {
    read(node, &RUNNER, source, |root, reader| {
        let fields = reader.fields(root, &FIELDS)?;
        refuse_output_only(reader, &fields, &OUTPUT_ONLY);
        let parts = Parts::read(&fields, reader);
        let identity = parts.identity.required(&fields, reader, id);
        let what = "is required; a runner without profiles serves nobody";
        required(&fields, "profile_bindings", reader, what);
        let (id, zone, cluster) = identity?;
        Some(RunnerDraft {
            id,
            display_name: parts.display_name.unwrap_or_default(),
            zone,
            cluster,
            group: (parts.identity.group).or_else(|| DEFAULT_GROUP.parse().ok())?,
            settings: parts.settings.apply(RunnerSettings::default()),
            bindings: parts.bindings?,
        })
    })
}

/// Reads a change of a runner.
pub fn read_runner_edit(node: &Node, source: &Source) -> Result<Located<RunnerEdit>, Vec<Finding>> {
    read(node, &RUNNER, source, |root, reader| {
        let fields = reader.fields(root, &FIELDS)?;
        let uid = fields.get("id").and_then(|node| reader.parsed(&node));
        let etag = (fields.get("etag"))
            .and_then(|node| reader.text(&node))
            .map(str::to_owned);
        let Parts {
            display_name,
            identity,
            settings,
            bindings,
        } = Parts::read(&fields, reader);
        Some(RunnerEdit {
            uid,
            id: identity.id,
            cluster_id: identity.cluster_id,
            cluster_name: identity.cluster_name,
            display_name,
            zone: identity.zone,
            group: identity.group,
            settings,
            bindings,
            etag,
        })
    })
}

/// What drafts and edits have in common.
struct Parts {
    display_name: Option<String>,
    identity: Identity,
    settings: SettingsEdit,
    bindings: Option<Vec<BindingDraft>>,
}

impl Parts {
    fn read(fields: &Fields<'_>, reader: &mut Reader) -> Self {
        Self {
            display_name: (fields.get("display_name")).and_then(|node| display_name(&node, reader)),
            identity: (fields.get("identity"))
                .map(|node| Identity::read(&node, reader))
                .unwrap_or_default(),
            settings: (fields.get("managed_spec"))
                .map(|node| settings::read(&node, reader))
                .unwrap_or_default(),
            bindings: (fields.get("profile_bindings"))
                .and_then(|node| bindings::read(&node, reader)),
        }
    }
}

#[derive(Default)]
struct Identity {
    id: Option<RunnerId>,
    zone: Option<Zone>,
    cluster_id: Option<ClusterId>,
    cluster_name: Option<ClusterName>,
    group: Option<RunnerGroupId>,
}

impl Identity {
    fn read(node: &Place<'_>, reader: &mut Reader) -> Self {
        const KEYS: [&str; 5] = [
            "runner_id",
            "zone",
            "cluster_id",
            "cluster_name",
            "runner_group_id",
        ];
        let Some(fields) = reader.fields(node, &KEYS) else {
            return Self::default();
        };
        Self {
            id: fields.get("runner_id").and_then(|n| reader.parsed(&n)),
            zone: fields.get("zone").and_then(|n| reader.parsed(&n)),
            cluster_id: fields.get("cluster_id").and_then(|n| reader.parsed(&n)),
            cluster_name: fields.get("cluster_name").and_then(|n| reader.parsed(&n)),
            group: (fields.get("runner_group_id")).and_then(|n| reader.parsed(&n)),
        }
    }

    /// What a new runner must have; notes what is missing or contradicts.
    fn required(
        &self,
        fields: &Fields<'_>,
        reader: &mut Reader,
        beside: Option<&RunnerId>,
    ) -> Option<(RunnerId, Zone, ClusterRef)> {
        let path = |key: &str| fields.path_of("identity").key(key);
        let given = |key: &str| {
            let identity = fields.get("identity");
            identity.is_some_and(|node| node.value().get(key).is_some_and(|v| !v.is_null()))
        };
        match (&self.id, beside) {
            (Some(id), Some(beside)) if id != beside => {
                let what = format!("contradicts the runner id {beside} that was given beside");
                reader.refuse_at(path("runner_id"), ViolationKind::Conflict, what);
            }
            (None, None) if !given("runner_id") => {
                require(
                    reader,
                    path("runner_id"),
                    "is required; choose a name such as my-runner",
                );
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        if !given("zone") {
            require(
                reader,
                path("zone"),
                "is required; it says where the runner stands",
            );
        }
        match (given("cluster_id"), given("cluster_name")) {
            (false, false) => {
                let what = "is required (or cluster_id); it says which cluster the runner serves";
                require(reader, path("cluster_name"), what);
            }
            (true, true) => {
                let what = "must not be given together with cluster_name";
                reader.refuse_at(path("cluster_id"), ViolationKind::Conflict, what);
            }
            (true, false) | (false, true) => {}
        }
        let cluster = (self.cluster_id.map(ClusterRef::Id))
            .or_else(|| self.cluster_name.clone().map(ClusterRef::Name));
        let id = self.id.clone().or_else(|| beside.cloned());
        Some((id?, self.zone.clone()?, cluster?))
    }
}

fn display_name(node: &Place<'_>, reader: &mut Reader) -> Option<String> {
    let text = reader.text(node)?;
    let len = text.chars().count();
    if !reader.is_within(node, len, DISPLAY_NAME_LEN_MAX, "characters") {
        return None;
    }
    if text.chars().any(char::is_control) {
        let what = "must not contain control characters";
        reader.refuse(node, ViolationKind::Invalid, what);
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
