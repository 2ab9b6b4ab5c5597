//! Figures of a runner that is a process of its own.
//!
//! What it refuses to sandboxes, by profile, and what is left in its pools. A runner is of one
//! organization, which has no label here.

use std::sync::Arc;

use palisade_backend::Backend;
use palisade_model::pool::{Room, Rooms};
use palisade_runner::Refusals;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::{Denied, Labels, Source, answer, denied};
use crate::parts::supervisor::Supervisor;

/// What a runner has to show.
pub(crate) struct Figures {
    /// What it refuses.
    pub(crate) refusals: Refusals,
    /// What it has.
    pub(crate) backend: Arc<dyn Backend>,
}

/// Answers `/metrics` of a runner until everything is to stop.
pub(crate) fn serve_runner(
    listener: TcpListener,
    figures: Figures,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    answer(listener, Box::new(figures), supervisor)
}

impl Source for Figures {
    fn register(&self, registry: &mut Registry) {
        let profiles = self.refusals.by_profile().into_iter();
        let profiles = profiles.map(|(profile, refused)| Denied {
            organization: None,
            profile: profile.to_string(),
            packets: refused.packets,
            incoming: refused.incoming,
            questions: refused.questions,
        });
        denied(profiles, registry);
        pools(&self.backend.rooms(), registry);
    }
}

fn pools(rooms: &Rooms, registry: &mut Registry) {
    let size = Family::<Labels, Gauge>::default();
    let used = Family::<Labels, Gauge>::default();
    let node_ports = rooms.node_ports.iter().map(|room| ("node ports", "", room));
    let addresses = rooms.addresses.iter();
    let addresses = addresses.map(|(name, room)| ("addresses", name.as_str(), room));
    for (
        kind,
        name,
        Room {
            size: all,
            used: taken,
        },
    ) in node_ports.chain(addresses)
    {
        let labels = vec![("kind", kind.to_owned()), ("pool", name.to_owned())];
        size.get_or_create(&labels).set(i64::from(*all));
        used.get_or_create(&labels).set(i64::from(*taken));
    }
    let help = "Ports of the host and external addresses that there are";
    registry.register("pool_size", help, size);
    let help = "Those of them that sandboxes have, or that rest before others get them";
    registry.register("pool_used", help, used);
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_runner_shows_what_is_left_in_its_pools() {
        let mut registry = Registry::default();
        let room = |size, used| Room { size, used };
        let rooms = Rooms {
            node_ports: Some(room(10, 3)),
            addresses: [("far".to_owned(), room(4, 1))].into(),
            usual: None,
        };
        pools(&rooms, &mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "pool_size{kind=\"node ports\",pool=\"\"} 10",
            "pool_used{kind=\"addresses\",pool=\"far\"} 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
