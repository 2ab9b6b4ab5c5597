//! The elements of the router's sets: one list, two spellings.
//!
//! A sandbox that is attached while the runner runs brings its elements over
//! netlink; those that are there when the rules are loaded come with them, as
//! text. Both are made from the same [`Member`]s.
//!
//! Sandboxes with the same openings are of one class, and sandboxes with something
//! in common hold the same claims; both are [`Mark`]s here. So a launch adds the
//! same few elements whatever its allowlist holds and whoever else there is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use palisade_model::policy::{CLAIMS_MAX, Door};
use palisade_model::sandbox::Protocol;

use super::layout::Addresses;
use super::numbers::Mark;
use super::openings::{Interval, Openings};
use crate::netlink::filter::{self, Change, Element};

/// An element of one of the router's sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// Packets from this interface with this source are of this class.
    Source(String, IpAddr, Mark),
    /// What is refused to this interface is counted, starting here.
    Denied(String, u64),
    /// The flows of this interface are counted, since it opened its first one.
    Flows(String),
    /// It is counted how often refusals to this interface are shown.
    Shown(String),
    /// This class may open connections to these addresses.
    Open(Mark, Interval),
    /// This class may ask the resolver.
    Resolving(Mark),
    /// Packets from this interface hold this claim, one of those that it holds.
    Claim(Place, String, Mark),
    /// At this address, this door takes this claim.
    Door(Mark, IpAddr, Door),
    /// This is an address of the host, where ports of nodes are.
    NodeAddress(IpAddr),
    /// This port of a node leads there.
    Node(Door, SocketAddr),
    /// This door of an external address leads to the same one there.
    External(IpAddr, Door, IpAddr),
    /// The flows that came from outside to this interface are counted.
    Visits(String),
    /// This class may come to the HTTP entry point.
    Entering(Mark),
    /// The HTTP entry point is at this port.
    Entry(u16),
    /// What is refused to those outside who call this interface is counted, starting here.
    TurnedAway(String, u64),
    /// It is counted how often that is shown.
    ShownIn(String),
    /// Everything else that is for this external address is judged as if it were for that one.
    Front(IpAddr, IpAddr),
    /// Whoever has this address may come back to it on a way round the router.
    Own(IpAddr),
}

/// Which of its claims a caller shows; a packet has room for one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    First,
    Second,
    Third,
}

impl Place {
    pub(super) const ALL: [Self; CLAIMS_MAX] = [Self::First, Self::Second, Self::Third];
}

/// The set that a member is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Set {
    Source4,
    Source6,
    Denied,
    Flows,
    Shown,
    Open4,
    Open6,
    Resolving,
    Claim(Place),
    Door4,
    Door6,
    NodeAddress4,
    NodeAddress6,
    Node4,
    Node6,
    External4,
    External6,
    Visits,
    Entering,
    Entries,
    TurnedAway,
    ShownIn,
    Front4,
    Front6,
    Own4,
    Own6,
}

impl Set {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source4 => "source4",
            Self::Source6 => "source6",
            Self::Denied => "denied",
            Self::Flows => "flows",
            Self::Shown => "shown",
            Self::Open4 => "open4",
            Self::Open6 => "open6",
            Self::Resolving => "resolving",
            Self::Claim(Place::First) => "claim1",
            Self::Claim(Place::Second) => "claim2",
            Self::Claim(Place::Third) => "claim3",
            Self::Door4 => "door4",
            Self::Door6 => "door6",
            Self::NodeAddress4 => "nodes4",
            Self::NodeAddress6 => "nodes6",
            Self::Node4 => "node4",
            Self::Node6 => "node6",
            Self::External4 => "external4",
            Self::External6 => "external6",
            Self::Visits => "visits",
            Self::Entering => "entering",
            Self::Entries => "entries",
            Self::TurnedAway => "turned_away",
            Self::ShownIn => "shown_in",
            Self::Front4 => "front4",
            Self::Front6 => "front6",
            Self::Own4 => "own4",
            Self::Own6 => "own6",
        }
    }
}

