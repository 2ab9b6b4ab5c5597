//! What was refused to sandboxes, told once.
//!
//! A connection begins with everything that there is, and says of a sandbox again
//! only when more was refused to it.

use std::collections::BTreeMap;

use palisade_backend::Backend;
use palisade_model::denial::Denials;
use palisade_model::id::SandboxId;

mod journal;
mod totals;

pub(crate) use journal::Journal;
pub use totals::{Refusals, Refused};

/// What one connection has said.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<SandboxId, Extent>);

/// How much was refused. Instants are not compared: they are worked out anew each
/// time, and differ by a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    packets: u64,
    incoming: u64,
    questions: u64,
    seen: u64,
}

impl Extent {
    fn of(denials: &Denials) -> Self {
        let times = denials.recent.iter().map(|flow| u64::from(flow.times));
        Self {
            packets: denials.packets,
            incoming: denials.incoming,
            questions: denials.questions,
            seen: times.sum(),
        }
    }
}

impl Told {
    /// Looks at every sandbox, and returns what is new.
    pub(crate) async fn news(
        &mut self,
        backend: &dyn Backend,
        ids: &[SandboxId],
    ) -> Vec<(SandboxId, Denials)> {
        let mut news = Vec::new();
        let mut seen = BTreeMap::new();
        for id in ids {
            let Some(denials) = backend.denials(*id).await else {
                continue;
            };
            let extent = Extent::of(&denials);
            if !denials.is_empty() && self.0.get(id) != Some(&extent) {
                news.push((*id, denials));
            }
            seen.insert(*id, extent);
        }
        self.0 = seen;
        news
    }
}
