use palisade_model::policy::{Door, Exposed, Standing, Surroundings};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::Protocol;

use super::super::layout::Slot;
use super::super::rules::{Bound, Tallies, compile};
use super::super::tests::alone;
use super::*;

mod interpreter;
mod outside;
mod peers;
mod services;

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
        EgressMode::Org,
        EgressMode::User,
    ];
    let exposed = Exposed {
        level: "web".parse().unwrap(),
        scope: Scope::Org,
        doors: [Protocol::Tcp, Protocol::Udp]
            .map(|protocol| Door {
                protocol,
                port: 8080,
            })
            .into(),
    };
    let sandboxes = modes.into_iter().zip(0..).map(|(mode, slot)| Bound {
        interface: format!("p{slot:014}"),
        addresses: layout.addresses(Slot(slot)),
        standing: Standing {
            exposed: (slot == 0).then(|| exposed.clone()),
            ..alone(mode)
        },
        booking: None,
    });
    let members = compile(&here, sandboxes.collect(), &Tallies::default())
        .unwrap()
        .members;
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
        published: &[Door {
            protocol: Protocol::Tcp,
            port: 30_000,
        }]
        .into(),
        external: &["203.0.113.0/28".parse().unwrap()],
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
        published: &BTreeSet::new(),
        external: &[],
    };
    assert!(!router.text().contains("ip6 daddr fd"));
    assert!(!host.text().contains("ip6"));
}
