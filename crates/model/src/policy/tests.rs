use std::net::IpAddr;

use proptest::prelude::*;

use super::ranges::{SPECIAL, is_public, never_opens};
use super::*;
use crate::cidr::Cidr;
use crate::id::ProfileId;
use crate::profile::{EgressMode, Exposure, Scope, ServiceSpec};
use crate::sandbox::{AppliedExposure, Owner, Port, Protocol};
use crate::testing::{knock, standing};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn owner(organization: &str, user: &str) -> Owner {
    Owner {
        organization: organization.parse().unwrap(),
        user: user.parse().unwrap(),
    }
}

fn profile(number: u128) -> ProfileId {
    ProfileId::new(uuid::Uuid::from_u128(number))
}

fn here() -> Surroundings {
    Surroundings {
        host: cidrs(&["8.8.4.4/32", "2600::7/128"]),
        sandboxes: cidrs(&["10.88.0.0/16"]),
        control: cidrs(&["10.99.0.1/32"]),
        cluster: cidrs(&["10.96.0.0/12", "52.0.0.0/24"]),
    }
}

fn allowlist(ranges: &[&str]) -> EgressRules {
    EgressRules::new(&EgressMode::Allowlist(cidrs(ranges)), &here())
}

fn opens(rules: &EgressRules, address: &str) -> bool {
    let owner = owner("acme", "ada");
    let party = Party {
        owner: &owner,
        profile: profile(1),
    };
    decide(rules, party, Target::Address(ip(address))).is_allowed()
}

fn step(address: IpAddr, up: bool) -> Option<IpAddr> {
    let moved = |bits: u128| {
        if up {
            bits.checked_add(1)
        } else {
            bits.checked_sub(1)
        }
    };
    match address {
        IpAddr::V4(v4) => moved(u32::from(v4).into())
            .and_then(|bits| u32::try_from(bits).ok())
            .map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) => moved(v6.into()).map(|bits| IpAddr::V6(bits.into())),
    }
}

#[test]
fn every_entry_of_the_table_is_a_network_without_host_bits() {
    for special in SPECIAL {
        let text = special.range.to_string();
        match text.parse::<Cidr>() {
            Ok(read) => assert_eq!(read, special.range, "{text}"),
            // The one range that profiles cannot write down.
            Err(error) => assert_eq!(error, crate::cidr::CidrError::MappedIpv4, "{text}"),
        }
    }
}

#[test]
fn first_and_last_of_every_range_are_closed_and_the_neighbours_are_judged_anew() {
    let rules = EgressRules::new(&EgressMode::Internet, &Surroundings::default());
    for special in SPECIAL {
        let (first, last) = (special.range.first(), special.range.last());
        for inside in [first, last] {
            assert!(!is_public(inside), "{inside} in {}", special.range);
            assert!(!opens(&rules, &inside.to_string()), "{inside}");
        }
        for outside in [step(first, false), step(last, true)].into_iter().flatten() {
            let elsewhere = SPECIAL.iter().any(|other| other.range.contains(outside));
            let assigned = outside.is_ipv4() || ranges::GLOBAL_UNICAST_V6.contains(outside);
            assert!(!special.range.contains(outside));
            assert_eq!(is_public(outside), assigned && !elsewhere, "{outside}");
            assert_eq!(
                opens(&rules, &outside.to_string()),
                is_public(outside),
                "{outside}"
            );
        }
    }
}

/// Written by hand from the registries, so that an error in the table shows.
const PUBLIC: &str = "
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
    140.82.112.3 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
    191.255.255.255 192.0.1.0 192.0.3.0 192.31.196.1 192.52.193.1 192.88.98.255 192.88.100.0
    192.167.255.255 192.169.0.0 192.175.48.1 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0
    203.0.112.255 203.0.114.0 223.255.255.255 2001:200::1 2001:4860:4860::8888
    2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2003:: 2606:4700:4700::1111 2620:4f:8000::1
    3ffe:ffff:: 3fff:1000::";

/// Likewise.
const NOT_PUBLIC: &str = "
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
    169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192
    192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::10.0.0.1 ::ffff:8.8.8.8 ::ffff:10.0.0.1
    ::ffff:0:10.0.0.1 64:ff9b::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254
    64:ff9b:1::10.0.0.1 64:ff9b:1:ffff::1 100::1 100:0:0:1::1 2001::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1
    2002:a00:1:: 2002:808:808::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254
    fd20:ce::254 fe80::1 fec0::1 ff02::1";

