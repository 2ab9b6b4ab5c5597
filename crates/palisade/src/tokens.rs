//! Making tokens: a new secret, and the record by which it is recognized.

use palisade_model::clock::{Clock as _, Ids as _, Timestamp};
use palisade_model::id::TokenId;
use palisade_model::token::{Grant, PresentedToken, TokenRecord};
use palisade_store::{CreateTokenError, Store};

use crate::system::{KernelIds, SystemClock};

/// What a new token is for.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    /// Whose it is.
    pub(crate) grant: Grant,
    /// For people.
    pub(crate) description: String,
    /// When it stops working.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Makes a token, records it, and returns it in full. It cannot be shown again.
pub(crate) async fn mint(store: &dyn Store, new: NewToken) -> Result<String, CreateTokenError> {
    let NewToken {
        grant,
        description,
        expires_at,
    } = new;
    let token = PresentedToken::new(TokenId::new(KernelIds.uuid()), KernelIds.secret());
    let record = TokenRecord {
        id: token.id(),
        hash: token.hash(),
        grant,
        description,
        created_at: SystemClock.now(),
        expires_at,
    };
    store.create_token(record).await?;
    Ok(token.reveal())
}
