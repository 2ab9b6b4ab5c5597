//! What one failed call tells its caller, and what it tells us.
//!
//! The public half is a [`Refusal`]. The cause goes to the log with the id of
//! the request and has no way to the caller, which is why there is no
//! `Display` here.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use palisade_backend::{AttachError, FileError};
use palisade_model::reason::{Code, Reason};
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_secrets::Failure;
use palisade_store::Fault;

/// How long to wait when a runner is away.
const RETRY: Duration = Duration::from_secs(1);

/// Why a call did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    /// Shown to the caller.
    pub(crate) refusal: Refusal,
    /// Logged; never sent.
    pub(crate) cause: Option<Arc<dyn Error + Send + Sync>>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A field of a request does not hold what it may hold.
pub(crate) fn invalid(field: &str, description: impl Into<String>) -> ApiError {
    let path = FieldPath::root().key(field);
    let violation = Violation::new(path, ViolationKind::Invalid, description);
    Refusal::invalid(vec![violation]).into()
}

impl ApiError {
    /// A fault of ours.
    pub(crate) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..Refusal::internal().into()
        }
    }

    /// The texts of the cause and of all that lies behind it, for the log.
    pub(crate) fn chain(&self) -> Option<String> {
        let cause = self.cause.as_ref()?;
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Some(text)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            cause: None,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let Failure { refusal, cause } = failure;
        Self { refusal, cause }
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

/// The runner of a sandbox cannot be reached.
pub(crate) fn runner_unavailable(runner: &str) -> ApiError {
    Refusal::new(
        Reason::RunnerUnavailable,
        format!("runner {runner} is not connected for now; the sandbox is not lost"),
    )
    .with("runner_id", runner)
    .retry_after(RETRY)
    .into()
}

/// What a client is told when a sandbox could not be talked to.
///
/// `operation` is `read` or `write` where it is about a file.
pub(crate) fn attach_refusal(error: AttachError, operation: &'static str) -> Refusal {
    let text = error.to_string();
    match error {
        AttachError::NotFound | AttachError::NotRunning => {
            Refusal::new(Reason::SandboxNotRunning, text)
        }
        AttachError::Busy { .. } => Refusal::new(Reason::Overloaded, text).retry_after(RETRY),
        AttachError::ExecFailed { .. } => Refusal::new(Reason::ExecFailed, text),
        AttachError::LogGap { first_kept } => {
            Refusal::new(Reason::ResourceNotFound, text).with("first_kept", first_kept.to_string())
        }
        AttachError::LogOffset { end } => {
            Refusal::new(Reason::InvalidRequest, text).with("end", end.to_string())
        }
        AttachError::PortClosed { port } => {
            Refusal::new(Reason::PortClosed, text).with("port", port.to_string())
        }
        AttachError::TunnelFailed { .. } => Refusal::new(Reason::TunnelFailed, text),
        AttachError::FileSystem { .. } => Refusal::new(Reason::FssCreateFailed, text),
        AttachError::Draining => Refusal::new(Reason::RunnerUnavailable, text).retry_after(RETRY),
        AttachError::Lost => Refusal::new(
            Reason::RunnerUnavailable,
            "the connection to the sandbox was lost; what was asked may have happened",
        )
        .retry_after(RETRY),
        AttachError::File { path, error } => file_refusal(&path, &error, text, operation),
    }
}

fn file_refusal(path: &str, error: &FileError, text: String, operation: &str) -> Refusal {
    let refusal = match error {
        FileError::NotFound => Refusal::new(Reason::FileNotFound, text),
        FileError::IsDirectory => Refusal::new(Reason::FileIsDirectory, text),
        FileError::PermissionDenied => Refusal::new(Reason::FilePermissionDenied, text),
        // Nothing failed: it is what lies there that is in the way.
        FileError::BadPath => {
            Refusal::new(Reason::FileIoFailed, text).with_code(Code::FailedPrecondition)
        }
        FileError::Io { .. } => Refusal::new(Reason::FileIoFailed, text),
        FileError::TooLarge {
            size_bytes,
            bytes_max,
        } => Refusal::new(Reason::FileTooLarge, text)
            .with("size_bytes", size_bytes.to_string())
            .with("max_size_bytes", bytes_max.to_string()),
    };
    refusal.with("filepath", path).with("operation", operation)
}
