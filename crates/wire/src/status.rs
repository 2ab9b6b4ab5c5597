//! Refusals as REST tells them: `google.rpc.Status` in JSON.
//!
//! The same facts travel as in gRPC. A client compares `reason` and never the
//! message; a detail that it does not know is no fault.

use std::collections::BTreeMap;
use std::time::Duration;

use palisade_model::reason::DOMAIN;
use palisade_model::refusal::Refusal;
use palisade_model::violation::Violation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an answer that is no success holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The canonical status code, as gRPC numbers it.
    pub code: i32,
    /// One sentence for a person.
    #[serde(default)]
    pub message: String,
    /// Facts for programs.
    #[serde(default)]
    pub details: Vec<Detail>,
}

/// A fact about a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "@type")]
pub enum Detail {
    /// Why, for programs.
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo {
        /// The reason, such as `CWSANDBOX_PROFILE_IN_USE`.
        reason: String,
        /// What the reason belongs to; always `cwsandbox.com`.
        domain: String,
        /// More facts, under keys that depend on the reason.
        #[serde(default)]
        metadata: BTreeMap<String, String>,
    },
    /// Which fields are wrong.
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest")]
    #[serde(rename_all = "camelCase")]
    BadRequest {
        /// All of them.
        field_violations: Vec<FieldViolation>,
    },
    /// When to try again.
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    #[serde(rename_all = "camelCase")]
    RetryInfo {
        /// Seconds with an `s` behind, such as `1.500s`.
        retry_delay: String,
    },
    /// What to quote when asking about the answer.
    #[serde(rename = "type.googleapis.com/google.rpc.RequestInfo")]
    #[serde(rename_all = "camelCase")]
    RequestInfo {
        /// The id under which the server logged the request.
        request_id: String,
    },
    /// A detail that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldViolation {
    /// The path of the field, spelled as in the request.
    pub field: String,
    /// What is wrong with it.
    #[serde(default)]
    pub description: String,
    /// Which kind of rule it breaks, such as `UNKNOWN_FIELD`.
    #[serde(default)]
    pub reason: String,
}

impl Status {
    /// The status that tells of a refusal.
    pub fn new(refusal: &Refusal, request_id: &str) -> Self {
        let Refusal {
            reason,
            code,
            message,
            metadata,
            violations,
            retry_after,
        } = refusal;
        let mut details = vec![Detail::ErrorInfo {
            reason: reason.as_str().to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: metadata.clone(),
        }];
        if !violations.is_empty() {
            let field_violations = violations.iter().map(FieldViolation::from).collect();
            details.push(Detail::BadRequest { field_violations });
        }
        if let Some(wait) = retry_after {
            let retry_delay = format_delay(*wait);
            details.push(Detail::RetryInfo { retry_delay });
        }
        if !request_id.is_empty() {
            let request_id = request_id.to_owned();
            details.push(Detail::RequestInfo { request_id });
        }
        Self {
            code: code.number(),
            message: message.clone(),
            details,
        }
    }

    /// The reason, if it is one of this service.
    pub fn reason(&self) -> Option<&str> {
        self.details.iter().find_map(|detail| match detail {
            Detail::ErrorInfo { reason, domain, .. } if domain == DOMAIN => Some(reason.as_str()),
            Detail::ErrorInfo { .. }
            | Detail::BadRequest { .. }
            | Detail::RetryInfo { .. }
            | Detail::RequestInfo { .. }
            | Detail::Unknown => None,
        })
    }

