//! Starts that are the same start once more.
//!
//! A key leads to the id of the sandbox: an id is given out once, so that of all
//! that come with one key exactly one is recorded, whatever crashes and whichever
//! gateway is asked. There is no other state but the record.
//!
//! Ids sort by time, so that a part of the key's id is the hour in which it came
//! first; the hour before is looked at as well. A key is known for an hour at
//! least, and for two at most. Where two gateways get one key for the first time
//! at the same instant, and that is the turn of an hour, both may record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::label::RESERVED_PREFIX;
use palisade_model::sandbox::{Owner, Sandbox, StartKey};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;
use uuid::Builder;

use crate::error::{ApiResult, invalid};
use crate::hex::hex;

/// How long a key leads to one id.
const WINDOW: Duration = Duration::from_hours(1);

type Turn = tokio::sync::Mutex<()>;

/// Whose turn it is with which key. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repeats {
    turns: Arc<Mutex<HashMap<[u8; 10], Weak<Turn>>>>,
}

/// A key in the hands of one start; the others with it wait.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The id to record, and that of the hour before.
    pub(crate) ids: [SandboxId; 2],
    digest: String,
    _turn: OwnedMutexGuard<()>,
}

impl Repeats {
    /// Waits for the turn of a key.
    pub(crate) async fn claim(&self, owner: &Owner, key: &StartKey, now: Timestamp) -> Claim {
        let place = place(owner, &key.key);
        let turn = self.turn(place).lock_owned().await;
        let window = WINDOW.as_millis();
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or_default();
        let hours = u128::from(millis) / window;
        Claim {
            ids: [hours, hours.saturating_sub(1)].map(|hours| id(hours * window, place)),
            digest: hex(&key.digest),
            _turn: turn,
        }
    }

    fn turn(&self, place: [u8; 10]) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&place).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(place, Arc::downgrade(&turn));
        turn
    }
}

impl Claim {
    /// Marks a sandbox with what was asked for.
    pub(crate) fn mark(&self, sandbox: &mut Sandbox) {
        let annotations = &mut sandbox.launch.metadata.annotations;
        annotations.insert(digest_key(), self.digest.clone());
    }

    /// The sandbox that the key led to before, if the same was asked for.
    pub(crate) fn same(&self, known: Sandbox) -> ApiResult<Sandbox> {
        let annotations = &known.launch.metadata.annotations;
        if annotations.get(&digest_key()) == Some(&self.digest) {
            return Ok(known);
        }
        let text = format!(
            "was used for sandbox {}, which was asked for otherwise; take another one",
            known.id
        );
        Err(invalid("idempotency_key", text))
    }
}

/// Only the system sets annotations of this prefix.
fn digest_key() -> String {
    format!("{RESERVED_PREFIX}start-digest")
}

/// Where in the ids a key of this caller is.
fn place(owner: &Owner, key: &str) -> [u8; 10] {
    let Owner { organization, user } = owner;
    let mut hasher = Sha256::new();
    for part in [organization.as_str(), user.as_str(), key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: [u8; 32] = hasher.finalize().into();
    std::array::from_fn(|at| hash[at])
}

fn id(millis: u128, place: [u8; 10]) -> SandboxId {
    let millis = u64::try_from(millis).unwrap_or_default();
    SandboxId::new(Builder::from_unix_timestamp_millis(millis, &place).into_uuid())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn key(text: &str) -> StartKey {
        StartKey {
            key: text.to_owned(),
            digest: [1; 32],
        }
    }

    fn owner(user: &str) -> Owner {
        Owner {
            organization: "acme".parse().unwrap(),
            user: user.parse().unwrap(),
        }
    }

    async fn ids(user: &str, text: &str, seconds: i64) -> [SandboxId; 2] {
        let now = Timestamp::from_micros(seconds * 1_000_000);
        let repeats = Repeats::default();
        repeats.claim(&owner(user), &key(text), now).await.ids
    }

    #[tokio::test]
    async fn a_key_leads_to_one_id_for_an_hour_and_is_found_in_the_next() {
        let first = ids("ada", "k", 7_200).await;
        assert_eq!(ids("ada", "k", 10_799).await, first);
        let next = ids("ada", "k", 10_800).await;
        assert_eq!(next[1], first[0]);
        assert!(next[0] > first[0], "ids sort by time");
        assert_eq!(first[0].as_uuid().get_version_num(), 7);
    }

    #[tokio::test]
    async fn a_key_is_its_user_s() {
        assert_ne!(ids("ada", "k", 0).await, ids("bob", "k", 0).await);
        assert_ne!(ids("ada", "k", 0).await, ids("ada", "l", 0).await);
    }

    #[tokio::test]
    async fn one_start_at_a_time_has_a_key() {
        let (repeats, now) = (Repeats::default(), Timestamp::EPOCH);
        let (ada, k) = (owner("ada"), key("k"));
        let held = repeats.claim(&ada, &k, now).await;
        assert!(repeats.claim(&ada, &k, now).now_or_never().is_none());
        assert!(repeats.claim(&ada, &key("l"), now).now_or_never().is_some());
        drop(held);
        assert!(repeats.claim(&ada, &k, now).now_or_never().is_some());
        assert_eq!(
            repeats.turns.lock().unwrap().len(),
            1,
            "others are forgotten"
        );
    }
}
