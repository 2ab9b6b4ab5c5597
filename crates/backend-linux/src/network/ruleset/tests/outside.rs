//! The table towards the outside, against the decision that it is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_model::cidr::Cidr;
use palisade_model::policy::{Door, EgressRules, NAME_PORTS, Surroundings, Target, decide};
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::Protocol;
use proptest::prelude::*;

use super::super::super::layout::{Layout, Slot, UPLINK};
use super::super::super::rules::{Bound, Tallies, compile};
use super::super::super::tests::alone;
use super::super::Router;
use super::interpreter::{Packet, Table};
use super::{flows_max, layout};

fn here(layout: &Layout) -> Surroundings {
    let range = |text: &str| text.parse().unwrap();
    Surroundings {
        host: vec![range("93.184.216.2/32"), range("2606:2800:220:2::2/128")],
        sandboxes: layout.pools().collect(),
        control: vec![range("151.101.0.9/32")],
        cluster: vec![range("10.96.0.0/12")],
    }
}

/// Ranges in which something is closed, something is open, and neighbours are.
fn range() -> impl Strategy<Value = Cidr> {
    let v4 = prop::sample::select(vec![
        "93.184.216.0",
        "151.101.0.0",
        "10.96.0.0",
        "10.201.0.0",
        "169.254.169.254",
        "192.168.0.0",
        "0.0.0.0",
    ]);
    let v6 = prop::sample::select(vec!["2606:2800:220:2::", "fd00::", "2000::", "fe80::"]);
    let v4 = (v4, 0u8..=32).prop_map(|(text, len)| {
        let bits = text.parse::<Ipv4Addr>().unwrap().to_bits();
        let mask = u32::MAX.checked_shl(u32::from(32 - len)).unwrap_or(0);
        Cidr::new(IpAddr::V4((bits & mask).into()), len).unwrap()
    });
    let v6 = (v6, 0u8..=128).prop_map(|(text, len)| {
        let bits = text.parse::<Ipv6Addr>().unwrap().to_bits();
        let mask = u128::MAX.checked_shl(u32::from(128 - len)).unwrap_or(0);
        Cidr::new(IpAddr::V6((bits & mask).into()), len).unwrap()
    });
    prop_oneof![v4, v6]
}

fn mode() -> impl Strategy<Value = EgressMode> {
    prop_oneof![
        Just(EgressMode::None),
        Just(EgressMode::Internet),
        Just(EgressMode::Org),
        prop::collection::vec(range(), 1..5).prop_map(EgressMode::Allowlist),
    ]
}

/// What lies at the edges of everything that is open or closed.
fn edges(mode: &EgressMode, here: &Surroundings) -> Vec<IpAddr> {
    let rules = EgressRules::new(mode, here);
    let closed = rules.deny.iter().map(|closure| closure.range);
    let ranges = rules.allow.iter().copied().chain(closed);
    ranges
        .flat_map(|range| [range.first(), range.last()])
        .flat_map(|edge| [Some(edge), beside(edge, false), beside(edge, true)])
        .flatten()
        .collect()
}

fn beside(address: IpAddr, is_after: bool) -> Option<IpAddr> {
    let step = |bits: u128| {
        if is_after {
            bits.checked_add(1)
        } else {
            bits.checked_sub(1)
        }
    };
    match address {
        IpAddr::V4(address) => {
            let bits = u32::try_from(step(address.to_bits().into())?).ok()?;
            Some(IpAddr::V4(bits.into()))
        }
        IpAddr::V6(address) => Some(IpAddr::V6(step(address.to_bits())?.into())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_table_lets_out_exactly_what_the_model_does(modes in prop::collection::vec(mode(), 1..4)) {
        let layout = layout();
        let here = here(&layout);
        let bound = |(mode, slot): (EgressMode, u32)| Bound {
            interface: format!("p{slot:014}"),
            addresses: layout.addresses(Slot(slot)),
            standing: alone(mode),
            booking: None,
        };
        let fleet = modes.into_iter().zip(0..).map(bound).collect::<Vec<_>>();
        let compiled = compile(&here, fleet.clone(), &Tallies::default()).unwrap();
        let router = Router { layout: &layout, flows_max: flows_max(), members: &compiled.members };
        let table = Table::read(&router.text());
        for caller in &fleet {
            let standing = &caller.standing;
            let rules = EgressRules::new(&standing.egress, &here);
            for to in edges(&standing.egress, &here) {
                let source = caller.addresses.iter().find(|own| own.is_ipv4() == to.is_ipv4());
                for (number, port) in [(6, 443), (17, 443), (6, NAME_PORTS[0]), (17, NAME_PORTS[1]), (1, 53)] {
                    let protocol = if number == 6 { Protocol::Tcp } else { Protocol::Udp };
                    let target = match number {
                        1 => Target::Address(to),
                        _ => Target::Port(to, Door { protocol, port }),
                    };
                    let verdict = decide(&rules, standing.party(), target);
                    let packet = Packet {
                        from: &caller.interface,
                        to: UPLINK,
                        source: source.unwrap(),
                        destination: to,
                        protocol: number,
                        port,
                    };
                    prop_assert_eq!(table.passes(&packet), verdict.is_allowed(), "{:?}: {}", packet, verdict);
                }
            }
        }
    }
}
