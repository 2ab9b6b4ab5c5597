//! Keys and values of labels and annotations, by the rules of Kubernetes.
//!
//! The same rules hold on every backend, so that one profile works on all of
//! them. Keys under [`RESERVED_PREFIX`] are the system's own.

use std::collections::BTreeMap;

/// Labels and annotations under this prefix are set by the system alone.
pub const RESERVED_PREFIX: &str = "sandbox.coreweave.com/";

/// The most bytes that the annotations of one object may have together.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

const NAME_MAX: usize = 63;
const PREFIX_MAX: usize = 253;

/// Why a text is no key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The part of a key before the slash is no DNS name.
    #[error("has a prefix that is not a DNS name such as example.com")]
    BadPrefix,
    /// The part of a key behind the slash breaks the rules.
    #[error(
        "must be a key such as team or example.com/team: after the optional prefix, 1 to {NAME_MAX} letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
    )]
    BadName,
    /// The value of a label breaks the rules.
    #[error(
        "must be at most {NAME_MAX} letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
    )]
    BadValue,
    /// All annotations together are too large.
    #[error("have {bytes} bytes together; at most {ANNOTATIONS_BYTES_MAX} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
}

/// Checks the key of a label.
pub fn check_label_key(key: &str) -> Result<(), LabelError> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            check_prefix(prefix)?;
            name
        }
        None => key,
    };
    if is_word(name) {
        Ok(())
    } else {
        Err(LabelError::BadName)
    }
}

/// Checks the value of a label; it may be empty.
pub fn check_label_value(value: &str) -> Result<(), LabelError> {
    if value.is_empty() || is_word(value) {
        Ok(())
    } else {
        Err(LabelError::BadValue)
    }
}

/// Checks the key of an annotation; its prefix may be in upper case.
pub fn check_annotation_key(key: &str) -> Result<(), LabelError> {
    check_label_key(&key.to_ascii_lowercase())
}

/// Checks the size of all annotations of an object. Values are free text.
pub fn check_annotations_size(annotations: &BTreeMap<String, String>) -> Result<(), LabelError> {
    let bytes = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        Err(LabelError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

/// Whether only the system may set this key.
///
/// Case is ignored: a key that looks like one of ours must not be mistaken for it.
pub fn is_reserved(key: &str) -> bool {
    key.get(..RESERVED_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
}

fn check_prefix(prefix: &str) -> Result<(), LabelError> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(edge)
            && label.ends_with(edge)
            && label.chars().all(|c| edge(c) || c == '-')
    };
    if prefix.len() <= PREFIX_MAX && prefix.split('.').all(is_label) {
        Ok(())
    } else {
        Err(LabelError::BadPrefix)
    }
}

fn is_word(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= NAME_MAX
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_follow_the_rules_of_kubernetes() {
        for good in [
            "a",
            "A.b_c-d",
            "example.com/team",
            "a.b-c.d/E",
            &"x".repeat(63),
        ] {
            assert_eq!(check_label_key(good), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("", LabelError::BadName),
            ("-a", LabelError::BadName),
            ("a/", LabelError::BadName),
            ("a/b/c", LabelError::BadName),
            ("a b", LabelError::BadName),
            ("/a", LabelError::BadPrefix),
            ("Example.com/a", LabelError::BadPrefix),
            ("a..b/c", LabelError::BadPrefix),
            ("é", LabelError::BadName),
        ] {
            assert_eq!(check_label_key(bad), Err(error), "{bad}");
        }
        assert!(check_label_key(&"x".repeat(64)).is_err());
    }

    #[test]
    fn the_prefix_of_an_annotation_may_be_in_upper_case() {
        assert_eq!(check_annotation_key("Example.com/a"), Ok(()));
    }

    #[test]
    fn values_may_be_empty_and_have_an_end() {
        assert_eq!(check_label_value(""), Ok(()));
        assert_eq!(check_label_value("v1.2_x"), Ok(()));
        for bad in ["a b", ".a", "a-", &"x".repeat(64)] {
            assert_eq!(check_label_value(bad), Err(LabelError::BadValue), "{bad}");
        }
    }

    #[test]
    fn our_own_keys_are_reserved_in_any_case() {
        assert!(is_reserved("sandbox.coreweave.com/sandbox-id"));
        assert!(is_reserved("Sandbox.CoreWeave.com/x"));
        assert!(!is_reserved("sandbox.coreweave.com"));
        assert!(!is_reserved("x.sandbox.coreweave.com/x"));
        assert!(!is_reserved("sunk.coreweave.com/partition"));
    }

    #[test]
    fn annotations_together_have_a_size_limit() {
        let annotations = |bytes: usize| BTreeMap::from([("k".to_owned(), "v".repeat(bytes - 1))]);
        let limit = ANNOTATIONS_BYTES_MAX;
        assert!(check_annotations_size(&annotations(limit)).is_ok());
        assert!(check_annotations_size(&annotations(limit + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in any::<String>()) {
            let _ = (check_label_key(&text), check_label_value(&text), is_reserved(&text));
        }
    }
}
