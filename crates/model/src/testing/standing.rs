//! Generators of sandboxes that may have something in common.
//!
//! The worlds are small on purpose: two organizations with users and profiles of
//! the same names, so that every combination comes up.

use proptest::collection::btree_set;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::id::ProfileId;
use crate::policy::{Door, Exposed, Knock, Standing};
use crate::profile::{EgressMode, Scope};
use crate::sandbox::{Owner, Protocol};

/// The ports that sandboxes of these worlds know.
const PORTS: [u16; 2] = [80, 443];

/// The standing of any sandbox.
pub fn standing() -> impl Strategy<Value = Standing> {
    let owner = (select(vec!["acme", "evil"]), select(vec!["ada", "bob"]));
    let profile = select(vec![1, 2]);
    (owner, profile, peer_mode(), option::of(exposed())).prop_map(
        |((organization, user), profile, egress, exposed)| {
            let valid = "the samples use valid names";
            Standing {
                owner: Owner {
                    organization: organization.parse().expect(valid),
                    user: user.parse().expect(valid),
                },
                profile: ProfileId::new(Uuid::from_u128(profile)),
                egress,
                exposed,
            }
        },
    )
}

/// Anything that can be asked of a sandbox.
pub fn knock() -> impl Strategy<Value = Knock> {
    prop_oneof![4 => door().prop_map(Knock::At), 1 => Just(Knock::Icmp)]
}

fn peer_mode() -> impl Strategy<Value = EgressMode> {
    let everything = ["0.0.0.0/0", "10.0.0.0/8", "::/0", "fd00::/8"];
    let list = everything.map(|range| range.parse().expect("the samples use valid ranges"));
    select(vec![
        EgressMode::None,
        EgressMode::Internet,
        EgressMode::Allowlist(list.to_vec()),
        EgressMode::User,
        EgressMode::Org,
        EgressMode::Profile,
        EgressMode::User,
        EgressMode::Org,
        EgressMode::Profile,
    ])
}

fn exposed() -> impl Strategy<Value = Exposed> {
    (select(Scope::ALL.to_vec()), btree_set(door(), 1..4)).prop_map(|(scope, doors)| Exposed {
        level: "internal".parse().expect("the sample uses a valid name"),
        scope,
        doors,
    })
}

fn door() -> impl Strategy<Value = Door> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp]);
    (protocol, select(PORTS.to_vec())).prop_map(|(protocol, port)| Door { protocol, port })
}
