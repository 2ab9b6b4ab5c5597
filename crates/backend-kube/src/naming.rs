//! Names and labels of the objects of a sandbox.
//!
//! Everything that belongs to a sandbox can be found by [`SANDBOX_ID`] alone.
//! Labels of identities are what network policies go by, so two identities never
//! share a value: what is no label as it stands gets a hash of itself.

use std::fmt::Write as _;

use palisade_model::id::SandboxId;
use palisade_model::label;
use palisade_model::sandbox::Launch;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::settings::Settings;

/// The label that holds the id of the sandbox.
pub const SANDBOX_ID: &str = "sandbox.coreweave.com/sandbox-id";
/// The label that holds the organization.
pub const ORGANIZATION_ID: &str = "sandbox.coreweave.com/sandbox-organization-id";
/// The label that holds the user.
pub const USER_ID: &str = "sandbox.coreweave.com/sandbox-user-id";
/// The label that holds the profile.
pub const PROFILE_ID: &str = "sandbox.coreweave.com/sandbox-profile-id";
/// The label that holds the runner.
pub const RUNNER_ID: &str = "sandbox.coreweave.com/sandbox-runner-id";
/// The label of everything that a runner makes.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that tells runners of one cluster apart.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The value of [`MANAGED_BY`], which is the field manager as well.
pub const MANAGER: &str = "palisade-runner";
/// The annotation of namespaces that were made because a sandbox needed them.
pub const AUTO_CREATED: &str = "sandbox.coreweave.com/auto-created";
/// The annotation of a pod that holds the instant by which it has to have ended.
pub const STOP_BY: &str = "sandbox.coreweave.com/stop-by";

/// The name of the main container.
pub const MAIN_CONTAINER: &str = "sandbox";

/// Digits of a hash, four bits each.
const HASH_DIGITS: usize = 16;
/// The longest value of a label.
const VALUE_MAX: usize = 63;

/// The name of the pod, the record and the network policy of a sandbox.
pub fn object(id: SandboxId) -> String {
    id.to_string()
}

/// The name of the Service of a sandbox, which has to start with a letter.
pub fn service(id: SandboxId) -> String {
    format!("sandbox-{id}")
}

/// The labels by which the objects of a sandbox are found.
pub(crate) fn labels(launch: &Launch, settings: &Settings) -> Map<String, Value> {
    let pairs = [
        (MANAGED_BY, MANAGER.to_owned()),
        (INSTANCE, settings.instance.clone()),
        (SANDBOX_ID, launch.id.to_string()),
        (ORGANIZATION_ID, value(launch.owner.organization.as_str())),
        (USER_ID, value(launch.owner.user.as_str())),
        (PROFILE_ID, launch.profile.to_string()),
        (RUNNER_ID, value(launch.runner.as_str())),
    ];
    let pairs = pairs.into_iter();
    pairs
        .map(|(key, value)| (key.to_owned(), Value::String(value)))
        .collect()
}

/// An identity as the value of a label.
///
/// Plain where that is one, and no other identity's hashed value looks like it.
pub(crate) fn value(identity: &str) -> String {
    let is_plain = !identity.is_empty() && label::check_label_value(identity).is_ok();
    if is_plain && !ends_like_hash(identity) {
        return identity.to_owned();
    }
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let start: String = identity
        .chars()
        .map(keep)
        .take(VALUE_MAX - HASH_DIGITS - 1)
        .collect();
    format!("{}-{}", start.trim_matches('-'), hash(identity))
        .trim_start_matches('-')
        .to_owned()
}

fn ends_like_hash(text: &str) -> bool {
    let tail = text.rsplit_once('-').map_or(text, |(_, tail)| tail);
    tail.len() == HASH_DIGITS && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hash(text: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(text.as_bytes()).iter().take(HASH_DIGITS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_is_a_label_stays_as_it_is() {
        for plain in ["acme", "ada.b", "a_b-c", &"x".repeat(63)] {
            assert_eq!(value(plain), plain);
        }
    }

    #[test]
    fn every_value_is_a_label_and_two_identities_never_share_one() {
        let long = "x".repeat(80);
        let longer = "x".repeat(81);
        let taken = value("ada@example.com");
        let odd = [
            "ada@example.com",
            "ada-example.com",
            "-ada",
            "Ada Lovelace",
            "ada lovelace",
            "é",
            "ё",
            &long,
            &longer,
            &taken,
        ];
        let values: std::collections::BTreeSet<String> = odd.iter().map(|id| value(id)).collect();
        assert_eq!(values.len(), odd.len(), "{values:?}");
        for value in values {
            assert_eq!(label::check_label_value(&value), Ok(()), "{value}");
        }
    }
}
