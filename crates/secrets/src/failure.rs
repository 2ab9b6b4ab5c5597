//! Why something about secrets did not succeed: what the caller is told, and
//! what the log is told. Neither holds a value.

use std::error::Error;
use std::sync::Arc;

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_store::Fault;

/// One failure. It has no `Display`: it would be too easy to send the cause.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For the caller.
    pub refusal: Refusal,
    /// For the log.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal::new(reason, message).into()
    }

    /// The server cannot read or keep secrets as it is set up.
    pub(crate) fn not_provisioned(
        message: impl Into<String>,
        cause: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            cause: Some(Arc::new(cause)),
            ..Self::new(Reason::SecretStoreNotProvisioned, message)
        }
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn may_retry(&self) -> bool {
        self.refusal.reason.may_retry()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            cause: None,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            refusal: fault.refusal(),
            cause: Some(Arc::new(fault)),
        }
    }
}