impl Member {
    pub(super) fn set(&self) -> Set {
        match self {
            Self::Source(_, IpAddr::V4(_), _) => Set::Source4,
            Self::Source(_, IpAddr::V6(_), _) => Set::Source6,
            Self::Denied(..) => Set::Denied,
            Self::Flows(_) => Set::Flows,
            Self::Shown(_) => Set::Shown,
            Self::Open(_, interval) if interval.first.is_ipv4() => Set::Open4,
            Self::Open(..) => Set::Open6,
            Self::Resolving(_) => Set::Resolving,
            Self::Claim(place, ..) => Set::Claim(*place),
            Self::Door(_, IpAddr::V4(_), _) => Set::Door4,
            Self::Door(_, IpAddr::V6(_), _) => Set::Door6,
            Self::NodeAddress(IpAddr::V4(_)) => Set::NodeAddress4,
            Self::NodeAddress(IpAddr::V6(_)) => Set::NodeAddress6,
            Self::Node(_, SocketAddr::V4(_)) => Set::Node4,
            Self::Node(_, SocketAddr::V6(_)) => Set::Node6,
            Self::External(IpAddr::V4(_), ..) => Set::External4,
            Self::External(IpAddr::V6(_), ..) => Set::External6,
            Self::Visits(_) => Set::Visits,
            Self::Entering(_) => Set::Entering,
            Self::Entry(_) => Set::Entries,
            Self::TurnedAway(..) => Set::TurnedAway,
            Self::ShownIn(_) => Set::ShownIn,
            Self::Front(IpAddr::V4(_), _) => Set::Front4,
            Self::Front(IpAddr::V6(_), _) => Set::Front6,
            Self::Own(IpAddr::V4(_)) => Set::Own4,
            Self::Own(IpAddr::V6(_)) => Set::Own6,
        }
    }

    /// As `nft` reads it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Source(interface, address, class) => {
                format!("\"{interface}\" . {address} : {}", class.text())
            }
            Self::Denied(interface, count) | Self::TurnedAway(interface, count) => {
                format!("\"{interface}\" counter packets {count} bytes 0")
            }
            Self::Flows(interface)
            | Self::Shown(interface)
            | Self::ShownIn(interface)
            | Self::Visits(interface) => format!("\"{interface}\""),
            Self::Open(class, Interval { first, last }) => {
                format!("{} . {first}-{last}", class.text())
            }
            Self::Resolving(class) | Self::Entering(class) => class.text(),
            Self::Entry(port) => port.to_string(),
            Self::Front(address, to) => format!("{address} : {to}"),
            Self::Own(address) => format!("{address} . {address}"),
            Self::Claim(_, interface, claim) => format!("\"{interface}\" : {}", claim.text()),
            Self::Door(claim, address, Door { protocol, port }) => {
                let protocol = number(*protocol);
                format!("{} . {address} . {protocol} . {port}", claim.text())
            }
            Self::NodeAddress(address) => address.to_string(),
            Self::Node(Door { protocol, port }, to) => {
                let protocol = number(*protocol);
                format!("{protocol} . {port} : {} . {}", to.ip(), to.port())
            }
            Self::External(address, Door { protocol, port }, to) => {
                let protocol = number(*protocol);
                format!("{address} . {protocol} . {port} : {to}")
            }
        }
    }

    /// As the kernel reads it.
    fn element(&self) -> Element {
        match self {
            Self::Source(interface, address, class) => Element {
                key: [interface_key(interface), octets(*address)].concat(),
                key_end: None,
                value: Some(class.bytes().to_vec()),
            },
            Self::Denied(interface, _)
            | Self::TurnedAway(interface, _)
            | Self::Flows(interface)
            | Self::Shown(interface)
            | Self::ShownIn(interface)
            | Self::Visits(interface) => Element::key(interface_key(interface)),
            Self::Open(class, Interval { first, last }) => Element {
                key: [class.bytes().to_vec(), octets(*first)].concat(),
                key_end: Some([class.bytes().to_vec(), octets(*last)].concat()),
                value: None,
            },
            Self::Resolving(class) | Self::Entering(class) => Element::key(class.bytes().to_vec()),
            Self::Entry(port) => Element::key(port_bytes(*port)),
            Self::Claim(_, interface, claim) => Element {
                key: interface_key(interface),
                key_end: None,
                value: Some(claim.bytes().to_vec()),
            },
            Self::Door(claim, address, door) => {
                let claim = claim.bytes().to_vec();
                Element::key([claim, octets(*address), door_key(*door)].concat())
            }
            Self::NodeAddress(address) => Element::key(octets(*address)),
            Self::Own(address) => Element::key(octets(*address).repeat(2)),
            Self::Front(address, to) => Element {
                key: octets(*address),
                key_end: None,
                value: Some(octets(*to)),
            },
            Self::Node(door, to) => Element {
                key: door_key(*door),
                key_end: None,
                value: Some([octets(to.ip()), port_key(to.port())].concat()),
            },
            Self::External(address, door, to) => Element {
                key: [octets(*address), door_key(*door)].concat(),
                key_end: None,
                value: Some(octets(*to)),
            },
        }
    }
}

