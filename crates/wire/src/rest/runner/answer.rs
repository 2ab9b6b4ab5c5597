//! From a runner of the domain, and what is known of it, to the answer.
//!
//! Every struct is taken apart completely, so that a field added to the domain
//! is a compile error here.

use std::collections::BTreeMap;

use palisade_model::clock::Timestamp;
use palisade_model::runner as domain;
use serde_json::Value;

use super::{
    ConnectionStatus, DeploymentOverrides, InstallStatus, MaintenanceExclusion, MaintenancePolicy,
    MaintenanceWindow, ManagedSpec, ManagementMode, ProfileBinding, ReleaseChannel, Runner,
    RunnerIdentity, RunnerObservation, Scaling, Toleration,
};
use crate::rest::profile::{ProfileSpec, ResourceDefaults, filled};
use crate::spelling::{SPEC, to_wire};
use crate::timestamp;

impl Runner {
    /// The answer for a runner whose configuration is named by `etag`.
    pub fn new(runner: &domain::Runner, seen: &RunnerObservation, etag: String) -> Self {
        let domain::Runner {
            uid,
            organization: _,
            display_name,
            id,
            zone,
            cluster,
            group,
            settings,
            bindings,
            revision,
            created_at,
            updated_at,
            deleting_since,
            drain_until: _,
        } = runner;
        let domain::Cluster {
            id: cluster_id,
            name: cluster_name,
        } = cluster;
        Self {
            id: uid.to_string(),
            display_name: display_name.clone(),
            identity: RunnerIdentity {
                runner_id: id.to_string(),
                zone: zone.to_string(),
                cluster_id: cluster_id.to_string(),
                cluster_name: cluster_name.to_string(),
                runner_group_id: group.to_string(),
            },
            management_mode: ManagementMode::Managed,
            managed_spec: ManagedSpec::from(settings),
            profile_bindings: bindings
                .as_slice()
                .iter()
                .map(ProfileBinding::from)
                .collect(),
            install_status: install_status(*deleting_since, seen),
            connection_status: connection_status(seen),
            active_config_version: seen.version.clone(),
            // Gateways resolve every launch from the store, so that what is
            // written there is in force at once.
            active_revision: revision.0,
            target_revision: revision.0,
            update_available: false,
            rollout_in_progress: false,
            created_at: timestamp::format(*created_at),
            updated_at: timestamp::format(*updated_at),
            last_heartbeat_at: seen.last_heartbeat.map(timestamp::format),
            lacks: lacks(seen),
            etag,
        }
    }
}

fn lacks(seen: &RunnerObservation) -> BTreeMap<String, String> {
    let lacks = seen.lacks.iter();
    let pairs = lacks.map(|(feature, why)| (feature.as_str().to_owned(), why.clone()));
    pairs.collect()
}

fn install_status(deleting_since: Option<Timestamp>, seen: &RunnerObservation) -> InstallStatus {
    let RunnerObservation {
        is_connected,
        last_heartbeat,
        version: _,
        lacks: _,
    } = seen;
    if deleting_since.is_some() {
        InstallStatus::Deleting
    } else if *is_connected || last_heartbeat.is_some() {
        InstallStatus::Ready
    } else {
        InstallStatus::Pending
    }
}

fn connection_status(seen: &RunnerObservation) -> ConnectionStatus {
    if seen.is_connected {
        ConnectionStatus::Connected
    } else {
        ConnectionStatus::Disconnected
    }
}

impl From<&domain::RunnerSettings> for ManagedSpec {
    fn from(settings: &domain::RunnerSettings) -> Self {
        let domain::RunnerSettings {
            release_channel,
            maintenance,
            overrides,
            zone_defaults,
            allow_privileged_profile_annotations,
            enforce_resource_limits,
        } = settings;
        Self {
            release_channel: match release_channel {
                domain::ReleaseChannel::Stable => ReleaseChannel::Stable,
                domain::ReleaseChannel::Rapid => ReleaseChannel::Rapid,
            },
            maintenance_policy: filled(MaintenancePolicy::from(maintenance)),
            overrides: filled(DeploymentOverrides::from(overrides)),
            allow_privileged_profile_annotations: *allow_privileged_profile_annotations,
            enforce_resource_limits: *enforce_resource_limits,
            zone_defaults: filled(ProfileSpec::from(zone_defaults)),
        }
    }
}

impl From<&domain::MaintenancePolicy> for MaintenancePolicy {
    fn from(policy: &domain::MaintenancePolicy) -> Self {
        let domain::MaintenancePolicy {
            windows,
            exclusions,
        } = policy;
        let window = |window: &domain::MaintenanceWindow| MaintenanceWindow {
            cron: window.cron.clone(),
            duration_seconds: window.duration_seconds,
        };
        let exclusion = |exclusion: &domain::MaintenanceExclusion| MaintenanceExclusion {
            start_time: timestamp::format(exclusion.start),
            end_time: timestamp::format(exclusion.end),
            reason: exclusion.reason.clone(),
        };
        Self {
            windows: windows.iter().map(window).collect(),
            exclusions: exclusions.iter().map(exclusion).collect(),
        }
    }
}

impl From<&domain::DeploymentOverrides> for DeploymentOverrides {
    fn from(overrides: &domain::DeploymentOverrides) -> Self {
        let domain::DeploymentOverrides {
            node_selector,
            tolerations,
            resources,
            annotations,
            labels,
            env,
            args,
            scaling,
            cpu_runtime_class,
            gpu_runtime_class,
        } = overrides;
        Self {
            node_selector: node_selector.clone(),
            tolerations: tolerations.iter().map(Toleration::from).collect(),
            resources: filled(ResourceDefaults::from(resources)),
            annotations: annotations.clone(),
            labels: labels.clone(),
            env: env.clone(),
            args: args.clone(),
            scaling: filled(Scaling::from(scaling)),
            cpu_runtime_class: cpu_runtime_class.as_ref().map(ToString::to_string),
            gpu_runtime_class: gpu_runtime_class.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&domain::Toleration> for Toleration {
    fn from(toleration: &domain::Toleration) -> Self {
        let domain::Toleration {
            key,
            operator,
            value,
            effect,
        } = toleration.clone();
        Self {
            key,
            operator,
            value,
            effect,
        }
    }
}

impl From<&domain::Scaling> for Scaling {
    fn from(scaling: &domain::Scaling) -> Self {
        let domain::Scaling {
            replicas,
            autoscaling_enabled,
            min_replicas,
            max_replicas,
        } = *scaling;
        Self {
            replicas,
            autoscaling_enabled,
            min_replicas,
            max_replicas,
        }
    }
}

impl From<&domain::Binding> for ProfileBinding {
    fn from(binding: &domain::Binding) -> Self {
        let domain::Binding {
            profile,
            alias,
            is_default,
            overrides,
        } = binding;
        let overrides = overrides.as_ref().map(|patch| {
            let patch = Value::Object(patch.as_map().clone());
            to_wire(&patch, &SPEC).to_string()
        });
        Self {
            profile_template_id: profile.to_string(),
            profile_name: alias.as_ref().map(ToString::to_string).unwrap_or_default(),
            is_default: *is_default,
            overrides_json: overrides.unwrap_or_default(),
        }
    }
}
