//! What one egress mode opens, in the form in which the kernel looks it up.
//!
//! [`EgressRules`] say it as open ranges and closed ranges, the closed ones
//! winning. Here that has been worked out: intervals of addresses, in order,
//! none touching another. Whatever lies outside of them is closed, so that
//! there is no second table of closed ranges that could fall behind.

use std::net::IpAddr;

use palisade_model::policy::{Block, Dns, EgressRules, Peers};

/// The first and the last address of an interval, of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Interval {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
}

/// What sandboxes with the same egress rules may open connections to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Openings {
    /// Both versions, the fourth first.
    pub(super) intervals: Vec<Interval>,
    /// Whether they may ask the resolver.
    pub(super) can_resolve: bool,
    /// Whether they may come to the HTTP entry point, which decides about the rest.
    pub(super) can_enter: bool,
}

impl Openings {
    /// Works the rules out. What [`EgressRules::peers`] opens is not part of it.
    pub(super) fn new(rules: &EgressRules) -> Self {
        let intervals = rules.blocks().iter().flat_map(open_parts).collect();
        Self {
            intervals: joined(intervals),
            can_resolve: match rules.dns {
                Dns::Forward | Dns::SandboxNamesOnly => true,
                Dns::Off => false,
            },
            can_enter: match rules.peers {
                Peers::None => false,
                Peers::User | Peers::Org | Peers::Profile => true,
            },
        }
    }
}

/// What is left of a range between its exceptions.
fn open_parts(block: &Block) -> Vec<Interval> {
    let mut except = block.except.clone();
    except.sort_by_key(|range| range.first());
    let mut parts = Vec::new();
    let mut from = Some(block.range.first());
    for closed in except {
        let Some(first) = from else {
            break;
        };
        if let Some(last) = before(closed.first())
            && first <= last
        {
            parts.push(Interval { first, last });
        }
        from = after(closed.last());
    }
    let last = block.range.last();
    if let Some(first) = from.filter(|first| *first <= last) {
        parts.push(Interval { first, last });
    }
    parts
}

/// Sorts intervals, and makes one of those that touch or overlap.
fn joined(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort();
    let mut joined = Vec::<Interval>::with_capacity(intervals.len());
    for interval in intervals {
        match joined.last_mut() {
            Some(previous) if touches(*previous, interval) => {
                previous.last = previous.last.max(interval.last);
            }
            Some(_) | None => joined.push(interval),
        }
    }
    joined
}

fn touches(lower: Interval, upper: Interval) -> bool {
    lower.first.is_ipv4() == upper.first.is_ipv4()
        && after(lower.last).is_none_or(|next| upper.first <= next)
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits().checked_sub(1)?;
            Some(IpAddr::V4(bits.into()))
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits().checked_sub(1)?;
            Some(IpAddr::V6(bits.into()))
        }
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits().checked_add(1)?;
            Some(IpAddr::V4(bits.into()))
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits().checked_add(1)?;
            Some(IpAddr::V6(bits.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::cidr::Cidr;
    use palisade_model::policy::Surroundings;
    use palisade_model::profile::EgressMode;
    use proptest::prelude::*;

    use super::*;

    fn here() -> Surroundings {
        Surroundings {
            host: vec!["198.51.77.9/32".parse().unwrap()],
            sandboxes: vec![
                "10.201.0.0/16".parse().unwrap(),
                "fd77::/64".parse().unwrap(),
            ],
            control: vec!["151.101.0.9/32".parse().unwrap()],
            cluster: Vec::new(),
        }
    }

    fn openings(mode: &EgressMode) -> Openings {
        Openings::new(&EgressRules::new(mode, &here()))
    }

    fn text(openings: &Openings) -> Vec<String> {
        let line = |interval: &Interval| format!("{}-{}", interval.first, interval.last);
        openings.intervals.iter().map(line).collect()
    }

    #[test]
    fn no_mode_opens_nothing_and_resolves_nothing() {
        assert_eq!(openings(&EgressMode::None), Openings::default());
    }

    #[test]
    fn a_closed_address_splits_the_range_around_it() {
        let list = vec!["151.101.0.0/24".parse().unwrap()];
        assert_eq!(
            text(&openings(&EgressMode::Allowlist(list))),
            ["151.101.0.0-151.101.0.8", "151.101.0.10-151.101.0.255"]
        );
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let list = ["140.82.113.0/24", "140.82.112.0/24", "140.82.112.128/25"];
        let list = list.map(|range| range.parse().unwrap()).to_vec();
        assert_eq!(
            text(&openings(&EgressMode::Allowlist(list))),
            ["140.82.112.0-140.82.113.255"]
        );
    }

    fn range() -> impl Strategy<Value = Cidr> {
        let v4 = (any::<u32>(), 0u8..=32).prop_map(|(bits, len)| {
            let mask = u32::MAX.checked_shl(u32::from(32 - len)).unwrap_or(0);
            Cidr::new(IpAddr::V4((bits & mask).into()), len).unwrap()
        });
        let v6 = (any::<u128>(), 0u8..=128).prop_filter_map("mapped", |(bits, len)| {
            let mask = u128::MAX.checked_shl(u32::from(128 - len)).unwrap_or(0);
            Cidr::new(IpAddr::V6((bits & mask).into()), len).ok()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn an_address_is_open_exactly_when_the_model_says_so(
            list in prop::collection::vec(range(), 0..6),
            nearby in prop::collection::vec(range(), 0..6),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        ) {
            let rules = EgressRules::new(&EgressMode::Allowlist(list.clone()), &Surroundings {
                control: nearby.clone(),
                ..here()
            });
            let openings = Openings::new(&rules);
            for pair in openings.intervals.windows(2) {
                prop_assert!(pair[0].last < pair[1].first, "{:?}", pair);
            }
            let edges: Vec<IpAddr> = list.iter().chain(&nearby)
                .flat_map(|range| [Some(range.first()), Some(range.last()), before(range.first()), after(range.last())])
                .flatten()
                .collect();
            for pick in picks.iter().filter(|_| !edges.is_empty()) {
                let address = *pick.get(&edges);
                let is_open = openings.intervals.iter()
                    .any(|interval| interval.first <= address && address <= interval.last);
                let is_allowed = rules.blocks().iter().any(|block| {
                    block.range.contains(address) && !block.except.iter().any(|range| range.contains(address))
                });
                prop_assert_eq!(is_open, is_allowed, "{}", address);
            }
        }
    }
}