    /// A fact that goes with the reason.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.details.iter().find_map(|detail| match detail {
            Detail::ErrorInfo { metadata, .. } => metadata.get(key).map(String::as_str),
            Detail::BadRequest { .. }
            | Detail::RetryInfo { .. }
            | Detail::RequestInfo { .. }
            | Detail::Unknown => None,
        })
    }

    /// The fields that are wrong.
    pub fn field_violations(&self) -> &[FieldViolation] {
        self.details
            .iter()
            .find_map(|detail| match detail {
                Detail::BadRequest { field_violations } => Some(field_violations.as_slice()),
                Detail::ErrorInfo { .. }
                | Detail::RetryInfo { .. }
                | Detail::RequestInfo { .. }
                | Detail::Unknown => None,
            })
            .unwrap_or_default()
    }

    /// How long to wait before trying again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.iter().find_map(|detail| match detail {
            Detail::RetryInfo { retry_delay } => parse_delay(retry_delay),
            Detail::ErrorInfo { .. }
            | Detail::BadRequest { .. }
            | Detail::RequestInfo { .. }
            | Detail::Unknown => None,
        })
    }

    /// The id under which the server logged the request.
    pub fn request_id(&self) -> Option<&str> {
        self.details.iter().find_map(|detail| match detail {
            Detail::RequestInfo { request_id } => Some(request_id.as_str()),
            Detail::ErrorInfo { .. }
            | Detail::BadRequest { .. }
            | Detail::RetryInfo { .. }
            | Detail::Unknown => None,
        })
    }
}

impl From<&Violation> for FieldViolation {
    fn from(violation: &Violation) -> Self {
        let Violation {
            path,
            kind,
            description,
        } = violation;
        Self {
            field: path.to_string(),
            description: description.clone(),
            reason: kind.as_str().to_owned(),
        }
    }
}

/// A duration as protobuf spells it in JSON; never zero, which would mean now.
pub(crate) fn format_delay(wait: Duration) -> String {
    let wait = wait.max(Duration::from_millis(1));
    format!("{}.{:03}s", wait.as_secs(), wait.subsec_millis())
}

fn parse_delay(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use palisade_model::reason::Reason;
    use palisade_model::violation::{FieldPath, ViolationKind};
    use serde_json::json;

    use super::*;

    fn refusal() -> Refusal {
        let path = FieldPath::root().key("spec").key("tags").index(1);
        let violation = Violation::new(path, ViolationKind::Duplicate, "is there twice");
        Refusal::invalid(vec![violation])
            .with("profile", "ci")
            .retry_after(Duration::from_millis(1500))
    }

    #[test]
    fn a_status_is_spelled_as_google_spells_it() {
        let status = serde_json::to_value(Status::new(&refusal(), "req-1")).unwrap();
        let expected = json!({
            "code": 3,
            "message": "spec.tags[1] is there twice",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "CWSANDBOX_INVALID_REQUEST",
                    "domain": "cwsandbox.com",
                    "metadata": {"profile": "ci"},
                },
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{
                        "field": "spec.tags[1]",
                        "description": "is there twice",
                        "reason": "DUPLICATE",
                    }],
                },
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": "1.500s",
                },
                {
                    "@type": "type.googleapis.com/google.rpc.RequestInfo",
                    "requestId": "req-1",
                },
            ],
        });
        assert_eq!(status, expected);
    }

    #[test]
    fn a_client_finds_every_fact_again() {
        let text = serde_json::to_string(&Status::new(&refusal(), "req-1")).unwrap();
        let status: Status = serde_json::from_str(&text).unwrap();
        assert_eq!(status.reason(), Some("CWSANDBOX_INVALID_REQUEST"));
        assert_eq!(status.metadata("profile"), Some("ci"));
        assert_eq!(status.field_violations()[0].field, "spec.tags[1]");
        assert_eq!(status.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(status.request_id(), Some("req-1"));
    }

    #[test]
    fn details_that_are_unknown_or_foreign_are_passed_over() {
        let status: Status = serde_json::from_value(json!({
            "code": 5,
            "details": [
                {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "X", "domain": "example.com"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "-1s"},
            ],
        }))
        .unwrap();
        assert_eq!((status.reason(), status.retry_after()), (None, None));
    }

    #[test]
    fn every_reason_has_a_status() {
        for &reason in Reason::ALL {
            let status = Status::new(&Refusal::new(reason, "x"), "");
            assert_eq!(status.reason(), Some(reason.as_str()));
            assert_eq!(status.code, reason.code().number());
        }
    }
}
