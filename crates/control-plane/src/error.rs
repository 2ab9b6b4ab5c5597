//! What one failed request tells its caller, and what it tells us.
//!
//! The public half is a [`Refusal`]. The cause goes to the log with the id of
//! the request and has no way to the caller, which is why there is no
//! `Display` here.

use std::error::Error;
use std::sync::Arc;

use axum::http::StatusCode;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::violation::Violation;
use palisade_secrets::Failure;
use palisade_store::Fault;
use palisade_wire::spelling::{Finding, Origin};

/// Why a request did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    /// Shown to the caller.
    pub(crate) refusal: Refusal,
    /// Logged; never sent.
    pub(crate) cause: Option<Arc<dyn Error + Send + Sync>>,
    /// What HTTP says more exactly than the code of the refusal.
    pub(crate) status: Option<StatusCode>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal::new(reason, message).into()
    }

    /// A fault of ours.
    pub(crate) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..Refusal::internal().into()
        }
    }

    /// Fields that are wrong, as a document was read.
    pub(crate) fn invalid(findings: Vec<Finding>) -> Self {
        let violations = findings.into_iter().map(|finding| finding.violation);
        Refusal::invalid(violations.collect()).into()
    }

    /// Fields that are wrong for `reason`, at canonical paths of a document.
    pub(crate) fn fields(reason: Reason, violations: Vec<Violation>, origin: &Origin) -> Self {
        let violations = origin
            .locate_all(violations)
            .into_iter()
            .map(|finding| finding.violation)
            .collect();
        let Refusal {
            message,
            violations,
            ..
        } = Refusal::invalid(violations);
        let refusal = Refusal {
            violations,
            ..Refusal::new(reason, message)
        };
        refusal.into()
    }

    /// A fact for programs.
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.refusal = self.refusal.with(key, value);
        self
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            cause: None,
            status: None,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let Failure { refusal, cause } = failure;
        Self {
            cause,
            ..refusal.into()
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let refusal = fault.refusal();
        Self {
            cause: Some(Arc::new(fault)),
            ..refusal.into()
        }
    }
}