#[test]
fn known_addresses_are_public_or_not() {
    for public in PUBLIC.split_whitespace() {
        assert!(is_public(ip(public)), "{public}");
    }
    for closed in NOT_PUBLIC.split_whitespace() {
        assert!(!is_public(ip(closed)), "{closed}");
    }
}

#[test]
fn internet_reaches_public_addresses_and_none_of_the_surroundings() {
    let rules = EgressRules::new(&EgressMode::Internet, &here());
    for open in ["1.1.1.1", "8.8.4.5", "52.0.1.0", "2600::8"] {
        assert!(opens(&rules, open), "{open}");
    }
    for closed in ["8.8.4.4", "2600::7", "10.88.0.1", "10.96.0.1", "52.0.0.255"] {
        assert!(!opens(&rules, closed), "{closed}");
    }
}

#[test]
fn none_reaches_nothing_and_looks_up_nothing() {
    let rules = EgressRules::new(&EgressMode::None, &here());
    let owner = owner("acme", "ada");
    let party = Party {
        owner: &owner,
        profile: profile(1),
    };
    assert!(!opens(&rules, "1.1.1.1"));
    assert!(rules.blocks().is_empty());
    for kind in [NameKind::Sandbox, NameKind::Other] {
        assert!(!decide(&rules, party, Target::Name(kind)).is_allowed());
    }
}

#[test]
fn an_allowlist_opens_its_first_and_last_address_and_not_the_ones_beside() {
    let rules = allowlist(&["140.82.112.0/20", "2a04:4e40::/32"]);
    for open in [
        "140.82.112.0",
        "140.82.127.255",
        "2a04:4e40::",
        "2a04:4e40:ffff:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert!(opens(&rules, open), "{open}");
    }
    for closed in ["140.82.111.255", "140.82.128.0", "2a04:4e41::", "1.1.1.1"] {
        assert!(!opens(&rules, closed), "{closed}");
    }
}

#[test]
fn a_private_range_opens_only_where_the_list_names_it() {
    let part = allowlist(&["10.1.0.0/16"]);
    assert!(opens(&part, "10.1.2.3") && !opens(&part, "10.2.0.0"));
    let whole = allowlist(&["10.0.0.0/8"]);
    assert!(opens(&whole, "10.200.0.1"));
    let wide = allowlist(&["0.0.0.0/0"]);
    assert!(opens(&wide, "1.1.1.1") && !opens(&wide, "10.1.2.3"));
    let both = allowlist(&["0.0.0.0/0", "10.1.0.0/16"]);
    assert!(opens(&both, "1.1.1.1") && opens(&both, "10.1.2.3"));
    assert!(!opens(&both, "10.0.255.255") && !opens(&both, "10.2.0.0"));
}

#[test]
fn what_must_stay_closed_stays_closed_even_when_it_is_listed() {
    let rules = allowlist(&[
        "0.0.0.0/0",
        "::/0",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "169.254.169.254/32",
        "10.0.0.0/8",
        "10.88.0.0/16",
        "10.99.0.1/32",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "8.8.4.4/32",
        "2600::7/128",
        "fc00::/7",
        "fd00:ec2::254/128",
        "fe80::/10",
        "64:ff9b::/96",
        "2002::/16",
        "2001::/32",
    ]);
    for closed in [
        "127.0.0.1",
        "169.254.169.254",
        "169.254.1.1",
        "10.88.7.7",
        "10.99.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.251",
        "8.8.4.4",
        "2600::7",
        "::1",
        "::ffff:1.1.1.1",
        "fd00:ec2::254",
        "fe80::1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::1",
        "2001::1",
    ] {
        assert!(!opens(&rules, closed), "{closed}");
    }
    for open in ["10.7.0.1", "100.64.0.1", "fd12::1", "1.1.1.1"] {
        assert!(opens(&rules, open), "{open}");
    }
}

#[test]
fn cluster_ranges_open_only_to_a_list_that_names_them() {
    assert!(!opens(&allowlist(&["52.0.0.0/8"]), "52.0.0.1"));
    assert!(opens(&allowlist(&["52.0.0.1/32"]), "52.0.0.1"));
}

