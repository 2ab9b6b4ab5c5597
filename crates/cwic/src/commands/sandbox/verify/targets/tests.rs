use palisade_model::policy::{Refused, Verdict};

use super::*;

fn here() -> Surroundings {
    Surroundings {
        host: vec![
            "192.0.2.7/32".parse().unwrap(),
            "2001:db8::7/128".parse().unwrap(),
        ],
        sandboxes: vec!["10.201.0.0/16".parse().unwrap()],
        control: vec!["10.9.0.1/32".parse().unwrap()],
        cluster: vec!["10.96.0.0/12".parse().unwrap()],
    }
}

fn seen() -> Vec<Sight> {
    [
        "address 10.201.0.9",
        "gateway 169.254.1.1",
        "resolver 169.254.1.1",
    ]
    .map(|line| line.parse().unwrap())
    .to_vec()
}

fn asked(mode: &EgressMode) -> Vec<Question> {
    questions(&View {
        mode,
        here: &here(),
        seen: &seen(),
        server_port: NonZeroU16::new(8181),
        sandboxes: &BTreeSet::new(),
    })
}

fn expected(questions: &[Question], probe: &str) -> Option<Expected> {
    let probe: Probe = probe.parse().unwrap();
    let mut questions = questions.iter();
    questions.find(|it| it.probe == probe).map(|it| it.expected)
}

fn allowlist(ranges: &[&str]) -> EgressMode {
    EgressMode::Allowlist(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

#[test]
fn every_constant_is_an_address() {
    let private = PRIVATE.iter().map(|(_, address)| *address);
    for address in METADATA.into_iter().chain(private).chain(PUBLIC) {
        assert!(address.parse::<IpAddr>().is_ok(), "{address}");
    }
    assert!(PUBLIC_NAME.parse::<HostName>().is_ok());
}

#[test]
fn everything_around_a_sandbox_is_asked_about_by_every_protocol() {
    let questions = asked(&EgressMode::None);
    for probe in [
        "tcp/192.0.2.7/22",
        "tcp/192.0.2.7/8181",
        "udp/2001:db8::7/22",
        "icmp/192.0.2.7",
        "tcp/127.0.0.1/8181",
        "tcp/::1/22",
        "icmp/169.254.1.1",
        "tcp/169.254.169.254/80",
        "udp/fd00:ec2::254/80",
        "icmp/10.255.255.254",
        "tcp/10.201.0.0/443",
        "tcp/10.201.255.255/443",
        "tcp/10.9.0.1/443",
        "tcp/10.111.255.255/443",
        "tcp/1.1.1.1/443",
        "icmp/2606:4700:4700::1111",
        "dns/8.8.8.8/example.com",
        "dns/169.254.1.1/example.com",
    ] {
        assert!(expected(&questions, probe).is_some(), "{probe}");
    }
    let allowed = questions
        .iter()
        .filter(|it| it.expected.word() == "allowed");
    assert_eq!(allowed.count(), 0, "none opens nothing");
    let distinct: BTreeSet<&Probe> = questions.iter().map(|it| &it.probe).collect();
    assert_eq!(distinct.len(), questions.len());
}

#[test]
fn the_edges_of_ranges_are_asked_about_as_the_model_sees_them() {
    let questions = asked(&allowlist(&[
        "203.0.113.8/29",
        "203.0.113.16/32",
        "2a00::/64",
    ]));
    let word = |probe: &str| expected(&questions, probe).map(Expected::word);
    assert_eq!(word("tcp/203.0.113.8/443"), Some("allowed"));
    assert_eq!(word("udp/203.0.113.15/443"), Some("allowed"));
    assert_eq!(word("icmp/203.0.113.7"), Some("refused"));
    // Just after one range, and the whole of another.
    assert_eq!(word("tcp/203.0.113.16/443"), Some("allowed"));
    assert_eq!(word("tcp/203.0.113.17/443"), Some("refused"));
    assert_eq!(word("tcp/2a00::/443"), Some("allowed"));
    assert_eq!(word("tcp/2a00::ffff:ffff:ffff:ffff/443"), Some("allowed"));
    assert_eq!(word("tcp/2a00:0:0:1::/443"), Some("refused"));
    assert_eq!(word("dns/169.254.1.1/example.com"), Some("allowed"));
}

#[test]
fn nothing_lies_beside_the_ends_of_all_addresses() {
    let questions = asked(&allowlist(&["0.0.0.0/0", "::/0"]));
    assert_eq!(
        expected(&questions, "tcp/0.0.0.0/443"),
        None,
        "that would be the sandbox itself"
    );
    assert!(expected(&questions, "udp/255.255.255.255/443").is_some());
    assert_eq!(beside([0, 0, 0, 0].into(), false), None);
    assert_eq!(beside([255, 255, 255, 255].into(), true), None);
    assert_eq!(beside(Ipv6Addr::from_bits(u128::MAX).into(), true), None);
}

#[test]
fn the_internet_is_expected_to_be_open_and_nothing_else_is() {
    let questions = asked(&EgressMode::Internet);
    let allowed = questions
        .iter()
        .filter(|it| it.expected.word() == "allowed");
    let targets: BTreeSet<&str> = allowed.map(|it| it.target.as_str()).collect();
    let open = ["internet", "name by the resolver"];
    assert_eq!(targets, open.into());
}

#[test]
fn without_a_resolver_whoever_stands_in_its_place_is_asked() {
    let seen = ["gateway 10.0.0.1".parse().unwrap()];
    assert_eq!(resolvers(&seen), ["10.0.0.1".parse().unwrap()]);
    assert_eq!(resolvers(&[]), []);
}

#[test]
fn sandboxes_are_not_asked_about_as_addresses() {
    let sandboxes = BTreeSet::from(["10.201.0.0".parse().unwrap()]);
    let questions = questions(&View {
        mode: &EgressMode::None,
        here: &here(),
        seen: &seen(),
        server_port: None,
        sandboxes: &sandboxes,
    });
    assert_eq!(expected(&questions, "tcp/10.201.0.0/443"), None);
    let last = expected(&questions, "tcp/10.201.255.255/443").unwrap();
    assert_eq!(last.word(), "refused");
    let no_names = Verdict::Refused(Refused::NoSuchNames);
    let name = expected(&questions, "dns/169.254.1.1/example.com");
    assert_eq!(name, Some(Expected::Name(no_names)));
}

#[test]
fn other_servers_of_names_are_closed_whatever_else_they_are() {
    let questions = asked(&EgressMode::Internet);
    let refused = Expected::Address(Verdict::Refused(Refused::OtherResolver));
    assert_eq!(
        expected(&questions, "dns/8.8.8.8/example.com"),
        Some(refused)
    );
    let Some(Expected::Address(verdict)) = expected(&questions, "tcp/8.8.8.8/443") else {
        panic!("it is asked about");
    };
    assert!(verdict.is_allowed());
}
