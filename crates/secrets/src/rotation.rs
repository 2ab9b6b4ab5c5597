//! Changing the key that seals.
//!
//! ```text
//!  forget keys that seal nothing ─► write a new key in front ─► seal everything anew
//! ```
//!
//! The old key stays in the file until the next change: a server that sealed a
//! value with it at the same time has lost nothing. Whatever breaks off can be
//! begun again.

use std::collections::BTreeSet;

use palisade_store::secret::SealedSecret;
use palisade_store::{PageRequest, PageSize};

use crate::failure::Failure;
use crate::keys::Key;
use crate::seal::{self, Purpose};
use crate::secrets::{Secrets, blocking, unusable_keys};

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// How many secrets were sealed anew.
    pub resealed: usize,
    /// How many could not be opened, and are as they were.
    pub unreadable: usize,
    /// How many keys are in the file now.
    pub keys: usize,
}

impl Secrets {
    /// Makes another key the one that seals, and seals everything with it.
    pub async fn rotate(&self) -> Result<Rotated, Failure> {
        let used = self.used_keys().await?;
        let file = self.key_file()?.clone();
        let key = Key::new(self.ids.secret());
        let keys = blocking(move || {
            let mut ring = file.read().map_err(unusable_keys)?;
            let kept = ring.forget(|id| used.contains(id));
            ring.lead_with(key);
            file.replace(&ring).map_err(unusable_keys)?;
            Ok(kept + 1)
        });
        let keys = keys.await?;
        let (resealed, unreadable) = self.reseal_all().await?;
        tracing::info!(resealed, unreadable, "secrets are sealed with a new key");
        Ok(Rotated {
            resealed,
            unreadable,
            keys,
        })
    }

    /// Whether any secret is sealed.
    pub async fn has_sealed(&self) -> Result<bool, Failure> {
        let page = PageRequest::first(PageSize::clamped(1));
        Ok(!self.store.list_sealed(page).await?.items.is_empty())
    }

    async fn used_keys(&self) -> Result<BTreeSet<String>, Failure> {
        let mut used = BTreeSet::new();
        let mut page = PageRequest::first(PageSize::MAX);
        loop {
            let listed = self.store.list_sealed(page).await?;
            used.extend(listed.items.into_iter().map(|secret| secret.sealed.key));
            match listed.next {
                Some(next) => page = after(next),
                None => return Ok(used),
            }
        }
    }

    async fn reseal_all(&self) -> Result<(usize, usize), Failure> {
        let (mut resealed, mut unreadable) = (0, 0);
        let mut page = PageRequest::first(PageSize::MAX);
        loop {
            let listed = self.store.list_sealed(page).await?;
            for secret in listed.items {
                let done = self.reseal(&secret).await?;
                resealed += usize::from(done == Some(true));
                unreadable += usize::from(done.is_none());
            }
            match listed.next {
                Some(next) => page = after(next),
                None => return Ok((resealed, unreadable)),
            }
        }
    }

    /// `None` if the value cannot be opened; `false` if somebody put in another one
    /// meanwhile, which is sealed as it should be.
    async fn reseal(&self, secret: &SealedSecret) -> Result<Option<bool>, Failure> {
        let SealedSecret {
            organization,
            place,
            sealed,
        } = secret;
        let ring = self.ring().await?;
        let purpose = Purpose {
            organization,
            place,
        };
        let Ok(value) = seal::open(&ring, purpose, sealed) else {
            return Ok(None);
        };
        let anew = self.seal(&ring, organization, place, &value)?;
        let replaced = self.store.reseal_secret(place, sealed, anew).await?;
        Ok(Some(replaced))
    }
}

fn after<K>(key: K) -> PageRequest<K> {
    PageRequest {
        after: Some(key),
        size: PageSize::MAX,
    }
}
