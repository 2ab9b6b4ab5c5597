//! Ports of the host and external addresses in the table, against the decision
//! who comes in.

use std::net::{IpAddr, SocketAddr};

use palisade_model::policy::{Door, Knock, Standing, Surroundings, Visitor, admits};
use palisade_model::sandbox::Protocol;
use palisade_model::testing::standing;
use proptest::prelude::*;

use super::super::super::layout::{Layout, Slot};
use super::super::super::members::{Member, number};
use super::super::super::rules::{Bound, Tallies, compile};
use super::super::super::service::{Booking, Place};
use super::super::{Router, UPLINK};
use super::interpreter::{Packet, Table};
use super::{flows_max, layout};

const STRANGER4: [u8; 4] = [151, 101, 0, 9];

/// Sandboxes with all doors of the small worlds booked: by turns at ports of the host and at
/// addresses of their own.
fn fleet(layout: &Layout, standings: Vec<Standing>) -> Vec<Bound> {
    let doors = [Protocol::Tcp, Protocol::Udp].into_iter();
    let doors = doors.flat_map(|protocol| [80, 443].map(|port| Door { protocol, port }));
    let doors = doors.collect::<Vec<_>>();
    let bound = |(standing, slot): (_, u16)| Bound {
        interface: format!("p{slot:014}"),
        addresses: layout.addresses(Slot(slot.into())),
        standing,
        booking: Some(Booking {
            doors: doors.clone(),
            place: if slot % 2 == 0 {
                Place::Node {
                    first: 30_000 + slot * 10,
                }
            } else {
                let v6 = std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(slot));
                Place::External {
                    addresses: vec![[203, 0, 113, u8::try_from(slot).unwrap()].into(), v6.into()],
                }
            },
        }),
    };
    standings.into_iter().zip(0..).map(bound).collect()
}

/// Where a door of a sandbox is from outside, both versions.
fn fronts(layout: &Layout, bound: &Bound, door: Door) -> Vec<SocketAddr> {
    let booking = bound.booking.as_ref().unwrap();
    match &booking.place {
        Place::Node { .. } => {
            let node = booking.node_door(door).unwrap();
            let router = layout.router().iter();
            router.map(|ip| SocketAddr::new(ip, node.port)).collect()
        }
        Place::External { addresses } => {
            let addresses = addresses.iter();
            addresses
                .map(|ip| SocketAddr::new(*ip, door.port))
                .collect()
        }
    }
}

fn table(layout: &Layout, fleet: &[Bound]) -> Table {
    let here = Surroundings {
        sandboxes: layout.pools().collect(),
        ..Surroundings::default()
    };
    let compiled = compile(&here, fleet.to_vec(), &Tallies::default()).unwrap();
    let mut members = compiled.members;
    members.extend(layout.router().iter().map(Member::NodeAddress));
    let router = Router {
        layout,
        flows_max: flows_max(),
        members: &members,
    };
    Table::read(&router.text())
}

fn packet(from: &str, source: IpAddr, to: SocketAddr, protocol: Protocol) -> Packet<'_> {
    Packet {
        from,
        to: UPLINK,
        source,
        destination: to.ip(),
        protocol: number(protocol),
        port: to.port(),
    }
}

fn stranger(like: IpAddr) -> IpAddr {
    if like.is_ipv4() {
        STRANGER4.into()
    } else {
        "2606:50c0::9".parse().unwrap()
    }
}

proptest! {
    #[test]
    fn what_leads_to_a_sandbox_lets_in_exactly_whom_the_model_does(
        standings in prop::collection::vec(standing(), 1..6),
    ) {
        let layout = layout();
        let fleet = fleet(&layout, standings);
        let table = table(&layout, &fleet);
        let way = |address: IpAddr| {
            let has = |bound: &&Bound| bound.addresses.iter().any(|own| own == address);
            fleet.iter().find(has).map_or(UPLINK, |bound| bound.interface.as_str())
        };
        for target in &fleet {
            for door in target.booking.clone().unwrap().doors {
                let knock = Knock::At(door);
                let (party, exposed) = (target.standing.party(), target.standing.exposed.as_ref());
                for front in fronts(&layout, target, door) {
                    let verdict = admits(party, exposed, knock, Visitor::Stranger);
                    let packet_in = packet(UPLINK, stranger(front.ip()), front, door.protocol);
                    let arrived = table.journey(&packet_in, &way);
                    prop_assert_eq!(arrived.is_some(), verdict.is_allowed(), "{:?}: {}", packet_in, verdict);
                    let own = |at: SocketAddr| {
                        target.addresses.iter().any(|ip| ip == at.ip()) && at.port() == door.port
                    };
                    prop_assert!(arrived.is_none_or(own), "{:?}", arrived);
                    for caller in fleet.iter().filter(|other| other.interface != target.interface) {
                        let verdict = caller.standing.reaches(&target.standing, knock);
                        let source = caller.addresses.iter().find(|ip| ip.is_ipv4() == front.is_ipv4());
                        let packet = packet(&caller.interface, source.unwrap(), front, door.protocol);
                        let arrived = table.journey(&packet, &way);
                        prop_assert_eq!(arrived.is_some(), verdict.is_allowed(), "{:?}: {}", packet, verdict);
                        prop_assert!(arrived.is_none_or(own), "{:?}", arrived);
                    }
                }
            }
        }
    }

    #[test]
    fn no_stranger_comes_to_a_sandbox_by_its_own_address(
        standings in prop::collection::vec(standing(), 1..6),
    ) {
        let layout = layout();
        let fleet = fleet(&layout, standings);
        let table = table(&layout, &fleet);
        for target in &fleet {
            for ip in target.addresses.iter() {
                for port in [80, 443, 30_000] {
                    for protocol in [Protocol::Tcp, Protocol::Udp] {
                        let to = SocketAddr::new(ip, port);
                        let packet = Packet {
                            to: &target.interface,
                            ..packet(UPLINK, stranger(ip), to, protocol)
                        };
                        prop_assert!(table.journey(&packet, &|_| UPLINK).is_none(), "{:?}", packet);
                    }
                }
            }
        }
    }
}