/// What lets a sandbox's packets in, as those of its class.
pub(super) fn sources(
    interface: &str,
    addresses: Addresses,
    class: Mark,
) -> impl Iterator<Item = Member> {
    addresses
        .iter()
        .map(move |address| Member::Source(interface.to_owned(), address, class))
}

/// The claims that a caller holds, which are as many as there are places at most.
pub(super) fn held<'a>(interface: &'a str, claims: &'a [Mark]) -> impl Iterator<Item = Member> {
    Place::ALL
        .into_iter()
        .zip(claims)
        .map(|(place, claim)| Member::Claim(place, interface.to_owned(), *claim))
}

/// Everything that lets those in who hold a claim that is taken.
pub(super) fn doors(
    addresses: Addresses,
    taken: &[Mark],
    doors: impl Iterator<Item = Door>,
) -> Vec<Member> {
    let mut members = Vec::new();
    for door in doors {
        for address in addresses.iter() {
            let member = |claim: &Mark| Member::Door(*claim, address, door);
            members.extend(taken.iter().map(member));
        }
    }
    members
}

/// Everything that a class opens.
pub(super) fn of_class(class: Mark, openings: &Openings) -> Vec<Member> {
    let open = |interval: &Interval| Member::Open(class, *interval);
    let resolving = openings.can_resolve.then_some(Member::Resolving(class));
    let entering = openings.can_enter.then_some(Member::Entering(class));
    let open = openings.intervals.iter().map(open);
    open.chain(resolving).chain(entering).collect()
}

/// The members as changes for the kernel, those of a set together.
pub(super) fn changes(kind: filter::Kind, members: &[Member]) -> Vec<Change> {
    let mut changes = Vec::<(Set, Vec<Element>)>::new();
    for member in members {
        let set = member.set();
        match changes.iter_mut().find(|(other, _)| *other == set) {
            Some((_, elements)) => elements.push(member.element()),
            None => changes.push((set, vec![member.element()])),
        }
    }
    changes
        .into_iter()
        .map(|(set, elements)| Change {
            kind,
            set: set.name(),
            elements,
        })
        .collect()
}

/// The key of a set of interfaces.
pub(super) fn interface_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

/// Undoes [`interface_key`].
pub(super) fn interface_of_key(key: &[u8]) -> Option<&str> {
    let name = key.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(name).ok()
}

/// The number of a protocol in packets.
pub(super) fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// The part of a key that says a protocol and a port.
pub(super) fn door_key(door: Door) -> Vec<u8> {
    [vec![number(door.protocol), 0, 0, 0], port_key(door.port)].concat()
}

fn port_key(port: u16) -> Vec<u8> {
    [port_bytes(port), vec![0, 0]].concat()
}

/// A port alone; as a part of a key it takes four bytes.
fn port_bytes(port: u16) -> Vec<u8> {
    port.to_be_bytes().to_vec()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}
