//! By what a repeated start is known.
//!
//! The contract has no field for it. It is a header of the call, or, for clients
//! that set no headers, an annotation, which is taken out and reaches no sandbox.
//! What is asked for has a digest, so that a key is never taken for another start.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use palisade_model::refusal::Refusal;
use palisade_model::sandbox::StartKey;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::proto::v1beta2 as pb;

/// The header that holds the key.
pub const KEY_HEADER: &str = "x-palisade-idempotency-key";

/// The annotation that holds the key.
pub const KEY_ANNOTATION: &str = "palisade.dev/idempotency-key";

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// Takes the key out of a request; `None` if it has none.
///
/// What else is no part of what is asked for must be taken out before.
pub fn take_key(
    header: Option<&[u8]>,
    message: &mut pb::StartSandboxRequest,
) -> Result<Option<StartKey>, Refusal> {
    let annotation = message.pod_annotations.remove(KEY_ANNOTATION);
    let in_annotation = ["pod_annotations", KEY_ANNOTATION];
    let annotated = annotation
        .map(|text| checked(text.into_bytes(), &in_annotation))
        .transpose()?;
    let said = header
        .map(|text| checked(text.to_vec(), &[KEY_HEADER]))
        .transpose()?;
    if let (Some(annotated), Some(said)) = (&annotated, &said)
        && annotated != said
    {
        let text = "is another one than that of the header";
        return Err(wrong(&in_annotation, ViolationKind::Conflict, text));
    }
    let key = annotated.or(said);
    Ok(key.map(|key| StartKey {
        key,
        digest: digest(message),
    }))
}

fn checked(text: Vec<u8>, path: &[&str]) -> Result<String, Refusal> {
    let key = String::from_utf8(text).ok().filter(|key| {
        (1..=KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
    });
    key.ok_or_else(|| {
        let text = format!("must have 1 to {KEY_BYTES_MAX} bytes and no control characters");
        wrong(path, ViolationKind::Invalid, text)
    })
}

fn wrong(path: &[&str], kind: ViolationKind, text: impl Into<String>) -> Refusal {
    let path = path
        .iter()
        .fold(FieldPath::root(), |path, key| path.key(*key));
    Refusal::invalid(vec![Violation::new(path, kind, text)])
}

/// The same for equal requests, whoever wrote them: maps have no order on the wire, and
/// how long a client waits this time is no part of what it asks for.
fn digest(message: &mut pb::StartSandboxRequest) -> [u8; 32] {
    let seconds = mem::take(&mut message.max_timeout_seconds);
    let environment = mem::take(&mut message.environment_variables);
    let annotations = mem::take(&mut message.pod_annotations);
    let mut hasher = Sha256::new();
    add(&mut hasher, &message.encode_to_vec());
    add_map(&mut hasher, &environment);
    add_map(&mut hasher, &annotations);
    message.max_timeout_seconds = seconds;
    message.environment_variables = environment;
    message.pod_annotations = annotations;
    hasher.finalize().into()
}

fn add_map(hasher: &mut Sha256, map: &HashMap<String, String>) {
    let sorted: BTreeMap<_, _> = map.iter().collect();
    hasher.update((sorted.len() as u64).to_be_bytes());
    for (key, value) in sorted {
        add(hasher, key.as_bytes());
        add(hasher, value.as_bytes());
    }
}

/// With the length in front, so that no two things read alike.
fn add(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str, variables: &[(&str, &str)]) -> pb::StartSandboxRequest {
        let variables = variables.iter();
        pb::StartSandboxRequest {
            command: "sleep".to_owned(),
            environment_variables: variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            pod_annotations: [(KEY_ANNOTATION.to_owned(), key.to_owned())].into(),
            ..Default::default()
        }
    }

    fn taken(message: &mut pb::StartSandboxRequest) -> StartKey {
        take_key(None, message).unwrap().unwrap()
    }

    #[test]
    fn without_a_word_there_is_no_key() {
        let mut message = pb::StartSandboxRequest::default();
        assert_eq!(take_key(None, &mut message), Ok(None));
    }

    #[test]
    fn the_key_reaches_no_sandbox_and_the_rest_stays_as_it_was() {
        let mut message = keyed("k", &[("A", "1")]);
        assert_eq!(taken(&mut message).key, "k");
        assert!(message.pod_annotations.is_empty());
        assert_eq!(message.environment_variables["A"], "1");
        let said = take_key(Some(b"k"), &mut message).unwrap().unwrap();
        assert_eq!(
            said.digest,
            taken(&mut keyed("other", &[("A", "1")])).digest
        );
    }

    #[test]
    fn equal_requests_have_one_digest_and_others_another() {
        let variables = [("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")];
        let mut backwards = variables;
        backwards.reverse();
        let digest = |variables: &[_]| taken(&mut keyed("k", variables)).digest;
        assert_eq!(digest(&variables), digest(&backwards));
        assert_ne!(digest(&[("A", "1B")]), digest(&[("A1", "B")]));
        assert_ne!(digest(&variables), digest(&variables[1..]));
    }

    #[test]
    fn how_long_a_client_waits_is_no_part_of_what_it_asks_for() {
        let mut hasty = keyed("k", &[]);
        hasty.max_timeout_seconds = 7;
        assert_eq!(taken(&mut hasty), taken(&mut keyed("k", &[])));
        assert_eq!(hasty.max_timeout_seconds, 7);
    }

    #[test]
    fn what_is_no_key_is_refused_where_it_stands() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for text in ["", "a\nb", &long] {
            let refusal = take_key(None, &mut keyed(text, &[])).unwrap_err();
            assert!(
                refusal.violations[0]
                    .path
                    .to_string()
                    .contains(KEY_ANNOTATION)
            );
        }
        assert!(take_key(Some(b"\xff"), &mut pb::StartSandboxRequest::default()).is_err());
        let two = take_key(Some(b"other"), &mut keyed("k", &[])).unwrap_err();
        assert_eq!(two.violations[0].kind, ViolationKind::Conflict);
    }
}
