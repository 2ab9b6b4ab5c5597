//! Secret stores as their organization sees them.

use super::SecretStoreName;
use crate::clock::Timestamp;
use crate::id::SecretStoreId;
use crate::name::OrganizationId;

/// Where an organization's secrets are, without any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStore {
    /// Its identity.
    pub id: SecretStoreId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: SecretStoreName,
    /// Who keeps the values.
    pub provider: SecretProvider,
    /// When it was made, or for one that is configured, since when it is there.
    pub created_at: Timestamp,
    /// When anything in it last changed.
    pub updated_at: Timestamp,
}

/// Who keeps the values of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretProvider {
    /// The server, encrypted in its database.
    BuiltIn,
    /// The environment of the server.
    Environment,
    /// A directory of the server.
    Directory,
}

impl SecretProvider {
    /// The provider as people spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Environment => "environment",
            Self::Directory => "directory",
        }
    }
}
