//! Quotas beside what is counted, as the wire spells them.

use palisade_model::name::{OrganizationId, UserId};
use palisade_model::quota::{Counted, Limits, Quota, Scope, Usage};
use palisade_model::snapshot::SnapshotLimits;
use palisade_model::tenant::SandboxQuota;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod limits;

pub use limits::{LimitSet, QuotaLimits, read_limits, too_wide};

/// Where an organization and a user stand with their quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaReport {
    /// All users together.
    pub organization: QuotaScope,
    /// The user alone; both limits hold.
    pub user: QuotaScope,
}

/// The limits of somebody, and what is counted; an absent limit is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaScope {
    /// Whose they are.
    pub id: String,
    /// CPU of one sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu: Option<String>,
    /// Memory of one sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<String>,
    /// GPUs of one sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gpus: Option<u32>,
    /// Sandboxes that live at once.
    pub sandboxes: QuotaCount,
    /// Sandboxes that were started within the last minute.
    pub starts_per_minute: QuotaCount,
    /// Snapshots of file systems.
    pub snapshots: QuotaCount,
    /// Bytes of their archives.
    pub snapshot_bytes: QuotaCount,
}

/// How many there are, and how many there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaCount {
    /// How many there are.
    pub used: u64,
    /// How many there may be; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl QuotaReport {
    /// The report of an organization and one user; `server` is what the server
    /// limits where the quota says nothing.
    pub fn new(
        quota: &Quota,
        usage: &Usage,
        (organization, user): (&OrganizationId, &UserId),
        server: Option<&SnapshotLimits>,
    ) -> Self {
        let scope = |id, scope, counted| {
            let limits = quota.of(scope, user);
            let kept = match server {
                Some(server) => (
                    server.count_of(quota, scope, Some(user)),
                    server.bytes_of(quota, scope, Some(user)),
                ),
                None => (limits.snapshots.map(u64::from), limits.snapshot_bytes),
            };
            QuotaScope::new(id, limits, counted, kept)
        };
        Self {
            organization: scope(
                organization.to_string(),
                Scope::Organization,
                usage.organization,
            ),
            user: scope(user.to_string(), Scope::User, usage.user),
        }
    }
}

impl QuotaScope {
    fn new(
        id: String,
        limits: &Limits,
        counted: Counted,
        (snapshots_max, bytes_max): (Option<u64>, Option<u64>),
    ) -> Self {
        let Limits {
            sandbox: SandboxQuota { cpu, memory, gpu },
            sandboxes,
            starts_per_minute,
            // Told as they hold, which may be the server's.
            snapshots: _,
            snapshot_bytes: _,
        } = limits;
        let count = |used, max| QuotaCount { used, max };
        Self {
            id,
            max_cpu: cpu.as_ref().map(ToString::to_string),
            max_memory: memory.as_ref().map(ToString::to_string),
            max_gpus: *gpu,
            sandboxes: count(counted.sandboxes, sandboxes.map(u64::from)),
            starts_per_minute: count(counted.starts, starts_per_minute.map(u64::from)),
            snapshots: count(counted.kept.count, snapshots_max),
            snapshot_bytes: count(counted.kept.bytes, bytes_max),
        }
    }
}
