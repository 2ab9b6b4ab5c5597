//! Keeping the policy of a sandbox in step with the nodes of its cluster.
//!
//! A node that comes may have a public address, which is no internet all the same.
//! Until its cluster has told of it, and the policies are written anew, that address
//! is as open as any other.

use std::sync::Arc;

use palisade_model::cidr::Cidr;
use tracing::debug;

use super::Driver;
use crate::api::{self, ApiError};
use crate::manifest;
use crate::sandbox::Seen;

impl Driver {
    /// The ranges of nodes that are closed from now on.
    pub(super) fn nodes(&self) -> Arc<[Cidr]> {
        self.shared.nodes.borrow().clone()
    }

    /// Writes the policy anew if other nodes change anything in it.
    pub(super) async fn renew_policy(&mut self, seen: &Seen) -> Result<(), ApiError> {
        let nodes = self.nodes();
        let is_known = self.closed.as_ref().is_some_and(|closed| *closed == nodes);
        let (false, Some(launch), Some(record)) = (is_known, &seen.launch, &seen.record) else {
            return Ok(());
        };
        let settings = &self.shared.settings;
        let before = self.closed.as_deref().unwrap_or_default();
        let before = manifest::network_policy(launch, settings, before);
        let mut policy = manifest::network_policy(launch, settings, &nodes);
        if policy != before {
            manifest::own(&mut policy, &record.owner);
            api::apply(&self.shared.client, &policy).await?;
            self.failures = 0;
            debug!(sandbox.id = %launch.id, "its policy closes the nodes that there are now");
        }
        self.closed = Some(nodes);
        Ok(())
    }
}
