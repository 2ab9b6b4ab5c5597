//! What a caller can use, from the domain onto the wire.

use std::collections::BTreeSet;

use palisade_model::clock::Timestamp;
use palisade_model::name::{LevelName, ModeName, ProfileName, RunnerGroupId, RunnerId, Tag};
use palisade_model::runner::{Capabilities, Resources};

use crate::proto::v1beta2 as pb;
use crate::v1beta2::timestamp;

/// A runner as a caller may see it.
#[derive(Clone, Debug)]
pub struct RunnerInfo<'a> {
    /// The operator's id.
    pub id: &'a RunnerId,
    /// The group.
    pub group: &'a RunnerGroupId,
    /// Whether new sandboxes can land there now.
    pub is_healthy: bool,
    /// What it can do.
    pub capabilities: &'a Capabilities,
    /// What is free there.
    pub free: Resources,
    /// How many sandboxes it runs.
    pub sandboxes: u32,
    /// The tags of the profiles that it offers, each once: it has none of its own.
    pub tags: BTreeSet<&'a Tag>,
    /// The names of the profiles that it offers.
    pub profiles: Vec<&'a ProfileName>,
    /// When it connected; `None` if it is not connected.
    pub connected_at: Option<Timestamp>,
}

/// A profile as a runner offers it.
#[derive(Clone, Debug)]
pub struct ProfileInfo<'a> {
    /// The name on that runner.
    pub name: &'a ProfileName,
    /// The runner.
    pub runner: &'a RunnerId,
    /// What the runner can do.
    pub capabilities: &'a Capabilities,
    /// The ingress levels to pick from.
    pub levels: Vec<&'a LevelName>,
    /// The egress modes to pick from.
    pub modes: Vec<&'a ModeName>,
}

/// A runner; what is free is left out of the basic view.
pub fn available_runner(runner: &RunnerInfo<'_>, view: pb::RunnerView) -> pb::AvailableRunner {
    let resources = match view {
        pb::RunnerView::Full => Some(resources(runner)),
        pb::RunnerView::Basic | pb::RunnerView::Unspecified => None,
    };
    pb::AvailableRunner {
        runner_id: runner.id.to_string(),
        runner_group_id: runner.group.to_string(),
        tags: runner.tags.iter().map(ToString::to_string).collect(),
        healthy: runner.is_healthy,
        capabilities: Some(capabilities(runner.capabilities)),
        resources,
        profile_names: runner.profiles.iter().map(ToString::to_string).collect(),
        connected_at: runner.connected_at.map(timestamp),
        // Every runner here belongs to the caller's own organization.
        is_shared: false,
    }
}

/// A profile and what can be picked in it.
pub fn profile_summary(profile: &ProfileInfo<'_>) -> pb::ProfileSummary {
    pb::ProfileSummary {
        profile_name: profile.name.to_string(),
        runner_id: profile.runner.to_string(),
        supported_gpu_types: profile.capabilities.gpu_types.iter().cloned().collect(),
        supported_architectures: profile.capabilities.architectures.iter().cloned().collect(),
        service_exposure_modes: profile
            .levels
            .iter()
            .map(|name| pb::ServiceExposureMode {
                name: name.to_string(),
            })
            .collect(),
        egress_modes: profile
            .modes
            .iter()
            .map(|name| pb::EgressMode {
                name: name.to_string(),
            })
            .collect(),
    }
}

fn capabilities(capabilities: &Capabilities) -> pb::RunnerCapabilitySummary {
    let largest = capabilities.largest;
    pb::RunnerCapabilitySummary {
        max_cpu_millicores: signed(largest.cpu_millis),
        max_memory_bytes: signed(largest.memory_bytes),
        max_gpu_count: largest.gpus.into(),
        supported_gpu_types: capabilities.gpu_types.iter().cloned().collect(),
        supported_architectures: capabilities.architectures.iter().cloned().collect(),
        supports_privileged: capabilities.privileged,
        available_storage_classes: capabilities.storage_classes.iter().cloned().collect(),
    }
}

fn resources(runner: &RunnerInfo<'_>) -> pb::RunnerResourceSummary {
    pb::RunnerResourceSummary {
        available_cpu_millicores: signed(runner.free.cpu_millis),
        available_memory_bytes: signed(runner.free.memory_bytes),
        available_gpu_count: runner.free.gpus.into(),
        running_sandboxes: i32::try_from(runner.sandboxes).unwrap_or(i32::MAX),
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