#[test]
fn ranges_that_no_list_can_open_are_known_to_be_such() {
    let names = |text: &str| never_opens(text.parse().unwrap()).map(|special| special.name);
    assert_eq!(names("127.0.0.1/32"), Some("loopback"));
    assert_eq!(names("169.254.0.0/16"), Some("link-local addresses"));
    assert_eq!(names("10.0.0.0/8"), None);
    assert_eq!(names("0.0.0.0/0"), None);
}

fn exposed(scope: Scope, ports: &[u16]) -> Exposed {
    let level = AppliedExposure {
        name: "internal".parse().unwrap(),
        exposure: Exposure {
            scope,
            expects_external_address: false,
            service: ServiceSpec::default(),
            route: None,
        },
        ports: ports.to_vec(),
    };
    let listened = [80, 81].map(|number| Port {
        number,
        name: String::new(),
        protocol: Protocol::Tcp,
    });
    Exposed::of(&level, &listened)
}

fn tcp(port: u16) -> Knock {
    Knock::At(Door {
        protocol: Protocol::Tcp,
        port,
    })
}

fn udp(port: u16) -> Knock {
    Knock::At(Door {
        protocol: Protocol::Udp,
        port,
    })
}

/// Callers beside ada's sandbox under profile 1 of acme.
fn callers() -> [(&'static str, Owner, ProfileId); 5] {
    [
        ("same user, same profile", owner("acme", "ada"), profile(1)),
        ("same user, other profile", owner("acme", "ada"), profile(2)),
        ("other user, same profile", owner("acme", "bob"), profile(1)),
        (
            "other user, other profile",
            owner("acme", "bob"),
            profile(2),
        ),
        ("other organization", owner("evil", "ada"), profile(1)),
    ]
}

/// Which of the callers the egress mode alone would let through.
fn by_egress(mode: &EgressMode) -> [bool; 5] {
    match mode {
        EgressMode::User => [true, true, false, false, false],
        EgressMode::Profile => [true, false, true, false, false],
        EgressMode::Org => [true, true, true, true, false],
        EgressMode::None | EgressMode::Internet | EgressMode::Allowlist(_) => [false; 5],
    }
}

/// Which of the callers the exposure alone would let through.
fn by_scope(scope: Scope) -> [bool; 5] {
    match scope {
        Scope::User => [true, true, false, false, false],
        Scope::Profile => [true, false, true, false, false],
        Scope::Org => [true, true, true, true, false],
        Scope::Any => [true; 5],
    }
}

fn modes() -> [EgressMode; 6] {
    [
        EgressMode::None,
        EgressMode::Internet,
        EgressMode::Allowlist(cidrs(&["10.0.0.0/8"])),
        EgressMode::User,
        EgressMode::Org,
        EgressMode::Profile,
    ]
}

/// Whether each of the callers reaches ada's sandbox so.
fn reached(mode: &EgressMode, exposed: Option<&Exposed>, knock: Knock) -> [bool; 5] {
    let rules = EgressRules::new(mode, &here());
    let target = owner("acme", "ada");
    let party = Party {
        owner: &target,
        profile: profile(1),
    };
    callers().map(|(_, owner, profile)| {
        let caller = Party {
            owner: &owner,
            profile,
        };
        let target = Target::Sandbox {
            party,
            exposed,
            knock,
        };
        decide(&rules, caller, target).is_allowed()
    })
}

#[test]
fn a_sandbox_reaches_another_only_if_both_sides_agree() {
    for mode in modes() {
        for scope in Scope::ALL {
            let level = exposed(scope, &[80]);
            let (egress, scope) = (by_egress(&mode), by_scope(scope));
            let both = std::array::from_fn(|place| egress[place] && scope[place]);
            let reached = |level, knock| reached(&mode, level, knock);
            assert_eq!(reached(Some(&level), tcp(80)), both, "{mode:?} {level:?}");
            assert_eq!(reached(Some(&level), tcp(81)), [false; 5], "other port");
            assert_eq!(reached(Some(&level), udp(80)), [false; 5], "other protocol");
            assert_eq!(reached(Some(&level), Knock::Icmp), [false; 5], "no port");
            assert_eq!(reached(None, tcp(80)), [false; 5], "nothing exposed");
        }
    }
}

#[test]
fn from_outside_only_the_scope_decides() {
    let target = owner("acme", "ada");
    let host = Party {
        owner: &target,
        profile: profile(1),
    };
    let acme = "acme".parse().unwrap();
    let evil = "evil".parse().unwrap();
    for (scope, member, foreign, stranger) in [
        (Scope::User, false, false, false),
        (Scope::Profile, false, false, false),
        (Scope::Org, true, false, false),
        (Scope::Any, true, true, true),
    ] {
        let level = exposed(scope, &[80]);
        let enters = |visitor| admits(host, Some(&level), tcp(80), visitor).is_allowed();
        assert_eq!(enters(Visitor::Member(&acme)), member, "{scope:?}");
        assert_eq!(enters(Visitor::Member(&evil)), foreign, "{scope:?}");
        assert_eq!(enters(Visitor::Stranger), stranger, "{scope:?}");
    }
}

#[test]
fn no_mode_opens_the_ports_of_other_servers_of_names() {
    let listed = EgressMode::Allowlist(cidrs(&["1.1.1.1/32", "10.0.0.53/32"]));
    for (mode, address) in [
        (EgressMode::Internet, "1.1.1.1"),
        (listed.clone(), "1.1.1.1"),
        (listed, "10.0.0.53"),
    ] {
        let rules = EgressRules::new(&mode, &Surroundings::default());
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let at = |port| rules.port(ip(address), Door { protocol, port });
            for port in NAME_PORTS {
                assert_eq!(at(port), Verdict::Refused(Refused::OtherResolver));
            }
            assert!(at(443).is_allowed());
        }
    }
    let none = EgressRules::new(&EgressMode::None, &Surroundings::default());
    let door = Door {
        protocol: Protocol::Udp,
        port: 53,
    };
    let verdict = none.port(ip("1.1.1.1"), door);
    assert_eq!(verdict, Verdict::Refused(Refused::NotListed));
}

