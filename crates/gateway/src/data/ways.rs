//! What the data plane needs to know of a sandbox: the way to it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use palisade_backend::Attach;
use palisade_model::tenant::Principal;

use crate::access::{Access, Reached, Whereabouts};
use crate::error::ApiResult;

/// The way to a sandbox.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Which sandbox it is, and what was known of it a moment ago.
    pub(super) at: Whereabouts,
    /// Talks to its runner.
    pub(super) attach: Arc<dyn Attach>,
}

/// Finds ways to sandboxes.
///
/// # Contract
///
/// * Only a sandbox of the caller's organization is found; any other is refused
///   like one that does not exist.
/// * A sandbox that is not in a state for what is wanted is refused.
#[async_trait]
pub(super) trait Ways: Debug + Send + Sync + 'static {
    /// To a sandbox that runs, for commands and files.
    async fn running(&self, caller: &Principal, id: &str) -> ApiResult<Way>;

    /// To a sandbox in any state, for logs.
    async fn logged(&self, caller: &Principal, id: &str) -> ApiResult<Way>;
}

#[async_trait]
impl Ways for Access {
    async fn running(&self, caller: &Principal, id: &str) -> ApiResult<Way> {
        self.running(caller, id).await.map(Way::from)
    }

    async fn logged(&self, caller: &Principal, id: &str) -> ApiResult<Way> {
        self.logged(caller, id).await.map(Way::from)
    }
}

impl From<Reached> for Way {
    fn from(reached: Reached) -> Self {
        let Reached { sandbox, attach } = reached;
        Self {
            at: Whereabouts::of(&sandbox),
            attach,
        }
    }
}
