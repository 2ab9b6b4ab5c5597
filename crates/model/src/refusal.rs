//! A request that is answered with no.
//!
//! This is the public half of an error: everything here may be shown to the
//! caller. What went wrong inside travels beside it and never in it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::reason::{Code, Reason};
use crate::violation::Violation;

/// Why a request was refused, in a form that every protocol can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The machine-readable reason.
    pub reason: Reason,
    /// The status, when it differs from the usual one of the reason.
    pub code: Code,
    /// One sentence on which a person can act.
    pub message: String,
    /// Facts for programs, under stable keys.
    pub metadata: BTreeMap<String, String>,
    /// The fields that are wrong, if it was fields.
    pub violations: Vec<Violation>,
    /// How long to wait before the same request may succeed.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal for `reason`, with the status that the reason fixes.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: reason.code(),
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// A fault of the server's own. What it was is for the log.
    pub fn internal() -> Self {
        Self::new(
            Reason::Internal,
            "the server failed; its log knows more under the id of this request",
        )
    }

    /// A refusal of a request with fields that break rules.
    ///
    /// The message names the first and counts the others.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [] => "the request is invalid".to_owned(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        };
        Self {
            violations,
            ..Self::new(Reason::InvalidRequest, message)
        }
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Gives it another status than its reason has by itself.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
