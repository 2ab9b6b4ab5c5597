//! Secret stores that the server keeps itself, and the sealed secrets in them.
//!
//! What is kept of a value cannot be read here: it was sealed with a key that is
//! not in the store.

use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::clock::Timestamp;
use palisade_model::id::SecretStoreId;
use palisade_model::name::OrganizationId;
use palisade_model::secret::{SecretAddress, SecretStoreName};

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};

/// Keeps secret stores and what is in them.
///
/// # Contract
///
/// * A store belongs to an organization that exists.
/// * A name is taken by one store of an organization, and is free once that is
///   deleted. An id is given out once.
/// * An organization has at most as many stores as the caller says, and a store
///   at most as many secrets.
/// * What is put under an address replaces what was there, and keeps the time
///   when that was first put there.
/// * A store that is deleted takes its secrets with it.
/// * A change of a secret is the last change of its store.
/// * Lists are in the order of names, and of addresses, and show no sealed value.
/// * A sealed value is replaced by another seal of it only if it is as it was.
/// * Nothing of this is in the feed of changes: nobody keeps a picture of it.
#[async_trait]
pub trait SecretStores: Debug + Send + Sync + 'static {
    /// Adds a store, if the organization has less than `most`.
    async fn create_secret_store(
        &self,
        store: SecretStoreRecord,
        most: usize,
    ) -> Result<(), CreateSecretStoreError>;

    /// Returns one store by its name.
    async fn get_secret_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<SecretStoreRecord, GetError>;

    /// Returns a part of the stores of an organization.
    async fn list_secret_stores(
        &self,
        organization: &OrganizationId,
        page: PageRequest<SecretStoreName>,
    ) -> Result<Page<SecretStoreRecord, SecretStoreName>, Fault>;

    /// Takes a store away, with everything in it.
    async fn delete_secret_store(
        &self,
        organization: &OrganizationId,
        name: &SecretStoreName,
    ) -> Result<(), GetError>;

    /// Puts a secret into a store, if that has less than `most` others.
    async fn put_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        secret: SecretRecord,
        most: usize,
    ) -> Result<(), PutSecretError>;

    /// Returns one secret.
    async fn get_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
    ) -> Result<SecretRecord, GetError>;

    /// Returns a part of what is in a store.
    async fn list_secrets(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        page: PageRequest<SecretAddress>,
    ) -> Result<Page<SecretHead, SecretAddress>, Fault>;

    /// Takes one secret away for good.
    async fn delete_secret(
        &self,
        organization: &OrganizationId,
        store: SecretStoreId,
        address: &SecretAddress,
        now: Timestamp,
    ) -> Result<(), GetError>;

    /// Returns a part of all sealed values, of whatever organization.
    async fn list_sealed(
        &self,
        page: PageRequest<SealedPlace>,
    ) -> Result<Page<SealedSecret, SealedPlace>, Fault>;

    /// Replaces a sealed value that still is `before`; tells whether it was.
    async fn reseal_secret(
        &self,
        place: &SealedPlace,
        before: &Sealed,
        after: Sealed,
    ) -> Result<bool, Fault>;
}

/// A store that the server keeps itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStoreRecord {
    /// Its identity.
    pub id: SecretStoreId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: SecretStoreName,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything in it last changed.
    pub updated_at: Timestamp,
}

/// A value that only the holder of a key can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key.
    pub key: String,
    /// What that key makes a value of.
    pub bytes: Vec<u8>,
}

impl Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("key", &self.key)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// A secret with its sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRecord {
    /// Which secret of its store.
    pub address: SecretAddress,
    /// The value.
    pub sealed: Sealed,
    /// When there was first a value.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHead {
    /// Which secret of its store.
    pub address: SecretAddress,
    /// When there was first a value.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Where a sealed value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedPlace {
    /// The store.
    pub store: SecretStoreId,
    /// The secret in it.
    pub address: SecretAddress,
}

/// A sealed value with what it was sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it is.
    pub place: SealedPlace,
    /// The value.
    pub sealed: Sealed,
}

/// Why a store was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateSecretStoreError {
    /// The organization does not exist; create it first.
    #[error("the organization does not exist")]
    NoOrganization,
    /// There is a store with this name.
    #[error("the name is taken")]
    NameTaken,
    /// There is a store with this id; draw another one.
    #[error("the id is taken")]
    IdTaken,
    /// The organization has as many as it may.
    #[error("the organization has as many secret stores as it may")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a secret was not put into a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutSecretError {
    /// There is no such store, or it belongs to another organization.
    #[error("there is no such secret store in the organization")]
    NoStore,
    /// The store has as many secrets as it may.
    #[error("the secret store has as many secrets as it may")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
