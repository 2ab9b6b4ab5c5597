//! What was refused to sandboxes, told once.
//!
//! A connection begins with everything that there is, and says of a sandbox again
//! only when more was refused to it.

use std::collections::BTreeMap;

use palisade_backend::Backend;
use palisade_model::denial::Denials;
use palisade_model::id::SandboxId;
use palisade_wire::proto::runner_v1 as pb;
use palisade_wire::runner::denials_message;

/// What one connection has said.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<SandboxId, Denials>);

impl Told {
    /// Looks at every sandbox, and returns what is new.
    pub(crate) async fn news(
        &mut self,
        backend: &dyn Backend,
        ids: &[SandboxId],
    ) -> Vec<pb::Denials> {
        let mut news = Vec::new();
        let mut seen = BTreeMap::new();
        for id in ids {
            let Some(denials) = backend.denials(*id).await else {
                continue;
            };
            if !denials.is_empty() && self.0.get(id) != Some(&denials) {
                news.push(denials_message(*id, &denials));
            }
            seen.insert(*id, denials);
        }
        self.0 = seen;
        news
    }
}
