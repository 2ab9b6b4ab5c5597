//! Sealing values, and opening them again.
//!
//! `XChaCha20-Poly1305` with a random nonce of 24 bytes in front of the text. What
//! a value was sealed for is bound to it: one that is moved to another
//! organization, store, path or field does not open there.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use palisade_model::name::OrganizationId;
use palisade_model::secret::SecretValue;
use palisade_store::secret::{Sealed, SealedPlace};

use crate::keys::{Key, KeyRing};

const NONCE_LEN: usize = 24;

/// What a value is sealed for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose<'a> {
    pub(crate) organization: &'a OrganizationId,
    pub(crate) place: &'a SealedPlace,
}

/// Why a value does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its key is not there.
    #[error("it was sealed with the key {key}, which is not in the key file")]
    NoKey { key: String },
    /// It is not what was sealed, or not for this.
    #[error("what is in the database was not sealed for this secret")]
    Altered,
}

/// The cipher refused; it does so only for texts beyond any bound of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be sealed")]
pub(crate) struct SealError;

/// Seals a value. The first bytes of `random` are the nonce: no two calls may
/// have the same ones.
pub(crate) fn seal(
    key: &Key,
    purpose: Purpose<'_>,
    value: &SecretValue,
    random: [u8; 32],
) -> Result<Sealed, SealError> {
    let mut nonce = XNonce::default();
    nonce.copy_from_slice(&random[..NONCE_LEN]);
    let associated = associated(purpose);
    let payload = Payload {
        msg: value.reveal(),
        aad: &associated,
    };
    let text = cipher(key).encrypt(&nonce, payload);
    let text = text.map_err(|_| SealError)?;
    let mut bytes = nonce.to_vec();
    bytes.extend(text);
    Ok(Sealed {
        key: key.id.clone(),
        bytes,
    })
}

/// Opens a value that was sealed for this.
pub(crate) fn open(
    ring: &KeyRing,
    purpose: Purpose<'_>,
    sealed: &Sealed,
) -> Result<SecretValue, OpenError> {
    let key = ring.find(&sealed.key).ok_or_else(|| OpenError::NoKey {
        key: sealed.key.clone(),
    })?;
    let (nonce, text) = sealed
        .bytes
        .split_at_checked(NONCE_LEN)
        .ok_or(OpenError::Altered)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Altered)?;
    let associated = associated(purpose);
    let payload = Payload {
        msg: text,
        aad: &associated,
    };
    let opened = cipher(key).decrypt(&nonce, payload);
    let opened = opened.map_err(|_| OpenError::Altered)?;
    SecretValue::new(opened).map_err(|_| OpenError::Altered)
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&CipherKey::from(*key.bytes))
}

/// Each part with its length in front, so that no two purposes read alike.
fn associated(purpose: Purpose<'_>) -> Vec<u8> {
    let Purpose {
        organization,
        place: SealedPlace { store, address },
    } = purpose;
    let store = store.to_string();
    let parts = [
        "palisade secret v1",
        organization.as_str(),
        &store,
        address.path.as_str(),
        address.field_text(),
    ];
    let mut associated = Vec::new();
    for part in parts {
        associated.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        associated.extend(part.as_bytes());
    }
    associated
}

#[cfg(test)]
mod tests {
    use palisade_model::id::SecretStoreId;
    use palisade_model::secret::SecretAddress;
    use uuid::Uuid;

    use super::*;
    use crate::KeyFile;

    fn keys_of(secret: [u8; 32]) -> KeyRing {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::create(&directory.path().join("key"), secret).unwrap();
        file.read().unwrap()
    }

    fn place(store: u128, path: &str, field: Option<&str>) -> SealedPlace {
        SealedPlace {
            store: SecretStoreId::new(Uuid::from_u128(store)),
            address: SecretAddress {
                path: path.parse().unwrap(),
                field: field.map(|field| field.parse().unwrap()),
            },
        }
    }

    #[test]
    fn a_value_opens_only_for_what_it_was_sealed_for() {
        let (acme, other) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let ring = keys_of([1; 32]);
        let here = place(1, "a/b", None);
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        let purpose = Purpose {
            organization: &acme,
            place: &here,
        };
        let sealed = seal(ring.first().unwrap(), purpose, &value, [9; 32]).unwrap();
        assert!(!sealed.bytes.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(open(&ring, purpose, &sealed).unwrap(), value);
        let elsewhere = [
            place(2, "a/b", None),
            place(1, "a", Some("b")),
            place(1, "a", None),
        ];
        for place in &elsewhere {
            let purpose = Purpose { place, ..purpose };
            assert_eq!(open(&ring, purpose, &sealed), Err(OpenError::Altered));
        }
        let purpose = Purpose {
            organization: &other,
            place: &here,
        };
        assert_eq!(open(&ring, purpose, &sealed), Err(OpenError::Altered));
    }

    #[test]
    fn what_was_altered_or_has_no_key_does_not_open() {
        let acme = "acme".parse().unwrap();
        let here = place(1, "a", None);
        let purpose = Purpose {
            organization: &acme,
            place: &here,
        };
        let ring = keys_of([1; 32]);
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        let sealed = seal(ring.first().unwrap(), purpose, &value, [9; 32]).unwrap();
        for index in 0..sealed.bytes.len() {
            let mut altered = sealed.clone();
            altered.bytes[index] ^= 1;
            assert_eq!(open(&ring, purpose, &altered), Err(OpenError::Altered));
        }
        for len in 0..sealed.bytes.len() {
            let mut cut = sealed.clone();
            cut.bytes.truncate(len);
            assert_eq!(open(&ring, purpose, &cut), Err(OpenError::Altered));
        }
        let other = keys_of([2; 32]);
        let refused = open(&other, purpose, &sealed).unwrap_err();
        assert!(refused.to_string().contains("not in the key file"));
    }
}
