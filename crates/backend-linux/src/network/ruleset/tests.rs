use palisade_model::policy::{EgressRules, Surroundings};
use palisade_model::profile::EgressMode;

use super::super::layout::Slot;
use super::super::members::{Classes, of_class, of_sandbox};
use super::super::openings::Openings;
use super::*;

fn layout() -> Layout {
    Layout::sample(&"dev".parse().unwrap()).unwrap()
}

fn flows_max() -> NonZeroU32 {
    4096.try_into().unwrap()
}

#[test]
fn the_router_without_sandboxes_is_closed() {
    let text = Router {
        layout: &layout(),
        flows_max: flows_max(),
        members: &[],
    }
    .text();
    insta::assert_snapshot!(text);
}

#[test]
fn each_sandbox_brings_its_elements() {
    let layout = layout();
    let here = Surroundings {
        sandboxes: layout.pools().collect(),
        ..Surroundings::default()
    };
    let list = ["140.82.112.0/20", "2606:50c0::/32", "10.0.0.0/8"];
    let modes = [
        EgressMode::None,
        EgressMode::Internet,
        EgressMode::Allowlist(list.map(|range| range.parse().unwrap()).to_vec()),
    ];
    let mut classes = Classes::default();
    let mut members = Vec::new();
    for (mode, slot) in modes.iter().zip(0..) {
        let openings = Openings::new(&EgressRules::new(mode, &here));
        let (class, _) = classes.enter(openings).unwrap();
        let addresses = layout.addresses(Slot(slot));
        members.extend(of_sandbox(&format!("p{slot:014}"), addresses, class, 0));
    }
    for (class, openings) in classes.iter() {
        members.extend(of_class(class, openings));
    }
    let text = Router {
        layout: &layout,
        flows_max: flows_max(),
        members: &members,
    }
    .text();
    insta::assert_snapshot!(text);
}

#[test]
fn the_host_is_closed_to_what_comes_through_the_uplink() {
    let opened = Opened {
        v4: ["eth0".to_owned(), "eth1".to_owned()].into(),
        v6: BTreeSet::new(),
    };
    let text = Host {
        layout: &layout(),
        opened: &opened,
    }
    .text();
    insta::assert_snapshot!(text);
    insta::assert_snapshot!(inheritance("palisade_other", &opened));
}

#[test]
fn without_version_6_no_rule_names_an_address_of_it() {
    let layout = Layout {
        pool6: None,
        ..layout()
    };
    let router = Router {
        layout: &layout,
        flows_max: flows_max(),
        members: &[],
    };
    let host = Host {
        layout: &layout,
        opened: &Opened::default(),
    };
    assert!(!router.text().contains("ip6 daddr fd"));
    assert!(!host.text().contains("ip6"));
}
