//! Runners as the wire spells them.

use std::collections::BTreeMap;

use palisade_model::clock::Timestamp;
use palisade_model::runner::Feature;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::profile::{ProfileSpec, ResourceDefaults};

mod answer;

/// A runner: where sandboxes run, and which profiles it offers there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Runner {
    /// The identity, assigned by the server.
    #[schema(read_only, format = "uuid")]
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// Which runner it is, and where it stands.
    pub identity: RunnerIdentity,
    /// Who keeps it up to date.
    #[schema(read_only)]
    pub management_mode: ManagementMode,
    /// How it is kept and what it allows.
    pub managed_spec: ManagedSpec,
    /// The profiles that it offers, exactly one of them as the default.
    pub profile_bindings: Vec<ProfileBinding>,
    /// How far its installation has come.
    #[schema(read_only)]
    pub install_status: InstallStatus,
    /// Whether it is linked to a gateway.
    #[schema(read_only)]
    pub connection_status: ConnectionStatus,
    /// The version of the software that runs there; empty while it is unknown.
    #[schema(read_only)]
    pub active_config_version: String,
    /// The revision of the configuration that is in force.
    #[schema(read_only)]
    pub active_revision: u32,
    /// The revision of the configuration that should be in force.
    #[schema(read_only)]
    pub target_revision: u32,
    /// Whether its channel has a newer version.
    #[schema(read_only)]
    pub update_available: bool,
    /// Whether it is on its way to the target revision.
    #[schema(read_only)]
    pub rollout_in_progress: bool,
    /// When it was made.
    #[schema(read_only, format = DateTime)]
    pub created_at: String,
    /// When its configuration last changed.
    #[schema(read_only, format = DateTime)]
    pub updated_at: String,
    /// When it was last heard of; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(read_only, format = DateTime)]
    pub last_heartbeat_at: Option<String>,
    /// What it lacks that other runners have, by feature, and why: `egress`,
    /// `usage`, `denials`, `names` or `file_systems`. Empty until it was connected.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(read_only)]
    pub lacks: BTreeMap<String, String>,
    /// Names the present state of the configuration.
    pub etag: String,
}

/// Which runner it is, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunnerIdentity {
    /// The id that the operator chose; unique in the organization.
    pub runner_id: String,
    /// The zone that it stands in.
    pub zone: String,
    /// The cluster that it serves, by id.
    #[schema(format = "uuid")]
    pub cluster_id: String,
    /// The cluster that it serves, by name.
    pub cluster_name: String,
    /// The group that it is scheduled with.
    pub runner_group_id: String,
}

/// Who keeps a runner up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ManagementMode {
    /// The control plane holds its configuration.
    #[default]
    #[serde(rename = "MANAGEMENT_MODE_MANAGED")]
    Managed,
    /// A mode that this version does not know.
    #[serde(rename = "MANAGEMENT_MODE_UNSPECIFIED", other)]
    Unknown,
}

/// How a runner is kept and what it allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedSpec {
    /// How soon it gets new versions.
    pub release_channel: ReleaseChannel,
    /// When it may be updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_policy: Option<MaintenancePolicy>,
    /// Changes to the runner's own deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<DeploymentOverrides>,
    /// Whether bound profiles may carry what would weaken the guardrails of the
    /// pod.
    pub allow_privileged_profile_annotations: bool,
    /// Whether every sandbox must have a limit on CPU and on memory.
    pub enforce_resource_limits: bool,
    /// The lowest layer of every sandbox on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_defaults: Option<ProfileSpec>,
}

/// How soon a runner gets new versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ReleaseChannel {
    /// After they proved themselves.
    #[default]
    #[serde(rename = "RELEASE_CHANNEL_STABLE")]
    Stable,
    /// At once.
    #[serde(rename = "RELEASE_CHANNEL_RAPID")]
    Rapid,
    /// A channel that this version does not know.
    #[serde(rename = "RELEASE_CHANNEL_UNSPECIFIED", other)]
    Unknown,
}

/// When a runner may be updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenancePolicy {
    /// Times that come again.
    pub windows: Vec<MaintenanceWindow>,
    /// Times in which nothing is updated.
    pub exclusions: Vec<MaintenanceExclusion>,
}

