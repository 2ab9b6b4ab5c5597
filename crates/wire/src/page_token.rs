//! Tokens of pages, which lead on in one list and in no other.
//!
//! A token says behind what to go on, so that paging is stable while things come and
//! go, and holds a digest of what was asked for: which list, whose, and through which
//! filter. With another filter it would lead to a page that belongs to neither list.
//! Nothing is kept about a token: it outlives its server, and every other one of the
//! same version takes it. It needs no protection either: whatever somebody puts in,
//! only things of the caller's own organization come out.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use palisade_model::name::OrganizationId;
use sha2::{Digest as _, Sha256};

/// How tokens of this version begin.
const PREFIX: &str = "p1-";
/// Enough that no two lists of one caller are taken for each other.
const DIGEST_BYTES: usize = 8;
/// The longest token; the keys in them are names.
const LEN_MAX: usize = 4096;

/// A list, as it was asked for: what may not change from page to page.
#[derive(Clone)]
pub struct Listing(Sha256);

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It was not made here.
    #[error("is not a token that this server gave out; start again without one")]
    Malformed,
    /// It leads on in something else.
    #[error(
        "was given out for another list, organization or filter; \
         ask as for the first page, or start again without a token"
    )]
    OtherList,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listing")
    }
}

impl Listing {
    /// All that an organization has of something.
    pub fn new(list: &str, organization: &OrganizationId) -> Self {
        Self(Sha256::new())
            .with("list", list)
            .with("organization", organization)
    }

    /// Of that, what passes this condition.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.add(name);
        self.add(&value.to_string());
        self
    }

    /// Of that, what passes this condition, in which order does not count.
    #[must_use]
    pub fn with_any(mut self, name: &str, values: &[String]) -> Self {
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        self = self.with(name, sorted.len());
        for value in sorted {
            self.add(value);
        }
        self
    }

    fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    fn digest(&self) -> [u8; DIGEST_BYTES] {
        let whole = self.0.clone().finalize();
        std::array::from_fn(|index| whole[index])
    }

    /// The token that leads on behind `key`; empty at the end of the list.
    pub fn token<K: fmt::Display>(&self, key: Option<K>) -> String {
        let Some(key) = key else {
            return String::new();
        };
        let mut bytes = self.digest().to_vec();
        bytes.extend_from_slice(key.to_string().as_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The key behind which a token leads on; `None` at the beginning of the list.
    pub fn after<K: FromStr>(&self, token: &str) -> Result<Option<K>, BadToken> {
        if token.is_empty() {
            return Ok(None);
        }
        let (digest, key) = opened(token).ok_or(BadToken::Malformed)?;
        if digest != self.digest() {
            return Err(BadToken::OtherList);
        }
        let key = key.parse().map_err(|_| BadToken::Malformed)?;
        Ok(Some(key))
    }
}

fn opened(token: &str) -> Option<([u8; DIGEST_BYTES], String)> {
    let token = token
        .strip_prefix(PREFIX)
        .filter(|it| it.len() <= LEN_MAX)?;
    let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let key = (bytes.len() >= DIGEST_BYTES).then(|| bytes.split_off(DIGEST_BYTES))?;
    Some((bytes.try_into().ok()?, String::from_utf8(key).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandboxes(organization: &str) -> Listing {
        Listing::new("sandboxes", &organization.parse().unwrap())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_token_leads_on_behind_its_key() {
        let list = sandboxes("acme").with("status", 7);
        let token = list.token(Some("ü / x"));
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(list.after(&token), Ok(Some("ü / x".to_owned())));
        assert_eq!(list.after::<String>(""), Ok(None));
        assert_eq!(list.token(None::<&str>), "");
    }

    #[test]
    fn a_token_is_the_same_wherever_and_whenever_it_is_made() {
        let list = sandboxes("acme").with_any("tags", &words(&["b", "a"]));
        // Another digest would end all paging that is under way at an update.
        assert_eq!(list.token(Some("x")), "p1-2gZ1O5Jcxsh4");
        let again = sandboxes("acme").with_any("tags", &words(&["a", "b", "a"]));
        assert_eq!(again.token(Some("x")), list.token(Some("x")));
    }

    #[test]
    fn a_token_of_another_list_is_told_from_one_that_is_none() {
        let list = sandboxes("acme").with_any("tags", &words(&["a"]));
        let others = [
            sandboxes("acme"),
            sandboxes("globex").with_any("tags", &words(&["a"])),
            Listing::new("runners", &"acme".parse().unwrap()).with_any("tags", &words(&["a"])),
            sandboxes("acme").with_any("tags", &words(&["a", "b"])),
            sandboxes("acme").with_any("gat", &words(&["a"])),
            sandboxes("acme").with("tags", "a"),
            sandboxes("acme")
                .with_any("tags", &words(&["a"]))
                .with("x", ""),
        ];
        for other in others {
            let token = other.token(Some("x"));
            assert_eq!(
                list.after::<String>(&token),
                Err(BadToken::OtherList),
                "{token}"
            );
        }
        let long = format!("p1-{}", "A".repeat(LEN_MAX + 1));
        for none in ["x", "p1-", "p1-!", "p1-AAAA", "s1-AAAAAAAAAAAAAAAA", &long] {
            assert_eq!(
                list.after::<String>(none),
                Err(BadToken::Malformed),
                "{none}"
            );
        }
        let not_a_number = list.token(Some("x"));
        assert_eq!(list.after::<u32>(&not_a_number), Err(BadToken::Malformed));
    }
}
