//! The elements of the router's sets: one list, two spellings.
//!
//! A sandbox that is attached while the runner runs brings its elements over
//! netlink; those that are there when the rules are loaded come with them, as
//! text. Both are made from the same [`Member`]s.
//!
//! Sandboxes with the same openings are of one [`Class`]. So a launch adds the
//! same few elements whatever its allowlist holds, and lookups stay small.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::layout::Addresses;
use super::openings::{Interval, Openings};
use crate::netlink::filter::{self, Change, Element};

/// Sandboxes with the same openings.
///
/// Carried in the mark of each packet while the router looks at it. The first
/// two bytes of the mark mirror the last two, so that it is the same number in
/// either byte order: `nft` keeps marks in network order inside ranges, but not
/// elsewhere, and this need not know where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Class(u16);

impl Class {
    /// The mark of packets of this class. Never zero, the mark of packets whose
    /// sender is not known.
    pub(super) fn mark(self) -> [u8; 4] {
        let [high, low] = self.0.to_be_bytes();
        [low, high, high, low]
    }

    fn text(self) -> String {
        format!("{:#010x}", u32::from_be_bytes(self.mark()))
    }
}

/// An element of one of the router's sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// Packets from this interface with this source are of this class.
    Source(String, IpAddr, Class),
    /// What is refused to this interface is counted, starting here.
    Denied(String, u64),
    /// The flows of this interface are counted, since it opened its first one.
    Flows(String),
    /// This class may open connections to these addresses.
    Open(Class, Interval),
    /// This class may ask the resolver.
    Resolving(Class),
}

/// The set that a member is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Set {
    Source4,
    Source6,
    Denied,
    Flows,
    Open4,
    Open6,
    Resolving,
}

impl Set {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source4 => "source4",
            Self::Source6 => "source6",
            Self::Denied => "denied",
            Self::Flows => "flows",
            Self::Open4 => "open4",
            Self::Open6 => "open6",
            Self::Resolving => "resolving",
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
            Self::Open(_, interval) if interval.first.is_ipv4() => Set::Open4,
            Self::Open(..) => Set::Open6,
            Self::Resolving(_) => Set::Resolving,
        }
    }

    /// As `nft` reads it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Source(interface, address, class) => {
                format!("\"{interface}\" . {address} : {}", class.text())
            }
            Self::Denied(interface, count) => {
                format!("\"{interface}\" counter packets {count} bytes 0")
            }
            Self::Flows(interface) => format!("\"{interface}\""),
            Self::Open(class, Interval { first, last }) => {
                format!("{} . {first}-{last}", class.text())
            }
            Self::Resolving(class) => class.text(),
        }
    }

    /// As the kernel reads it.
    fn element(&self) -> Element {
        match self {
            Self::Source(interface, address, class) => Element {
                key: [interface_key(interface), octets(*address)].concat(),
                key_end: None,
                value: Some(class.mark()),
            },
            Self::Denied(interface, _) | Self::Flows(interface) => Element {
                key: interface_key(interface),
                key_end: None,
                value: None,
            },
            Self::Open(class, Interval { first, last }) => Element {
                key: [class.mark().to_vec(), octets(*first)].concat(),
                key_end: Some([class.mark().to_vec(), octets(*last)].concat()),
                value: None,
            },
            Self::Resolving(class) => Element {
                key: class.mark().to_vec(),
                key_end: None,
                value: None,
            },
        }
    }
}

/// Everything that lets a sandbox's packets in, as members of its class.
pub(super) fn of_sandbox(
    interface: &str,
    addresses: Addresses,
    class: Class,
    denied: u64,
) -> Vec<Member> {
    sources(interface, addresses, class)
        .chain([Member::Denied(interface.to_owned(), denied)])
        .collect()
}

/// The part of it that says which class the sandbox is of.
pub(super) fn sources(
    interface: &str,
    addresses: Addresses,
    class: Class,
) -> impl Iterator<Item = Member> {
    addresses
        .iter()
        .map(move |address| Member::Source(interface.to_owned(), address, class))
}

