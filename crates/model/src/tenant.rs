//! Organizations, users and what they may do.
//!
//! A [`Principal`] exists only for a caller whose token was checked; holding one
//! is the proof. Which organization a request touches is always taken from it.

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::name::{OrganizationId, UserId};
use crate::profile::Revision;
use crate::quantity::Quantity;
use crate::quota::Quota;
use crate::reason::Reason;
use crate::refusal::Refusal;

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sandboxes, and reading profiles and runners.
    SandboxUser,
    /// Profiles and runners, and all that a user may.
    SandboxAdmin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::SandboxUser, Self::SandboxAdmin];

    /// The role as people spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SandboxUser => "sandbox_user",
            Self::SandboxAdmin => "sandbox_admin",
        }
    }

    /// Whether this role includes what `needed` may do.
    pub fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::SandboxAdmin, _) | (Self::SandboxUser, Self::SandboxUser) => true,
            (Self::SandboxUser, Self::SandboxAdmin) => false,
        }
    }
}

/// An organization and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    /// The identity.
    pub id: OrganizationId,
    /// What it and its users may have.
    pub quota: Quota,
    /// How often that was written.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The largest sandbox that somebody may start; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SandboxQuota {
    /// Of CPU.
    pub cpu: Option<Quantity>,
    /// Of memory.
    pub memory: Option<Quantity>,
    /// Of GPUs.
    pub gpu: Option<u32>,
}

/// A caller whose token was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Whose things it may touch.
    pub organization: OrganizationId,
    /// Who it is.
    pub user: UserId,
    /// What it may do.
    pub role: Role,
    /// The token that it came with, for the log.
    pub token: TokenId,
}

impl Principal {
    /// Refuses a caller whose role does not include what `needed` may do.
    pub fn must_be(&self, needed: Role) -> Result<(), Refusal> {
        if self.role.includes(needed) {
            return Ok(());
        }
        let message = format!(
            "this needs the role {}; the token of {} has {}",
            needed.as_str(),
            self.user,
            self.role.as_str()
        );
        Err(Refusal::new(Reason::PermissionDenied, message))
    }
}
