//! Quotas beside what is counted, as the wire spells them.

use palisade_model::name::{OrganizationId, UserId};
use palisade_model::quota::{Counted, Limits, Quota, Scope, Usage};
use palisade_model::tenant::SandboxQuota;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
}

/// How many there are, and how many there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QuotaCount {
    /// How many there are.
    pub used: u64,
    /// How many there may be; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl QuotaReport {
    /// The report of an organization and one user.
    pub fn new(quota: &Quota, usage: &Usage, organization: &OrganizationId, user: &UserId) -> Self {
        let limits = |scope| quota.of(scope, user);
        Self {
            organization: QuotaScope::new(
                organization.to_string(),
                limits(Scope::Organization),
                usage.organization,
            ),
            user: QuotaScope::new(user.to_string(), limits(Scope::User), usage.user),
        }
    }
}

impl QuotaScope {
    fn new(id: String, limits: &Limits, counted: Counted) -> Self {
        let Limits {
            sandbox: SandboxQuota { cpu, memory, gpu },
            sandboxes,
            starts_per_minute,
        } = limits;
        Self {
            id,
            max_cpu: cpu.as_ref().map(ToString::to_string),
            max_memory: memory.as_ref().map(ToString::to_string),
            max_gpus: *gpu,
            sandboxes: QuotaCount {
                used: counted.sandboxes,
                max: *sandboxes,
            },
            starts_per_minute: QuotaCount {
                used: counted.starts,
                max: *starts_per_minute,
            },
        }
    }
}
