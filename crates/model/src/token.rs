//! Secrets that prove who is calling.
//!
//! A token reads `pal_<id>_<secret>`. The id finds the record; the secret is
//! compared by its SHA-256 in constant time and stored nowhere. A secret has 256
//! bits of randomness, so a fast hash is as good as a slow one.

use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::name::{ClusterName, OrganizationId, UserId};
use crate::reason::Reason;
use crate::refusal::Refusal;
use crate::tenant::{Principal, Role};

const PREFIX: &str = "pal_";
const SECRET_BYTES: usize = 32;

/// What the store keeps of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The public half.
    pub id: TokenId,
    /// The hash of the secret half.
    pub hash: SecretHash,
    /// Whose it is and what it is for.
    pub grant: Grant,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None` means never.
    pub expires_at: Option<Timestamp>,
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Calls of a person or a program.
    Caller {
        /// The organization.
        organization: OrganizationId,
        /// The user.
        user: UserId,
        /// What it may do.
        role: Role,
    },
    /// Joining as the runner of one cluster.
    Runner {
        /// The organization whose sandboxes it will run.
        organization: OrganizationId,
        /// The cluster that it speaks for.
        cluster: ClusterName,
    },
}

/// A runner whose join token was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunnerIdentity {
    /// The organization whose sandboxes it runs.
    pub organization: OrganizationId,
    /// The cluster that it speaks for.
    pub cluster: ClusterName,
    /// The token that it came with, for the log.
    pub token: TokenId,
}

/// The SHA-256 of the secret half of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Takes a hash out of the store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash for the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A token as somebody presents it. Never logged, never stored.
pub struct PresentedToken {
    id: TokenId,
    secret: [u8; SECRET_BYTES],
}

/// The text is not a token at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a Palisade token")]
pub struct NotAToken;

/// Why a token does not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The secret is not the one that was given out.
    #[error("the token is not valid")]
    WrongSecret,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is a token of the other kind.
    #[error("the token is for something else")]
    WrongKind,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::new(Reason::Unauthenticated, error.to_string())
    }
}

impl PresentedToken {
    /// Makes a new token out of an id and a secret.
    pub fn new(id: TokenId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { id, secret }
    }

    /// Reads a token as it came over the wire.
    pub fn parse(text: &str) -> Result<Self, NotAToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(NotAToken)?;
        let (id, secret) = rest.split_once('_').ok_or(NotAToken)?;
        let id = Uuid::from_bytes(unhex(id).ok_or(NotAToken)?);
        Ok(Self {
            id: TokenId::new(id),
            secret: unhex(secret).ok_or(NotAToken)?,
        })
    }

    /// The token in full, to be shown once to whoever asked for it.
    pub fn reveal(&self) -> String {
        let mut text = PREFIX.to_owned();
        hex(self.id.as_uuid().as_bytes(), &mut text);
        text.push('_');
        hex(&self.secret, &mut text);
        text
    }

    /// The half by which the record is found.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What the store keeps of the secret half.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret).into())
    }

    /// The caller, if this is a valid token of a caller.
    pub fn caller(&self, record: &TokenRecord, now: Timestamp) -> Result<Principal, TokenError> {
        self.check(record, now)?;
        match &record.grant {
            Grant::Caller {
                organization,
                user,
                role,
            } => Ok(Principal {
                organization: organization.clone(),
                user: user.clone(),
                role: *role,
                token: record.id,
            }),
            Grant::Runner { .. } => Err(TokenError::WrongKind),
        }
    }

    /// The runner, if this is a valid join token.
    pub fn runner(
        &self,
        record: &TokenRecord,
        now: Timestamp,
    ) -> Result<RunnerIdentity, TokenError> {
        self.check(record, now)?;
        match &record.grant {
            Grant::Runner {
                organization,
                cluster,
            } => Ok(RunnerIdentity {
                organization: organization.clone(),
                cluster: cluster.clone(),
                token: record.id,
            }),
            Grant::Caller { .. } => Err(TokenError::WrongKind),
        }
    }

    fn check(&self, record: &TokenRecord, now: Timestamp) -> Result<(), TokenError> {
        let same_id = self.id == record.id;
        let same_secret = self.hash().0.ct_eq(&record.hash.0);
        if !(same_id && bool::from(same_secret)) {
            return Err(TokenError::WrongSecret);
        }
        record.check(now)
    }
}

impl TokenRecord {
    /// Whether the token still works at this instant.
    pub fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        if self.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> PresentedToken {
        PresentedToken::new(TokenId::new(Uuid::from_u128(7)), [9; 32])
    }

    fn record(expires_at: Option<Timestamp>) -> TokenRecord {
        TokenRecord {
            id: token().id(),
            hash: token().hash(),
            grant: Grant::Caller {
                organization: "acme".parse().unwrap(),
                user: "ada".parse().unwrap(),
                role: Role::SandboxUser,
            },
            description: String::new(),
            created_at: Timestamp::EPOCH,
            expires_at,
        }
    }

    #[test]
    fn a_token_reads_as_it_was_revealed() {
        let again = PresentedToken::parse(&token().reveal()).unwrap();
        assert_eq!((again.id, again.secret), (token().id, token().secret));
    }

    #[test]
    fn the_right_secret_names_the_caller() {
        let caller = token().caller(&record(None), Timestamp::EPOCH).unwrap();
        assert_eq!(caller.user.as_str(), "ada");
    }

    #[test]
    fn a_wrong_secret_is_refused() {
        let forged = PresentedToken::new(token().id(), [8; 32]);
        assert_eq!(
            forged.caller(&record(None), Timestamp::EPOCH),
            Err(TokenError::WrongSecret)
        );
    }

    #[test]
    fn a_token_ends_at_its_expiry() {
        let record = record(Some(Timestamp::from_micros(5)));
        let at = |micros| token().caller(&record, Timestamp::from_micros(micros));
        assert!(at(4).is_ok());
        assert_eq!(at(5), Err(TokenError::Expired));
    }

    #[test]
    fn a_caller_is_not_a_runner() {
        assert_eq!(
            token().runner(&record(None), Timestamp::EPOCH),
            Err(TokenError::WrongKind)
        );
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        for text in [
            "",
            "pal_",
            "pal_zz_zz",
            "sk-123",
            "pal_00_00",
            "pal_\u{e9}_\u{e9}",
        ] {
            assert!(PresentedToken::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let shown = format!("{:?} {:?}", token(), record(None));
        assert!(!shown.contains("0909") && !shown.contains('9'), "{shown}");
    }
}
