//! Why a call did not succeed.

use std::error::Error;
use std::time::Duration;

use palisade_model::reason::Code;
use palisade_wire::status::{FieldViolation, Status};

use crate::certificate::BadCertificate;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server refused, and said why.
    #[error("{}", .0.message())]
    Refused(Box<Refused>),
    /// Nothing can have this name; nothing was sent.
    #[error("nothing can have the name {text:?}")]
    NotAName {
        /// The text.
        text: String,
    },
    /// The server could not be reached.
    #[error("the server {server} cannot be reached")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stream was cut before its end.
    #[error("the connection to the server {server} was lost: {what}")]
    Lost {
        /// The server.
        server: String,
        /// What was said last.
        what: String,
    },
    /// The server took too long; a change may have been made all the same.
    #[error("the server {server} did not answer in time")]
    TimedOut {
        /// The server.
        server: String,
    },
    /// What answered is not this service, or not one that we understand.
    #[error("what answers at {server} is not a Palisade server: {what}")]
    NotUnderstood {
        /// The server.
        server: String,
        /// What is odd about its answer.
        what: String,
    },
}

impl CallError {
    /// Why the certificate of the server is not believed, if that is why it cannot be
    /// reached.
    pub fn bad_certificate(&self) -> Option<BadCertificate> {
        match self {
            Self::Unreachable { source, .. } => BadCertificate::among(source.as_ref()),
            Self::Refused(_)
            | Self::NotAName { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::NotUnderstood { .. } => None,
        }
    }
}

/// What a server said when it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    http_status: u16,
    status: Status,
}

impl Refused {
    pub(crate) fn new(http_status: u16, status: Status) -> Self {
        Self {
            http_status,
            status,
        }
    }

    /// A refusal that came over gRPC; its status of HTTP is the one that goes
    /// with its code.
    pub(crate) fn over_grpc(status: Status) -> Self {
        let mut refused = Self::new(500, status);
        if let Some(code) = refused.code() {
            refused.http_status = code.http_status();
        }
        refused
    }

    /// The status of HTTP.
    pub fn http_status(&self) -> u16 {
        self.http_status
    }

    /// The canonical code, if it is one that this service gives.
    pub fn code(&self) -> Option<Code> {
        const CODES: [Code; 12] = [
            Code::InvalidArgument,
            Code::DeadlineExceeded,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::Unauthenticated,
        ];
        CODES
            .into_iter()
            .find(|code| code.number() == self.status.code)
    }

    /// The reason, such as `CWSANDBOX_PROFILE_IN_USE`.
    pub fn reason(&self) -> Option<&str> {
        self.status.reason()
    }

    /// One sentence for a person.
    pub fn message(&self) -> &str {
        &self.status.message
    }

    /// A fact that goes with the reason.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.status.metadata(key)
    }

    /// The fields that are wrong.
    pub fn violations(&self) -> &[FieldViolation] {
        self.status.field_violations()
    }

    /// How long to wait before trying again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status.retry_after()
    }

    /// The id under which the server logged the request.
    pub fn request_id(&self) -> Option<&str> {
        self.status.request_id()
    }
}
