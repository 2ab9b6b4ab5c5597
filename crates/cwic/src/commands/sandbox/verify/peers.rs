//! What sandboxes are asked about each other.
//!
//! Pure. Every probe sandbox listens at the same four doors, two of which it
//! exposes if its profile has a level for that. Who may open which is decided by
//! the model alone.

use std::net::IpAddr;
use std::num::NonZeroU16;

use palisade_init_protocol::probe::{self, HostName, Probe, Sight};
use palisade_model::policy::{Door, Exposed, Knock, Standing};
use palisade_model::sandbox::Protocol;

use super::table::{Expected, Question};
use super::targets::resolvers;

/// The doors that a level exposes.
pub(super) const EXPOSED: [Door; 2] = [door(Protocol::Tcp, 47_001), door(Protocol::Udp, 47_002)];
/// The doors that nothing exposes.
const UNEXPOSED: [Door; 2] = [door(Protocol::Tcp, 47_003), door(Protocol::Udp, 47_004)];

/// How datagrams to the ports of connections fare tells what a reset means.
const BESIDE: [Door; 2] = [door(Protocol::Udp, 47_001), door(Protocol::Udp, 47_003)];

/// A sandbox that can be asked, or asked about.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) id: String,
    /// What people call it here.
    pub(super) name: String,
    pub(super) standing: Standing,
    /// Its addresses, and what else it sees of its network.
    pub(super) seen: Vec<Sight>,
}

const fn door(protocol: Protocol, port: u16) -> Door {
    Door { protocol, port }
}

/// Where a probe sandbox listens, as its program is told.
pub(super) fn doors() -> impl Iterator<Item = probe::Door> {
    EXPOSED.into_iter().chain(UNEXPOSED).filter_map(listening)
}

fn listening(door: Door) -> Option<probe::Door> {
    let port = NonZeroU16::new(door.port)?;
    match door.protocol {
        Protocol::Tcp => Some(probe::Door::Tcp(port)),
        Protocol::Udp => Some(probe::Door::Udp(port)),
        Protocol::Sctp => None,
    }
}

impl Peer {
    /// Its addresses that others can name.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.seen.iter().filter_map(|sight| match sight {
            Sight::Address(host) if host.scope == 0 => Some(host.address),
            Sight::Address(_) | Sight::Gateway(_) | Sight::Resolver(_) => None,
        })
    }

    /// What to ask it about another sandbox.
    pub(super) fn questions(&self, other: &Self) -> Vec<Question> {
        let mut questions = Vec::new();
        for address in other.addresses() {
            let asked = EXPOSED.into_iter().chain(UNEXPOSED).chain(BESIDE);
            questions.extend(asked.filter_map(|door| self.at(other, address, door)));
            questions.push(Question {
                target: other.name.clone(),
                probe: Probe::Icmp(address.into()),
                expected: Expected::Address(self.standing.reaches(&other.standing, Knock::Icmp)),
            });
        }
        questions.extend(self.name(other));
        questions
    }

    fn at(&self, other: &Self, address: IpAddr, door: Door) -> Option<Question> {
        let port = NonZeroU16::new(door.port)?;
        let probe = match door.protocol {
            Protocol::Tcp => Probe::Tcp(address.into(), port),
            Protocol::Udp => Probe::Udp(address.into(), port),
            Protocol::Sctp => return None,
        };
        let exposed = other.standing.exposed.as_ref();
        let is_exposed = exposed.is_some_and(|exposed| exposed.doors.contains(&door));
        let what = if is_exposed { "exposed" } else { "unexposed" };
        let verdict = self.standing.reaches(&other.standing, Knock::At(door));
        Some(Question {
            target: format!("{}, {what} port", other.name),
            probe,
            expected: Expected::Address(verdict),
        })
    }

    /// The name that the other one has where it is exposed.
    fn name(&self, other: &Self) -> Option<Question> {
        let Exposed { level, .. } = other.standing.exposed.as_ref()?;
        let server = resolvers(&self.seen).into_iter().next()?;
        let name = format!("{}.{level}.sandbox.internal", other.id);
        let name: HostName = name.parse().ok()?;
        Some(Question {
            target: format!("{}, its name", other.name),
            probe: Probe::Dns(server, name),
            expected: Expected::Name(self.standing.sees(&other.standing, level)),
        })
    }
}

#[cfg(test)]
mod tests;
