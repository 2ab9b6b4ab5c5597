//! How the store itself can fail, whatever was asked of it.
//!
//! What a request did wrong is told by the error of its own operation. The
//! texts here may be logged; none of them holds SQL or a stored value.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;

/// How long to wait before the store may be there again.
const RETRY: Duration = Duration::from_secs(1);

/// What lies behind a [`Fault`], for the log. Shared, since one failed commit
/// can be the answer to several calls.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// The store could not do its work. It says nothing about the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Trying again can help. The call may have taken effect, as a whole.
    #[error("the store is not available for now")]
    Unavailable(#[source] Cause),
    /// Trying again does not help: a person must look at the database.
    #[error("a record of the store is damaged or was written by a newer version")]
    Damaged(#[source] Cause),
}

impl Fault {
    /// Whether the same call may succeed later.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Damaged(_) => false,
        }
    }

    /// What a caller is told of it, which is nothing of its cause.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unavailable(_) => Refusal::new(
                Reason::BackendUnavailable,
                "the store is not available for now; try again in a moment",
            )
            .retry_after(RETRY),
            Self::Damaged(_) => Refusal::internal(),
        }
    }
}

/// Why one thing could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetError {
    /// There is none, or it belongs to another organization.
    #[error("there is no such thing in the organization")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
