//! What sandboxes are asked about each other.
//!
//! Pure. Every probe sandbox listens at the same four doors, two of which it
//! exposes if its profile has a level for that. Who may open which is decided by
//! the model alone.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use palisade_init_protocol::probe::{self, HostName, Probe, Sight};
use palisade_model::policy::{
    self, Door, EgressRules, Exposed, Knock, Standing, Surroundings, Verdict, Visitor,
};
use palisade_model::profile::ServiceType;
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
    /// Where clients from outside find it.
    pub(super) service: Option<Service>,
    /// Its addresses, and what else it sees of its network.
    pub(super) seen: Vec<Sight>,
}

/// An address and port that lead to a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) kind: ServiceType,
    pub(super) address: SocketAddr,
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
    pub(super) fn questions(&self, other: &Self, here: &Surroundings) -> Vec<Question> {
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
        questions.extend(self.service(other, here));
        questions
    }

    /// The ports that lead to it, exposed and unexposed ones.
    fn service(&self, other: &Self, here: &Surroundings) -> Vec<Question> {
        let Some(service) = other.service else {
            return Vec::new();
        };
        let rules = EgressRules::new(&self.standing.egress, here);
        let ways = service.ways().into_iter();
        ways.filter_map(|(door, way)| {
            let knock = Knock::At(door);
            let direct = self.standing.reaches(&other.standing, knock);
            // To whom the address is any other one, the sandbox is a stranger.
            let is_open = rules.address(way.ip()).is_allowed();
            let verdict = if is_open && !direct.is_allowed() {
                other.admits_strangers(knock)
            } else {
                direct
            };
            let what = other.word(door);
            Some(Question {
                target: format!(
                    "{}, {what} port by its {}",
                    other.name,
                    service.kind.as_str()
                ),
                probe: probe(door.protocol, way)?,
                expected: Expected::Address(verdict),
            })
        })
        .collect()
    }

    /// What becomes of somebody outside who opens a connection to its first port.
    pub(super) fn asked_outside(&self) -> Option<Question> {
        let service = self.service?;
        let (door, way) = service.ways().into_iter().next()?;
        Some(Question {
            target: format!(
                "{}, exposed port by its {}",
                self.name,
                service.kind.as_str()
            ),
            probe: probe(door.protocol, way)?,
            expected: Expected::Address(self.admits_strangers(Knock::At(door))),
        })
    }

    fn admits_strangers(&self, knock: Knock) -> Verdict {
        let exposed = self.standing.exposed.as_ref();
        policy::admits(self.standing.party(), exposed, knock, Visitor::Stranger)
    }

    fn word(&self, door: Door) -> &'static str {
        let exposed = self.standing.exposed.as_ref();
        let is_exposed = exposed.is_some_and(|exposed| exposed.doors.contains(&door));
        if is_exposed { "exposed" } else { "unexposed" }
    }

    fn at(&self, other: &Self, address: IpAddr, door: Door) -> Option<Question> {
        let probe = probe(door.protocol, SocketAddr::new(address, door.port))?;
        let what = other.word(door);
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

impl Service {
    /// Which door each way leads to. Where each has an address of its own, the
    /// unexposed ones can be asked for, too.
    fn ways(self) -> Vec<(Door, SocketAddr)> {
        let ip = self.address.ip();
        match self.kind {
            ServiceType::ClusterIp => Vec::new(),
            ServiceType::LoadBalancer => EXPOSED
                .into_iter()
                .chain(UNEXPOSED)
                .chain(BESIDE)
                .map(|door| (door, SocketAddr::new(ip, door.port)))
                .collect(),
            // Side by side, in the order of the request.
            ServiceType::NodePort => (self.address.port()..=u16::MAX)
                .zip(EXPOSED)
                .map(|(port, door)| (door, SocketAddr::new(ip, port)))
                .chain([(BESIDE[0], self.address)])
                .collect(),
        }
    }
}

fn probe(protocol: Protocol, to: SocketAddr) -> Option<Probe> {
    let port = NonZeroU16::new(to.port())?;
    match protocol {
        Protocol::Tcp => Some(Probe::Tcp(to.ip().into(), port)),
        Protocol::Udp => Some(Probe::Udp(to.ip().into(), port)),
        Protocol::Sctp => None,
    }
}

#[cfg(test)]
mod tests;
