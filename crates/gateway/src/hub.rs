//! The runners that are connected, and ways to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use palisade_backend::Attach;
use palisade_model::id::RunnerUid;

/// Finds connected runners. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub {
    ways: Arc<Mutex<HashMap<RunnerUid, Arc<dyn Attach>>>>,
}

impl Hub {
    /// Talks to sandboxes on a runner; `None` if it is not connected.
    pub(crate) fn attach_to(&self, runner: RunnerUid) -> Option<Arc<dyn Attach>> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.get(&runner).cloned()
    }
}
