//! Lines in the log about flows that were refused.
//!
//! A sandbox decides how much is refused to it, so the lines are few however much
//! that is: some of one sandbox, and some in all, each time that is looked. What
//! is left out is counted in a line of its own. A flow is logged when it is first
//! seen, also if the runner connects anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use palisade_model::denial::{Denials, DeniedFlow};
use palisade_model::id::SandboxId;
use tracing::info;

/// How many flows of one sandbox are logged at a time.
const OF_ONE_MAX: usize = 3;
/// How many of all sandboxes.
const OF_ALL_MAX: usize = 20;

/// Remembers what was logged of the sandboxes that there are.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<BTreeMap<SandboxId, Vec<DeniedFlow>>>);

/// What is logged at a time.
#[derive(Debug, PartialEq, Eq)]
struct Entries<'a> {
    lines: Vec<(SandboxId, &'a Denials, &'a DeniedFlow)>,
    left_out: usize,
}

impl Journal {
    /// Logs what is new, and forgets sandboxes that are not among `ids`.
    pub(crate) fn enter(&self, ids: &[SandboxId], news: &[(SandboxId, Denials)]) {
        let Entries { lines, left_out } = self.entries(ids, news);
        for (id, denials, flow) in lines {
            info!(
                sandbox.id = %id,
                profile.id = %denials.profile,
                egress.mode = %denials.mode,
                flow.direction = flow.direction.as_str(),
                flow.protocol = flow.protocol,
                flow.source = %flow.source,
                flow.source_port = flow.source_port,
                flow.destination = %flow.destination,
                flow.destination_port = flow.destination_port,
                refused.packets = denials.packets,
                "refused a flow of a sandbox"
            );
        }
        if left_out > 0 {
            info!(
                flows = left_out,
                "refused more flows of sandboxes than are logged one by one"
            );
        }
    }

    fn entries<'a>(&self, ids: &[SandboxId], news: &'a [(SandboxId, Denials)]) -> Entries<'a> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = ids.iter().collect::<BTreeSet<_>>();
        known.retain(|id, _| there.contains(id));
        let mut entries = Entries {
            lines: Vec::new(),
            left_out: 0,
        };
        for (id, denials) in news {
            let before = known.insert(*id, denials.recent.clone());
            let before = before.unwrap_or_default();
            let is_new = |flow: &&DeniedFlow| !before.iter().any(|known| is_same(known, flow));
            let new = denials.recent.iter().filter(is_new).collect::<Vec<_>>();
            let room = OF_ONE_MAX.min(OF_ALL_MAX - entries.lines.len());
            let shown = new.iter().take(room).map(|flow| (*id, denials, *flow));
            entries.lines.extend(shown);
            entries.left_out += new.len().saturating_sub(room);
        }
        entries
    }
}

/// Whether two flows differ in nothing but the port that they came from.
fn is_same(one: &DeniedFlow, other: &DeniedFlow) -> bool {
    let key = |flow: &DeniedFlow| {
        (
            flow.direction,
            flow.protocol,
            flow.source,
            flow.destination,
            flow.destination_port,
        )
    };
    key(one) == key(other)
}

#[cfg(test)]
mod tests {
    use palisade_model::clock::Timestamp;
    use palisade_model::denial::Direction;
    use palisade_model::id::ProfileId;
    use uuid::Uuid;

    use super::*;

    fn denials(ports: std::ops::Range<u16>) -> Denials {
        let flow = |port: u16| DeniedFlow {
            direction: Direction::Outgoing,
            at: Timestamp::from_micros(port.into()),
            protocol: 6,
            source: [10, 0, 0, 1].into(),
            source_port: port,
            destination: [1, 1, 1, 1].into(),
            destination_port: port,
            times: 1,
        };
        Denials {
            profile: ProfileId::new(Uuid::from_u128(1)),
            mode: "deny-all".parse().unwrap(),
            packets: 1,
            incoming: 0,
            questions: 0,
            recent: ports.map(flow).collect(),
        }
    }

    fn id(number: u128) -> SandboxId {
        SandboxId::new(Uuid::from_u128(number))
    }

    #[test]
    fn a_flow_is_logged_once_and_again_only_for_a_sandbox_that_is_new() {
        let journal = Journal::default();
        let logged = |ports| {
            let news = [(id(1), denials(ports))];
            let entries = journal.entries(&[id(1)], &news);
            let ports = entries.lines.iter().map(|line| line.2.destination_port);
            ports.collect::<Vec<_>>()
        };
        assert_eq!(logged(80..82), [80, 81]);
        assert_eq!(logged(80..83), [82]);
        assert_eq!(logged(80..83), [0; 0]);
        journal.enter(&[], &[]);
        assert_eq!(logged(82..83), [82]);
    }

    #[test]
    fn a_flood_is_a_few_lines_and_a_count() {
        let journal = Journal::default();
        let ids = (0..100).map(id).collect::<Vec<_>>();
        let news = ids.iter().map(|id| (*id, denials(1..17)));
        let news = news.collect::<Vec<_>>();
        let entries = journal.entries(&ids, &news);
        assert_eq!(entries.lines.len(), OF_ALL_MAX);
        assert_eq!(entries.left_out, 100 * 16 - OF_ALL_MAX);
        let first = entries.lines.iter().filter(|line| line.0 == id(0));
        assert_eq!(first.count(), OF_ONE_MAX);
    }
}
