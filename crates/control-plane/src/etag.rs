//! Names for the states of objects, by which a lost update is refused.
//!
//! An etag is the revision and the end of the identity, so that an object that
//! was made anew under an old name is never taken for the old one. Callers
//! treat it as opaque; one that we never gave out names no state at all.

use palisade_model::profile::Revision;
use palisade_model::reason::Reason;
use uuid::Uuid;

use crate::error::{ApiError, ApiResult};

/// The name of the state of an object.
pub(crate) fn of(id: Uuid, revision: Revision) -> String {
    // The last of the random bits of the id.
    let end = id.as_u128() & 0xffff_ffff_ffff;
    format!("{}-{end:012x}", revision.0)
}

/// The states that a caller made its change from; any, if it named none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// Each is a set of alternatives; one of every set must be the present state.
    sets: Vec<Vec<String>>,
}

impl Expectation {
    /// What an `If-Match` header says.
    pub(crate) fn from_header(header: Option<&str>) -> Self {
        let mut expectation = Self::default();
        match header.map(str::trim) {
            None | Some("*") => {}
            Some(list) => {
                let tags = list.split(',').map(|tag| unquoted(tag).to_owned());
                expectation.sets.push(tags.collect());
            }
        }
        expectation
    }

    /// Adds what the body says; an empty etag says nothing.
    #[must_use]
    pub(crate) fn and(mut self, etag: Option<&str>) -> Self {
        if let Some(etag) = etag.map(unquoted).filter(|etag| !etag.is_empty()) {
            self.sets.push(vec![etag.to_owned()]);
        }
        self
    }

    /// Whether the caller named any state.
    pub(crate) fn is_given(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Refuses when the present state is another one.
    pub(crate) fn check(&self, present: &str, what: &str) -> ApiResult<()> {
        let is_met = |set: &Vec<String>| set.iter().any(|etag| etag == present);
        if self.sets.iter().all(is_met) {
            Ok(())
        } else {
            Err(changed_meanwhile(what))
        }
    }
}

/// The refusal of a change that was made from an older state.
pub(crate) fn changed_meanwhile(what: &str) -> ApiError {
    let message = format!(
        "{what} changed since it was read; read it again, and repeat the change if it still holds"
    );
    ApiError::new(Reason::EtagMismatch, message)
}

/// The tag without the marks of the header; a weak one is as good here.
fn unquoted(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_met(header: Option<&str>, body: Option<&str>) -> bool {
        let present = of(Uuid::from_u128(0xabc), Revision(3));
        assert_eq!(present, "3-000000000abc");
        Expectation::from_header(header)
            .and(body)
            .check(&present, "it")
            .is_ok()
    }

    #[test]
    fn who_names_no_state_accepts_any() {
        assert!(is_met(None, None));
        assert!(is_met(Some("*"), Some("")));
    }

    #[test]
    fn the_present_state_is_accepted_in_any_form() {
        for tag in [
            "3-000000000abc",
            "\"3-000000000abc\"",
            "W/\"3-000000000abc\"",
        ] {
            assert!(is_met(Some(tag), None), "{tag}");
            assert!(is_met(None, Some(tag)), "{tag}");
        }
        assert!(is_met(Some("\"1-0\", \"3-000000000abc\""), None));
    }

    #[test]
    fn any_other_state_is_refused() {
        for tag in ["2-000000000abc", "3-000000000abd", "3", "", "\""] {
            assert!(!is_met(Some(tag), None), "{tag}");
        }
        assert!(!is_met(Some("3-000000000abc"), Some("2-000000000abc")));
    }
}
