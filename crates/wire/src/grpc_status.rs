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

use crate::status::Detail;

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
            reason: String::new(),
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
        assert_eq!(grpc.field_violations()[0].description, "is wrong");
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
