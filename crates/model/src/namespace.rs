//! The names of the namespaces that sandboxes land in.
//!
//! Two identities never share a generated name, whatever their strategies,
//! prefixes and organizations are. A name is `<prefix><mark><identity>`:
//!
//! * The mark (`org-ns-`, `user-ns-`, `profile-ns-`) tells the strategy. No
//!   prefix and no static name may contain one, so the first mark in a name
//!   says where the prefix ends, and static names stay apart from all others.
//! * The identity is written plainly where it can be read back: an organization
//!   as it is, organization and user joined by a hyphen if the organization has
//!   none. Everything else gets a hash of the exact identity behind it: names
//!   that were lower-cased, changed or cut, joins with two readings, and all
//!   names per profile, as a profile's name says nothing of its organization.
//! * A plain name that ends like a hash gets a hash, too, so nobody can choose
//!   an id that reads like the hashed name of somebody else.
//!
//! The hash has 64 bits: with 32, somebody who may choose a long user id could
//! search for one that collides with a given neighbour within seconds.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::id::ProfileId;
use crate::name::{DnsLabel, ProfileName};
use crate::profile::{NamespaceSpec, NamespaceStrategy};
use crate::sandbox::Owner;

/// Who lives in a namespace; the strategy says which part of this counts.
#[derive(Clone, Copy, Debug)]
pub struct Occupant<'a> {
    /// The organization and the user.
    pub owner: &'a Owner,
    /// The profile.
    pub profile: ProfileId,
    /// What the profile is called, for people to read in the name.
    pub profile_name: &'a ProfileName,
}

const ORG_MARK: &str = "org-ns-";
const USER_MARK: &str = "user-ns-";
const PROFILE_MARK: &str = "profile-ns-";

/// Digits of the hash, four bits each.
const HASH_DIGITS: usize = 16;

/// Tells our hashes from those that somebody else makes of the same ids.
const HASH_DOMAIN: &str = "palisade namespace 1";

/// The namespace of a sandbox of `occupant` under `spec`.
pub fn name(spec: &NamespaceSpec, occupant: &Occupant<'_>) -> DnsLabel {
    let prefix = spec.prefix.as_ref().map_or("", |prefix| prefix.as_str());
    let organization = occupant.owner.organization.as_str();
    let user = occupant.owner.user.as_str();
    match spec.strategy() {
        NamespaceStrategy::Static(namespace) => namespace.name().clone(),
        NamespaceStrategy::PerOrg => {
            let plain = format!("{prefix}{ORG_MARK}{organization}");
            generated(&plain, true, &[ORG_MARK, organization])
        }
        NamespaceStrategy::PerUser => {
            let plain = format!("{prefix}{USER_MARK}{organization}-{user}");
            let is_readable = !organization.contains('-');
            generated(&plain, is_readable, &[USER_MARK, organization, user])
        }
        NamespaceStrategy::PerProfile => {
            let plain = format!("{prefix}{PROFILE_MARK}{}", occupant.profile_name);
            let profile = occupant.profile.to_string();
            generated(&plain, false, &[PROFILE_MARK, organization, &profile])
        }
    }
}

/// The mark of generated names that stands in `text`, if any does.
pub(crate) fn mark_in(text: &str) -> Option<&'static str> {
    [ORG_MARK, USER_MARK, PROFILE_MARK]
        .into_iter()
        .find(|mark| text.contains(mark))
}

/// `plain` where it is a label that only this identity can have, else a label
/// that starts like it and ends in the hash of the identity.
fn generated(plain: &str, is_readable: bool, identity: &[&str]) -> DnsLabel {
    if is_readable
        && !ends_like_hash(plain)
        && let Ok(label) = DnsLabel::new(plain)
    {
        return label;
    }
    let hash = hash(identity);
    let start = plain
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => c,
            _ => '-',
        })
        .take(DnsLabel::LEN_MAX - HASH_DIGITS - 1)
        .collect::<String>();
    DnsLabel::new(format!("{}-{hash}", start.trim_end_matches('-')))
        .expect("starts with a letter or digit, ends in a digit, and was cut to fit")
}

fn ends_like_hash(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, tail)| {
        tail.len() == HASH_DIGITS && tail.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// Each part goes in with its length, so that no two identities read the same.
fn hash(identity: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in [HASH_DOMAIN].iter().chain(identity) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut text = String::new();
    for byte in digest.finalize().iter().take(HASH_DIGITS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
