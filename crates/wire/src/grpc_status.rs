//! Refusals as gRPC statuses, with the details that clients parse.
//!
//! A status carries `ErrorInfo` always, `BadRequest` when fields are wrong and
//! `RetryInfo` when waiting may help. What travels is cut to fit the trailer
//! that clients accept; what went wrong inside has no way in here.

use std::collections::HashMap;
use std::time::Duration;

use palisade_model::reason::{Code, DOMAIN};
use palisade_model::refusal::Refusal;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The most field violations that travel; clients have small header tables.
const FIELD_VIOLATIONS_MAX: usize = 32;
/// The longest description of a violation, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 256;

/// The status that tells a client of this refusal.
pub fn status(refusal: &Refusal, request_id: &str) -> Status {
    let metadata: HashMap<String, String> = refusal.metadata.clone().into_iter().collect();
    let mut details = ErrorDetails::with_error_info(refusal.reason.as_str(), DOMAIN, metadata);
    if !refusal.violations.is_empty() {
        details.set_bad_request(field_violations(refusal));
    }
    if let Some(wait) = refusal.retry_after {
        details.set_retry_info(Some(wait.max(Duration::from_millis(1))));
    }
    if !request_id.is_empty() {
        details.set_request_info(request_id, "");
    }
    Status::with_error_details(grpc_code(refusal.code), refusal.message.clone(), details)
}

fn field_violations(refusal: &Refusal) -> Vec<FieldViolation> {
    refusal
        .violations
        .iter()
        .take(FIELD_VIOLATIONS_MAX)
        .map(|violation| {
            let description = cut(&violation.description, DESCRIPTION_BYTES_MAX);
            FieldViolation::new(violation.path.to_string(), description)
        })
        .collect()
}

/// The longest start of `text` within `bytes_max` that is still text.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
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

    #[test]
    fn many_long_violations_are_cut_to_fit_the_trailer() {
        let violation = Violation::new(
            FieldPath::root().key("tags"),
            ViolationKind::Invalid,
            "ü".repeat(1_000),
        );
        let status = status(&Refusal::invalid(vec![violation; 1_000]), "");
        assert!(status.details().len() < 16 * 1024);
    }

    #[test]
    fn every_reason_has_the_status_of_its_code() {
        for reason in Reason::ALL {
            let status = status(&Refusal::new(*reason, "x"), "");
            assert_eq!(status.code() as i32, reason.code().number());
        }
    }
}
