//! What the REST interface of the control plane answers.
//!
//! These types are the JSON of the wire, in its spelling, and nothing else:
//! they are made out of the domain here and taken apart by clients. Requests
//! are not read through them but as documents, so that every fault in one is
//! found and located; the schema that is published is that of these types.

use std::collections::BTreeMap;

use serde_json::Value;

mod changes;
mod denials;
mod network;
mod placement;
mod profile;
mod queue;
mod quota;
mod resolved;
mod runner;
mod secret;
mod usage;

pub use changes::{ChangedKind, ChangedObject, ListChangesAnswer};
pub use denials::{DenialTotals, Denials, DeniedFlow, ProfileDenials};
pub use network::{RunnerNetwork, Surroundings, UnreadableNetwork};
pub use placement::{
    ClosestChange, ConstraintCheck, Granted, PlacementCandidate, PlacementExplanation,
    PlacementPreview, PlacementRefusal, PlacementWinner, UnmetConstraint, Verdict,
};
pub use profile::{
    ListProfileRevisionsAnswer, ListProfileTemplatesAnswer, ProfileRevision, ProfileSpec,
    ProfileTemplate, ResourceCeiling, ResourceDefaults,
};
pub use queue::{StartQueue, WaitingStart};
pub use quota::{
    LimitSet, QuotaCount, QuotaLimits, QuotaReport, QuotaScope, read_limits, too_wide,
};
pub use runner::{
    ApplyUpdateAnswer, ConnectionStatus, DeploymentOverrides, InstallStatus,
    ListManagedRunnersAnswer, MaintenanceExclusion, MaintenancePolicy, MaintenanceWindow,
    ManagedSpec, ManagementMode, ProfileBinding, ReleaseChannel, ResourceAmounts, Runner,
    RunnerIdentity, RunnerObservation, Scaling, Toleration,
};

pub use resolved::{FieldLayer, ResolvedField, ResolvedProfile};
pub use secret::{ListSecretsAnswer, PutSecretBody, StoredSecret, read_secret, secret_address};
pub use usage::{Usage, UsageBinding, UsagePart};

/// A map of texts as JSON.
pub(crate) fn strings(map: &BTreeMap<String, String>) -> Value {
    map.iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect()
}

#[cfg(test)]
mod tests;
