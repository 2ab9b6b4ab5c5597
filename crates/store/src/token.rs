//! Tokens: whose they are, and the hash by which a secret is recognized.

use std::fmt::Debug;

use async_trait::async_trait;
use palisade_model::id::TokenId;
use palisade_model::name::OrganizationId;
use palisade_model::token::TokenRecord;

use crate::error::{Fault, GetError};
use crate::page::{Page, PageRequest};

/// Keeps tokens.
///
/// # Contract
///
/// * A token belongs to an organization that exists.
/// * An id is given out once: a second token with it is refused.
/// * A token is found by its id alone, whatever its kind, since it is what tells
///   the organization of a caller; everything else is scoped as usual.
/// * A revoked token is not found any more. Revoking it again finds nothing.
/// * A list is in the order of ids, and holds the tokens of one organization.
#[async_trait]
pub trait Tokens: Debug + Send + Sync + 'static {
    /// Adds a token.
    async fn create_token(&self, token: TokenRecord) -> Result<(), CreateTokenError>;

    /// Returns the token that somebody presents the id of; the secret is not
    /// checked here.
    async fn find_token(&self, id: TokenId) -> Result<TokenRecord, GetError>;

    /// Returns a part of the tokens of an organization, expired ones included.
    async fn list_tokens(
        &self,
        organization: &OrganizationId,
        page: PageRequest<TokenId>,
    ) -> Result<Page<TokenRecord, TokenId>, Fault>;

    /// Takes a token away for good.
    async fn revoke_token(
        &self,
        organization: &OrganizationId,
        id: TokenId,
    ) -> Result<(), GetError>;
}

/// Why a token was not added.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateTokenError {
    /// The organization does not exist; create it first.
    #[error("the organization does not exist")]
    NoOrganization,
    /// There is a token with this id; draw another one.
    #[error("the id is taken")]
    IdTaken,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
