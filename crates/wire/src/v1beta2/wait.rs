//! How long a start may wait for room.
//!
//! The contract has no field for it. It is a header of the call, or, for clients
//! that set no headers, an annotation, which is taken out and reaches no sandbox.

use std::time::Duration;

use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::proto::v1beta2 as pb;

/// The header, in seconds.
pub const WAIT_HEADER: &str = "x-palisade-wait-seconds";

/// The annotation, in seconds.
pub const WAIT_ANNOTATION: &str = "palisade.dev/wait-seconds";

/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_mins(10);

/// Takes the time to wait out of a request; `None` if it asks for none.
pub fn take_wait(
    header: Option<&[u8]>,
    message: &mut pb::StartSandboxRequest,
) -> Result<Option<Duration>, Refusal> {
    let annotation = message.pod_annotations.remove(WAIT_ANNOTATION);
    let annotated = annotation
        .map(|text| seconds(text.as_bytes(), &["pod_annotations", WAIT_ANNOTATION]))
        .transpose()?;
    let said = header
        .map(|text| seconds(text, &[WAIT_HEADER]))
        .transpose()?;
    let longest = annotated.into_iter().chain(said).max();
    Ok(longest.filter(|wait| !wait.is_zero()))
}

fn seconds(text: &[u8], path: &[&str]) -> Result<Duration, Refusal> {
    let number = std::str::from_utf8(text).ok();
    let number = number.and_then(|text| text.trim().parse::<u64>().ok());
    let wait = number.map(Duration::from_secs);
    wait.filter(|wait| *wait <= WAIT_MAX).ok_or_else(|| {
        let path = path
            .iter()
            .fold(FieldPath::root(), |path, key| path.key(*key));
        let most = WAIT_MAX.as_secs();
        let description = format!("must be a number of seconds from 0 to {most}");
        let violation = Violation::new(path, ViolationKind::Invalid, description);
        Refusal::invalid(vec![violation])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(text: &str) -> pb::StartSandboxRequest {
        let annotations = [(WAIT_ANNOTATION, text), ("other", "kept")];
        let annotations = annotations.map(|(key, text)| (key.to_owned(), text.to_owned()));
        pb::StartSandboxRequest {
            pod_annotations: annotations.into(),
            ..Default::default()
        }
    }

    #[test]
    fn without_a_word_nothing_waits() {
        let mut message = pb::StartSandboxRequest::default();
        assert_eq!(take_wait(None, &mut message).unwrap(), None);
        assert_eq!(take_wait(Some(b"0"), &mut message).unwrap(), None);
    }

    #[test]
    fn the_annotation_says_how_long_and_reaches_no_sandbox() {
        let mut message = annotated("30");
        let wait = take_wait(None, &mut message).unwrap();
        assert_eq!(wait, Some(Duration::from_secs(30)));
        let left: Vec<_> = message.pod_annotations.keys().collect();
        assert_eq!(left, ["other"]);
    }

    #[test]
    fn of_header_and_annotation_the_longer_counts() {
        let wait = take_wait(Some(b"5"), &mut annotated("30")).unwrap();
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_is_no_time_is_refused_where_it_stands() {
        for text in ["soon", "-1", "601", "1.5", ""] {
            let refusal = take_wait(None, &mut annotated(text)).unwrap_err();
            let path = refusal.violations[0].path.to_string();
            assert!(path.contains("wait-seconds"), "{path}");
        }
        let mut message = pb::StartSandboxRequest::default();
        let refusal = take_wait(Some(b"\xff"), &mut message).unwrap_err();
        let path = refusal.violations[0].path.to_string();
        assert!(path.contains(WAIT_HEADER), "{path}");
    }
}
