//! Who offers a profile, and what lives under it or on a runner.

use palisade_model::clock::Timestamp;
use palisade_model::runner::{Binding, Runner};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rest::ProfileBinding;
use crate::timestamp;

/// What uses a profile or a runner at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// The runners that bind the profile, in the order of their ids; of a
    /// runner, its own bindings.
    pub bindings: Vec<UsageBinding>,
    /// How many sandboxes live.
    pub live_sandboxes: u64,
    /// These, apart for each runner and profile.
    pub parts: Vec<UsagePart>,
    /// Of a runner: when its deletion began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleting_since: Option<String>,
    /// Of a runner: until when its sandboxes may end by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_until: Option<String>,
}

/// A binding, and the runner that it lives on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageBinding {
    /// The runner.
    pub runner_id: String,
    /// The binding.
    pub binding: ProfileBinding,
}

/// The live sandboxes of one profile on one runner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UsagePart {
    /// The runner.
    pub runner_id: String,
    /// The profile.
    pub profile_template_id: String,
    /// The name that the profile had there.
    pub profile_name: String,
    /// How many there are.
    pub live_sandboxes: u64,
    /// The newest of them.
    pub sandbox_ids: Vec<String>,
}

impl UsageBinding {
    /// A binding of a runner.
    pub fn new(runner: &Runner, binding: &Binding) -> Self {
        Self {
            runner_id: runner.id.to_string(),
            binding: ProfileBinding::from(binding),
        }
    }
}

impl Usage {
    /// Says how the deletion of a runner goes, if it is being deleted.
    #[must_use]
    pub fn with_deletion(mut self, runner: &Runner) -> Self {
        let text = |at: Option<Timestamp>| at.map(timestamp::format);
        self.deleting_since = text(runner.deleting_since);
        self.drain_until = text(runner.drain_until);
        self
    }
}
