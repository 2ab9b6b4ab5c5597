//! The deadline that a client set for its call.
//!
//! The transport applies it to the head of an answer only. A stream must look
//! itself, so that what it holds is let go even if the client never says so.

use tokio::time::{self, Instant};
use tonic::metadata::MetadataMap;

use crate::guard;

/// When the client stops waiting; `None` if it did not say.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    Instant::now().checked_add(guard::deadline(metadata.as_ref())?)
}

/// Waits for the deadline; for ever if there is none.
pub(super) async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
