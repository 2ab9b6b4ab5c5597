//! Refusals as gRPC statuses, with the details that clients parse.
//!
//! A status carries `ErrorInfo` always, `BadRequest` when fields are wrong and
//! `RetryInfo` when waiting may help. What went wrong inside has no way in here.
//!
//! Many clients read at most 8 KiB of headers, of which the message takes a part
//! twice, once with every space in three bytes and once in base64. A status that
//! is larger never arrives: its client is told of a limit of its own instead.
//! Invariant: whatever is refused, its status fits.

use std::collections::HashMap;
use std::time::Duration;

use palisade_model::reason::{Code, DOMAIN};
use palisade_model::refusal::Refusal;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::status::Detail;

/// The longest path and the longest description of a violation, in bytes.
const VIOLATION_BYTES_MAX: usize = 256;
/// What the headers of a status may count, with what a client adds for each.
const HEADERS_BYTES_MAX: usize = 8 * 1024 - OTHER_HEADERS_BYTES;
/// What the date and the longest name of a call count.
const OTHER_HEADERS_BYTES: usize = 256;
/// What a client counts for each header beside its texts.
const HEADER_COST_BYTES: usize = 32;
/// The fact that says how many violations were left out.
const OMITTED: &str = "field_violations_omitted";

/// How much of a refusal is told.
#[derive(Clone, Copy, Debug)]
struct Share {
    message_bytes: usize,
    violations: usize,
    /// A fact that is longer is left out: a part of it would be another one.
    fact_bytes: usize,
}

/// From all of it down to what always fits. A path, the longest fact of a single
/// thing, is the last to go.
const SHARES: [Share; 5] = [
    share(usize::MAX, 32, usize::MAX),
    share(512, 32, usize::MAX),
    share(256, 8, usize::MAX),
    share(256, 4, 1_024),
    share(128, 1, 128),
];

const fn share(message_bytes: usize, violations: usize, fact_bytes: usize) -> Share {
    Share {
        message_bytes,
        violations,
        fact_bytes,
    }
}

/// The status that tells a client of this refusal.
pub fn status(refusal: &Refusal, request_id: &str) -> Status {
    let [all, less @ ..] = SHARES;
    let mut told = in_share(refusal, request_id, all);
    for share in less {
        if header_bytes(&told) <= HEADERS_BYTES_MAX {
            break;
        }
        told = in_share(refusal, request_id, share);
    }
    told
}

fn in_share(refusal: &Refusal, request_id: &str, share: Share) -> Status {
    let violations = field_violations(refusal, share.violations);
    let facts = refusal.metadata.iter();
    let facts = facts.filter(|(_, fact)| fact.len() <= share.fact_bytes);
    let mut metadata: HashMap<String, String> = facts
        .map(|(key, fact)| (key.clone(), fact.clone()))
        .collect();
    let omitted = refusal.violations.len() - violations.len();
    if omitted > 0 {
        metadata.insert(OMITTED.to_owned(), omitted.to_string());
    }
    let mut details = ErrorDetails::with_error_info(refusal.reason.as_str(), DOMAIN, metadata);
    if !violations.is_empty() {
        details.set_bad_request(violations);
    }
    if let Some(wait) = refusal.retry_after {
        details.set_retry_info(Some(wait.max(Duration::from_millis(1))));
    }
    if !request_id.is_empty() {
        details.set_request_info(request_id, "");
    }
    let message = cut(&refusal.message, share.message_bytes);
    Status::with_error_details(grpc_code(refusal.code), message, details)
}

fn header_bytes(status: &Status) -> usize {
    let sent = status.clone().into_http::<()>();
    let headers = sent.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len() + HEADER_COST_BYTES)
        .sum()
}

/// What a client reads out of a status, in the form that REST has.
pub fn read(status: &Status) -> crate::status::Status {
    let found = status.get_error_details();
    let mut details = Vec::new();
    if let Some(info) = found.error_info() {
        details.push(Detail::ErrorInfo {
            reason: info.reason.clone(),
            domain: info.domain.clone(),
            metadata: info.metadata.clone().into_iter().collect(),
        });
    }
    if let Some(bad) = found.bad_request() {
        let violations = bad.field_violations.iter();
        let field_violations = violations.map(|violation| crate::status::FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
            reason: violation.reason.clone(),
        });
        details.push(Detail::BadRequest {
            field_violations: field_violations.collect(),
        });
    }
    if let Some(wait) = found.retry_info().and_then(|info| info.retry_delay) {
        let retry_delay = crate::status::format_delay(wait);
        details.push(Detail::RetryInfo { retry_delay });
    }
    if let Some(info) = found.request_info() {
        let request_id = info.request_id.clone();
        details.push(Detail::RequestInfo { request_id });
    }
    crate::status::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details,
    }
}

fn field_violations(refusal: &Refusal, violations_max: usize) -> Vec<FieldViolation> {
    let told = refusal.violations.iter().take(violations_max);
    told.map(|violation| FieldViolation {
        field: cut(&violation.path.to_string(), VIOLATION_BYTES_MAX),
        description: cut(&violation.description, VIOLATION_BYTES_MAX),
        reason: violation.kind.as_str().to_owned(),
        localized_message: None,
    })
    .collect()
}