#[test]
fn a_verdict_says_what_it_rests_on() {
    let owner = owner("acme", "ada");
    let party = Party {
        owner: &owner,
        profile: profile(1),
    };
    let rules = EgressRules::new(&EgressMode::Internet, &here());
    let said = |address: &str| decide(&rules, party, Target::Address(ip(address))).to_string();
    assert_eq!(
        said("169.254.169.254"),
        "refused: 169.254.169.254/32 is a cloud metadata address"
    );
    assert_eq!(said("1.1.1.1"), "allowed: 0.0.0.0/0 is open");
    assert_eq!(
        said("4000::1"),
        "refused: the egress mode opens no range with this address"
    );
}

fn any_cidr() -> impl Strategy<Value = Cidr> {
    let table = (0..SPECIAL.len()).prop_map(|place| SPECIAL[place].range);
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(bits, prefix)| {
        let net = ipnet::Ipv4Net::new(bits.into(), prefix).unwrap().trunc();
        net.to_string().parse().unwrap()
    });
    let v6 = (any::<u128>(), 0u8..=128).prop_map(|(bits, prefix)| {
        // Inside global unicast, where mapped addresses are not.
        let bits = bits >> 3 | 1 << 125;
        let net = ipnet::Ipv6Net::new(bits.into(), prefix.max(3)).unwrap();
        net.trunc().to_string().parse().unwrap()
    });
    prop_oneof![3 => v4, 1 => v6, 1 => table]
}

fn any_mode() -> impl Strategy<Value = EgressMode> {
    prop_oneof![
        Just(EgressMode::None),
        Just(EgressMode::Internet),
        Just(EgressMode::User),
        Just(EgressMode::Org),
        Just(EgressMode::Profile),
        prop::collection::vec(any_cidr(), 1..8).prop_map(EgressMode::Allowlist),
    ]
}

fn any_surroundings() -> impl Strategy<Value = Surroundings> {
    let some = || prop::collection::vec(any_cidr(), 0..3);
    (some(), some(), some(), some()).prop_map(|(host, sandboxes, control, cluster)| Surroundings {
        host,
        sandboxes,
        control,
        cluster,
    })
}

/// Addresses at the edges of everything that the rules mention.
fn edges(rules: &EgressRules) -> Vec<IpAddr> {
    let ranges = rules.allow.iter().copied();
    ranges
        .chain(rules.deny.iter().map(|closed| closed.range))
        .flat_map(|range| {
            let (first, last) = (range.first(), range.last());
            [
                Some(first),
                Some(last),
                step(first, false),
                step(last, true),
            ]
        })
        .flatten()
        .collect()
}