/// Everything that a class opens.
pub(super) fn of_class(class: Class, openings: &Openings) -> Vec<Member> {
    let open = |interval: &Interval| Member::Open(class, *interval);
    let resolving = openings.can_resolve.then_some(Member::Resolving(class));
    let open = openings.intervals.iter().map(open);
    open.chain(resolving).collect()
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

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}

/// The classes that have sandboxes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    users: HashMap<Arc<Openings>, (Class, usize)>,
    openings: BTreeMap<Class, Arc<Openings>>,
    last: u16,
}

/// There is no number left for another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "sandboxes with {} different egress rules are running already",
    Classes::LEN_MAX
)]
pub struct TooManyClasses;

impl Classes {
    /// The most classes at a time.
    pub(super) const LEN_MAX: usize = 16 * 1024;

    /// Counts one more sandbox with these openings; tells whether it is the first.
    pub(super) fn enter(&mut self, openings: Openings) -> Result<(Class, bool), TooManyClasses> {
        if let Some((class, users)) = self.users.get_mut(&openings) {
            *users += 1;
            return Ok((*class, false));
        }
        let class = self.free().ok_or(TooManyClasses)?;
        let openings = Arc::new(openings);
        self.users.insert(Arc::clone(&openings), (class, 1));
        self.openings.insert(class, openings);
        self.last = class.0;
        Ok((class, true))
    }

    /// What a class opens, if it has just one sandbox left.
    pub(super) fn openings_if_last(&self, class: Class) -> Option<Arc<Openings>> {
        let openings = self.openings.get(&class)?;
        let (_, users) = self.users.get(openings)?;
        (*users <= 1).then(|| Arc::clone(openings))
    }

    /// Counts one sandbox less; without any, the class is gone.
    pub(super) fn leave(&mut self, class: Class) {
        let Some(openings) = self.openings.get(&class) else {
            return;
        };
        if let Some((_, users)) = self.users.get_mut(openings)
            && *users > 1
        {
            *users -= 1;
            return;
        }
        self.users.remove(openings);
        self.openings.remove(&class);
    }

    /// Every class with its openings.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Class, &Openings)> {
        self.openings
            .iter()
            .map(|(class, openings)| (*class, openings.as_ref()))
    }

    /// A number that was not in use lately.
    fn free(&self) -> Option<Class> {
        if self.openings.len() >= Self::LEN_MAX {
            return None;
        }
        (self.last..u16::MAX)
            .chain(0..self.last)
            .map(|before| Class(before + 1))
            .find(|class| !self.openings.contains_key(class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openings(can_resolve: bool) -> Openings {
        Openings {
            intervals: Vec::new(),
            can_resolve,
        }
    }

    #[test]
    fn a_mark_reads_the_same_in_either_byte_order() {
        for number in [1, 0x00ff, 0x0102, u16::MAX] {
            let mark = Class(number).mark();
            assert_eq!(u32::from_be_bytes(mark), u32::from_le_bytes(mark));
            assert_ne!(mark, [0; 4]);
        }
        assert_ne!(Class(0x0102).mark(), Class(0x0201).mark());
    }

    #[test]
    fn a_class_lives_as_long_as_it_has_sandboxes() {
        let mut classes = Classes::default();
        let (first, is_new) = classes.enter(openings(true)).unwrap();
        assert!(is_new);
        assert_eq!(classes.enter(openings(true)), Ok((first, false)));
        let (second, _) = classes.enter(openings(false)).unwrap();
        assert_ne!(first, second);
        assert_eq!(classes.openings_if_last(first), None);
        classes.leave(first);
        let last = classes.openings_if_last(first);
        assert_eq!(last.as_deref(), Some(&openings(true)));
        classes.leave(first);
        assert_eq!(classes.openings_if_last(first), None);
        assert_eq!(classes.iter().count(), 1);
    }

    #[test]
    fn a_number_is_not_given_out_again_at_once() {
        let mut classes = Classes::default();
        let (first, _) = classes.enter(openings(true)).unwrap();
        classes.leave(first);
        let (second, _) = classes.enter(openings(true)).unwrap();
        assert_ne!(first, second);
    }
}