/// The text, or a start of it that says that there was more.
fn cut(text: &str, bytes_max: usize) -> String {
    const MORE: &str = "...";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max - MORE.len());
    format!("{}{MORE}", &text[..end])
}

fn grpc_code(code: Code) -> tonic::Code {
    tonic::Code::from_i32(code.number())
}

#[cfg(test)]
mod tests {
    use palisade_model::reason::Reason;
    use palisade_model::violation::{FieldPath, Violation, ViolationKind};

    use super::*;

    #[test]
    fn a_client_reads_reason_domain_and_metadata() {
        let refusal = Refusal::new(Reason::FileNotFound, "no file at /x").with("filepath", "/x");
        let status = status(&refusal, "req-1");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(status.code(), tonic::Code::NotFound);
        assert_eq!(info.reason, "CWSANDBOX_FILE_NOT_FOUND");
        assert_eq!(info.domain, "cwsandbox.com");
        assert_eq!(info.metadata["filepath"], "/x");
        assert_eq!(details.request_info().unwrap().request_id, "req-1");
    }

    #[test]
    fn a_client_reads_how_long_to_wait() {
        let refusal = Refusal::new(Reason::Overloaded, "busy").retry_after(Duration::from_secs(2));
        let details = status(&refusal, "").get_error_details();
        assert_eq!(
            details.retry_info().unwrap().retry_delay,
            Some(Duration::from_secs(2))
        );
    }

    fn fits(refusal: &Refusal) -> Status {
        let status = status(refusal, &"r".repeat(128));
        assert!(header_bytes(&status) <= HEADERS_BYTES_MAX, "{status:?}");
        status
    }

    fn violation(field: &str, description: &str) -> Violation {
        let path = FieldPath::root().key(field);
        Violation::new(path, ViolationKind::Invalid, description)
    }

    #[test]
    fn many_long_violations_are_cut_to_fit_and_counted() {
        let wrong = violation(&"\u{1F600}".repeat(100_000), &"ü ".repeat(100_000));
        let status = fits(&Refusal::invalid(vec![wrong; 1_000]));
        let details = status.get_error_details();
        let told = &details.bad_request().unwrap().field_violations;
        assert!(told.iter().all(|one| one.field.ends_with("...")));
        let omitted = &details.error_info().unwrap().metadata[OMITTED];
        assert_eq!(told.len() + omitted.parse::<usize>().unwrap(), 1_000);
    }

    #[test]
    fn the_longest_path_of_a_file_is_told_whole() {
        let path = format!("/{}", "ü".repeat(2_047));
        let refusal = Refusal::new(Reason::FileNotFound, format!("{path}: no such file"));
        let status = fits(&refusal.with("filepath", path.clone()));
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["filepath"], path);
        assert!(status.message().ends_with("..."), "{}", status.message());
    }

    #[test]
    fn a_refusal_that_fits_is_told_whole() {
        let path = "p".repeat(1_000);
        let refusal = Refusal::new(Reason::FileNotFound, format!("no file at {path}"));
        let status = fits(&refusal.with("filepath", path));
        assert_eq!(status.message().len(), "no file at ".len() + 1_000);
    }

    proptest::proptest! {
        #[test]
        fn every_refusal_fits(
            unit in proptest::sample::select(vec!["a", " ", "ü", "\u{1F600}", "\0"]),
            lengths in proptest::collection::vec(0_usize..9_000, 1..9),
            violations in 0_usize..60,
        ) {
            let texts: Vec<_> = lengths.iter().map(|length| unit.repeat(*length)).collect();
            let wrong = violation(&texts[0], &texts[texts.len() - 1]);
            let mut refusal = Refusal::invalid(vec![wrong; violations]);
            refusal.message.clone_from(&texts[0]);
            let facts = texts.iter().enumerate();
            refusal.metadata = facts.map(|(at, text)| (format!("fact_{at}"), text.clone())).collect();
            fits(&refusal);
        }
    }

    #[test]
    fn a_client_reads_the_same_on_both_protocols() {
        let path = FieldPath::root().key("tags");
        let violation = Violation::new(path, ViolationKind::Invalid, "is wrong");
        let refusal = Refusal::invalid(vec![violation])
            .with("profile", "ci")
            .retry_after(Duration::from_millis(1500));
        let rest = crate::status::Status::new(&refusal, "req-1");
        let grpc = read(&status(&refusal, "req-1"));
        assert_eq!((grpc.code, &grpc.message), (rest.code, &rest.message));
        assert_eq!(grpc.reason(), rest.reason());
        assert_eq!(grpc.metadata("profile"), Some("ci"));
        assert_eq!(grpc.field_violations(), rest.field_violations());
        assert_eq!(grpc.retry_after(), rest.retry_after());
        assert_eq!(grpc.request_id(), Some("req-1"));
    }

    #[test]
    fn every_reason_has_the_status_of_its_code() {
        for reason in Reason::ALL {
            let status = status(&Refusal::new(*reason, "x"), "");
            assert_eq!(status.code() as i32, reason.code().number());
        }
    }
}