proptest! {
    #[test]
    fn blocks_open_exactly_what_the_rules_open(
        mode in any_mode(), here in any_surroundings(), random in any::<u32>(),
    ) {
        let rules = EgressRules::new(&mode, &here);
        let blocks = rules.blocks();
        for address in edges(&rules).into_iter().chain([IpAddr::V4(random.into())]) {
            let in_block = blocks.iter().any(|block| {
                block.range.contains(address)
                    && !block.except.iter().any(|range| range.contains(address))
            });
            prop_assert_eq!(opens(&rules, &address.to_string()), in_block, "{}", address);
        }
    }

    #[test]
    fn nothing_that_is_always_closed_is_ever_open(mode in any_mode(), here in any_surroundings()) {
        let rules = EgressRules::new(&mode, &here);
        let closed = SPECIAL.iter().filter(|special| !special.openable).map(|special| special.range);
        let own = [&here.host, &here.sandboxes, &here.control].into_iter().flatten().copied();
        for range in closed.chain(own) {
            for address in [range.first(), range.last()] {
                prop_assert!(!opens(&rules, &address.to_string()), "{}", address);
            }
        }
    }

    #[test]
    fn internet_opens_public_addresses_only(bits in any::<u32>(), v6 in any::<u128>(), here in any_surroundings()) {
        let rules = EgressRules::new(&EgressMode::Internet, &here);
        for address in [IpAddr::V4(bits.into()), IpAddr::V6(v6.into())] {
            prop_assert!(!opens(&rules, &address.to_string()) || is_public(address));
        }
    }

    #[test]
    fn an_allowlist_opens_nothing_that_it_does_not_list(
        list in prop::collection::vec(any_cidr(), 1..8), here in any_surroundings(),
    ) {
        let rules = EgressRules::new(&EgressMode::Allowlist(list.clone()), &here);
        for address in edges(&rules) {
            let listed = list.iter().any(|range| range.contains(address));
            prop_assert!(listed || !opens(&rules, &address.to_string()));
        }
    }

    #[test]
    fn a_closed_surrounding_more_never_opens_an_address(
        mode in any_mode(), here in any_surroundings(), more in any_cidr(), random in any::<u32>(),
    ) {
        let before = EgressRules::new(&mode, &here);
        let mut tighter = here;
        tighter.cluster.push(more);
        let after = EgressRules::new(&mode, &tighter);
        for address in edges(&after).into_iter().chain([IpAddr::V4(random.into())]) {
            let address = address.to_string();
            prop_assert!(!opens(&after, &address) || opens(&before, &address));
        }
    }
}

proptest! {
    #[test]
    fn a_door_takes_a_claim_of_exactly_those_who_may_open_it(
        caller in standing(),
        target in standing(),
        knock in knock(),
    ) {
        let held = claims(&caller);
        prop_assert!(held.len() <= CLAIMS_MAX);
        let taken = taken(&target);
        let is_door = match (knock, &target.exposed) {
            (Knock::At(door), Some(exposed)) => exposed.doors.contains(&door),
            (Knock::At(_) | Knock::Icmp, _) => false,
        };
        let fits = held.iter().any(|claim| taken.contains(claim));
        let verdict = caller.reaches(&target, knock);
        prop_assert_eq!(is_door && fits, verdict.is_allowed(), "{}", verdict);
    }

    #[test]
    fn two_organizations_never_reach_each_other(
        caller in standing(),
        target in standing(),
        knock in knock(),
    ) {
        if caller.owner.organization != target.owner.organization {
            prop_assert!(!caller.reaches(&target, knock).is_allowed());
        }
    }

    #[test]
    fn a_name_exists_exactly_for_those_who_may_open_something_there(
        caller in standing(),
        target in standing(),
    ) {
        let Some(exposed) = &target.exposed else {
            return Ok(());
        };
        let reaches = |door: &Door| caller.reaches(&target, Knock::At(*door)).is_allowed();
        let sees = caller.sees(&target, &exposed.level).is_allowed();
        prop_assert_eq!(sees, exposed.doors.iter().any(reaches));
        let other = "other".parse().unwrap();
        prop_assert!(!caller.sees(&target, &other).is_allowed());
    }
}
