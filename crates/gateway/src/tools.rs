//! What every part of the gateway works with.

use std::sync::Arc;

use palisade_model::clock::{Clock, Ids, Timestamp};
use palisade_secrets::Secrets;
use palisade_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::GatewayConfig;

/// The seams and the owner of tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) secrets: Secrets,
    /// Every task of the gateway is spawned here.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the gateway ends.
    pub(crate) stop: CancellationToken,
}

impl Tools {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
