//! The elements of what leads to sandboxes, and reading them back.

use std::net::{IpAddr, SocketAddr};

use palisade_model::policy::Door;
use palisade_model::sandbox::Protocol;

use super::book::{Booking, Place};
use super::{Kind, Wish};
use crate::netlink::filter::{self, Entry};
use crate::netlink::{KernelError, Socket};
use crate::network::layout::{Addresses, ROUTER_TABLE};
use crate::network::members::{Member, Set, number};

/// What makes a booking lead to the addresses of its sandbox.
pub(in crate::network) fn members(booking: &Booking, sandbox: Addresses) -> Vec<Member> {
    let lead = |door: &Door| match &booking.place {
        Place::Node { .. } => booking.node_door(*door).map_or_else(Vec::new, |node| {
            let to = sandbox.iter().map(|to| SocketAddr::new(to, door.port));
            to.map(|to| Member::Node(node, to)).collect()
        }),
        Place::External { addresses } => {
            let ways = addresses.iter().flat_map(|from| {
                let same = move |to: &IpAddr| to.is_ipv4() == from.is_ipv4();
                sandbox.iter().filter(same).map(move |to| (*from, to))
            });
            ways.map(|(from, to)| Member::External(from, *door, to))
                .collect()
        }
    };
    let doors = booking.doors.iter().flat_map(lead);
    let own = sandbox.iter().map(Member::Own);
    doors.chain(whole(booking, sandbox)).chain(own).collect()
}

/// Has what is for an external address judged by the doors of its sandbox, also where none
/// of them is: so it is known whose it was.
fn whole(booking: &Booking, sandbox: Addresses) -> Vec<Member> {
    let Place::External { addresses } = &booking.place else {
        return Vec::new();
    };
    let ways = addresses.iter().flat_map(|from| {
        let same = move |to: &IpAddr| to.is_ipv4() == from.is_ipv4();
        sandbox.iter().filter(same).map(move |to| (*from, to))
    });
    ways.map(|(from, to)| Member::Front(from, to)).collect()
}

/// What leads where, as the router's table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::network) struct Front(Vec<Member>);

impl Front {
    /// Reads the table; what is not there leads nowhere.
    pub(in crate::network) fn read(socket: &mut Socket) -> Result<Self, KernelError> {
        let mut members = Vec::new();
        let reads = [
            (Set::Node4, node as fn(&Entry) -> Option<Member>),
            (Set::Node6, node),
            (Set::External4, external),
            (Set::External6, external),
        ];
        for (set, read) in reads {
            match filter::entries(socket, ROUTER_TABLE, set.name()) {
                Ok(entries) => members.extend(entries.iter().filter_map(read)),
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(members))
    }

    /// What a sandbox has of what it wished; `None` if it has not all of it.
    pub(in crate::network) fn booking(&self, wish: &Wish, sandbox: Addresses) -> Option<Booking> {
        let first = *wish.doors.first()?;
        let place = match wish.kind {
            Kind::NodePort => self.node_place(first, sandbox)?,
            Kind::LoadBalancer { .. } => self.external_place(first, sandbox)?,
        };
        let doors = wish.doors.clone();
        let booking = Booking { doors, place };
        let mut wanted = members(&booking, sandbox).into_iter();
        // The rest comes with the next table.
        wanted
            .all(|member| {
                let is_way = matches!(member, Member::Node(..) | Member::External(..));
                !is_way || self.0.contains(&member)
            })
            .then_some(booking)
    }

    fn node_place(&self, first: Door, sandbox: Addresses) -> Option<Place> {
        let target = SocketAddr::new(sandbox.v4.into(), first.port);
        self.0.iter().find_map(|member| {
            if let Member::Node(node, to) = member {
                let is_own = *to == target && node.protocol == first.protocol;
                return is_own.then_some(Place::Node { first: node.port });
            }
            None
        })
    }

    /// Version 4 first, as in a new booking.
    fn external_place(&self, first: Door, sandbox: Addresses) -> Option<Place> {
        let own = self.0.iter().filter_map(|member| {
            if let Member::External(from, door, to) = member {
                let is_own = *door == first && sandbox.iter().any(|own| own == *to);
                return is_own.then_some(*from);
            }
            None
        });
        let addresses = own.collect::<Vec<_>>();
        (!addresses.is_empty()).then_some(Place::External { addresses })
    }
}

fn node((key, value): &Entry) -> Option<Member> {
    let (to, port) = value.split_at_checked(value.len().checked_sub(4)?)?;
    let [high, low, ..] = *port else {
        return None;
    };
    let to = SocketAddr::new(ip(to)?, u16::from_be_bytes([high, low]));
    Some(Member::Node(door(key)?, to))
}

fn external((key, value): &Entry) -> Option<Member> {
    let (from, rest) = key.split_at_checked(value.len())?;
    Some(Member::External(ip(from)?, door(rest)?, ip(value)?))
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}

/// Undoes [`crate::network::members::door_key`].
fn door(key: &[u8]) -> Option<Door> {
    let (protocol, rest) = key.split_first_chunk::<4>()?;
    let port = rest.first_chunk::<2>()?;
    let is_it = |known: &Protocol| number(*known) == protocol[0];
    Some(Door {
        protocol: Protocol::ALL.into_iter().find(is_it)?,
        port: u16::from_be_bytes(*port),
    })
}
