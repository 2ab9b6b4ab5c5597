//! The table between sandboxes, against the decision that it is made from.

use std::net::IpAddr;

use palisade_model::policy::{Door, Knock, Standing, Surroundings};
use palisade_model::sandbox::Protocol;
use palisade_model::testing::standing;
use proptest::prelude::*;

use super::super::super::layout::{Layout, Slot};
use super::super::super::rules::{Bound, Tallies, compile};
use super::super::Router;
use super::interpreter::{Packet, Table};
use super::{flows_max, layout};

/// What is tried: every door of the small worlds, another one, and an echo.
fn knocks() -> Vec<Knock> {
    let doors = [Protocol::Tcp, Protocol::Udp].into_iter();
    let doors = doors.flat_map(|protocol| [80, 443, 81].map(|port| Door { protocol, port }));
    doors.map(Knock::At).chain([Knock::Icmp]).collect()
}

fn table(layout: &Layout, fleet: &[Bound]) -> Table {
    let here = Surroundings {
        sandboxes: layout.pools().collect(),
        ..Surroundings::default()
    };
    let members = compile(&here, fleet.to_vec(), &Tallies::default()).unwrap();
    let router = Router {
        layout,
        flows_max: flows_max(),
        members: &members.members,
    };
    Table::read(&router.text())
}

fn packet<'a>(
    caller: &'a Bound,
    target: &'a Bound,
    (source, destination): (IpAddr, IpAddr),
    knock: Knock,
) -> Packet<'a> {
    let icmp = if source.is_ipv4() { 1 } else { 58 };
    let (protocol, port) = match knock {
        Knock::At(Door {
            protocol: Protocol::Tcp,
            port,
        }) => (6, port),
        Knock::At(Door { port, .. }) => (17, port),
        // Where ports are, ICMP has a checksum, which may be anything.
        Knock::Icmp => (icmp, 80),
    };
    Packet {
        from: &caller.interface,
        to: &target.interface,
        source,
        destination,
        protocol,
        port,
    }
}

fn fleet(layout: &Layout, standings: Vec<Standing>) -> Vec<Bound> {
    let bound = |(standing, slot): (Standing, u32)| Bound {
        interface: format!("p{slot:014}"),
        addresses: layout.addresses(Slot(slot)),
        standing,
        booking: None,
    };
    standings.into_iter().zip(0..).map(bound).collect()
}

proptest! {
    #[test]
    fn the_table_lets_through_exactly_what_the_model_does(
        standings in prop::collection::vec(standing(), 1..8),
    ) {
        let layout = layout();
        let fleet = fleet(&layout, standings);
        let table = table(&layout, &fleet);
        for caller in &fleet {
            for target in fleet.iter().filter(|other| other.interface != caller.interface) {
                for knock in knocks() {
                    let verdict = caller.standing.reaches(&target.standing, knock);
                    for ends in caller.addresses.iter().zip(target.addresses.iter()) {
                        let packet = packet(caller, target, ends, knock);
                        prop_assert_eq!(
                            table.passes(&packet),
                            verdict.is_allowed(),
                            "{:?}: {}", packet, verdict
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_source_that_is_not_ones_own_opens_nothing(
        standings in prop::collection::vec(standing(), 2..6),
    ) {
        let layout = layout();
        let fleet = fleet(&layout, standings);
        let table = table(&layout, &fleet);
        for thief in &fleet {
            for caller in fleet.iter().filter(|other| other.interface != thief.interface) {
                for target in &fleet {
                    for ends in caller.addresses.iter().zip(target.addresses.iter()) {
                        for knock in knocks() {
                            let packet = packet(thief, target, ends, knock);
                            prop_assert!(!table.passes(&packet), "{:?}", packet);
                        }
                    }
                }
            }
        }
    }
}