/// A time for updates that comes again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceWindow {
    /// Five cron fields, in UTC.
    #[schema(example = "0 2 * * SAT")]
    pub cron: String,
    /// How long each one lasts.
    #[schema(minimum = 60, maximum = 604_800)]
    pub duration_seconds: u32,
}

/// A time in which nothing is updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceExclusion {
    /// Its start.
    #[schema(format = DateTime)]
    pub start_time: String,
    /// Its end, later than the start.
    #[schema(format = DateTime)]
    pub end_time: String,
    /// Why, for people.
    pub reason: String,
}

/// Changes to the deployment of a runner itself, not to sandboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentOverrides {
    /// Node labels that the runner needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the runner bears.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// What the runner itself gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceAmounts>,
    /// Annotations of the runner's pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the runner's pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Environment of the runner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Arguments of the runner.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// How many of it there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// The runtime class of sandboxes without a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_runtime_class: Option<String>,
    /// The runtime class of sandboxes with a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_runtime_class: Option<String>,
}

/// What a runner itself gets; spelled like the defaults of a profile.
pub type ResourceAmounts = ResourceDefaults;

/// A taint that a runner bears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// The key of the taint.
    pub key: String,
    /// How it is compared: `Equal` or `Exists`.
    pub operator: String,
    /// The value of the taint.
    pub value: String,
    /// The effect of the taint.
    pub effect: String,
}

/// How many replicas of a runner there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// The fixed number, without autoscaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Whether the number follows the load.
    pub autoscaling_enabled: bool,
    /// The fewest, with autoscaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// The most, with autoscaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<u32>,
}

/// A profile that a runner offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProfileBinding {
    /// The profile; a request may also give its display name.
    pub profile_template_id: String,
    /// The name it has on the runner; its display name when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile_name: String,
    /// Whether it serves requests that name no profile.
    pub is_default: bool,
    /// Changes to the spec for this runner, as a JSON Merge Patch in a string.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = r#"{"containerImage":"python:3.12"}"#)]
    pub overrides_json: String,
}

/// How far the installation of a runner has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum InstallStatus {
    /// No runner process has joined yet.
    #[serde(rename = "RUNNER_INSTALL_STATUS_PENDING")]
    Pending,
    /// A runner process has joined.
    #[serde(rename = "RUNNER_INSTALL_STATUS_READY")]
    Ready,
    /// It is being deleted.
    #[serde(rename = "RUNNER_INSTALL_STATUS_DELETING")]
    Deleting,
    /// A status that this version does not know.
    #[default]
    #[serde(rename = "RUNNER_INSTALL_STATUS_UNSPECIFIED", other)]
    Unknown,
}

/// Whether a runner is linked to a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ConnectionStatus {
    /// It is linked.
    #[serde(rename = "RUNNER_CONNECTION_STATUS_CONNECTED")]
    Connected,
    /// It is not linked.
    #[serde(rename = "RUNNER_CONNECTION_STATUS_DISCONNECTED")]
    Disconnected,
    /// Nothing is known, or a status that this version does not know.
    #[default]
    #[serde(rename = "RUNNER_CONNECTION_STATUS_UNSPECIFIED", other)]
    Unknown,
}

/// A part of the runners of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListManagedRunnersAnswer {
    /// The runners, in the order of their ids.
    pub managed_runners: Vec<Runner>,
    /// What to ask with for the next part; empty at the end.
    pub next_page_token: String,
}

/// What came of asking a runner to update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplyUpdateAnswer {
    /// The runner as it is.
    pub runner: Runner,
    /// Whether an update was begun.
    pub update_started: bool,
    /// What happened, for people.
    pub message: String,
}

/// What is known of the process behind a runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerObservation {
    /// Whether it is linked to a gateway now.
    pub is_connected: bool,
    /// When it was last heard of; `None` if it never joined.
    pub last_heartbeat: Option<Timestamp>,
    /// The version that it runs.
    pub version: String,
    /// What it said that it lacks and others have, and why.
    pub lacks: BTreeMap<Feature, String>,
}
