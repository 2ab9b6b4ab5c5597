use palisade_model::id::ProfileId;
use palisade_model::profile::{EgressMode, Scope, ServiceType};

use super::super::plan::{Kin, Post};
use super::*;

fn peer(kin: Kin, egress: EgressMode, level: Option<Scope>, address: &str) -> Peer {
    let post = Post {
        egress: ("mode".parse().unwrap(), egress),
        level: level.map(|scope| ("team".parse().unwrap(), scope)),
        service: ServiceType::ClusterIp,
        asks: true,
    };
    let lines = [
        format!("address {address}"),
        "address fe80::9%2".to_owned(),
        "gateway 169.254.1.1".to_owned(),
        "resolver 169.254.1.1".to_owned(),
    ];
    Peer {
        id: "01a217fd-ddb1-7711-9345-440de126b182".to_owned(),
        name: post.name(kin),
        service: None,
        standing: post.standing(kin, ProfileId::new(uuid::Uuid::max())),
        seen: lines.iter().map(|line| line.parse().unwrap()).collect(),
    }
}

/// A runner whose sandboxes have external addresses from a pool that it tells of.
fn here() -> Surroundings {
    Surroundings {
        host: vec!["192.0.2.9/32".parse().unwrap()],
        sandboxes: vec![
            "10.201.0.0/16".parse().unwrap(),
            "203.0.113.0/28".parse().unwrap(),
        ],
        ..Surroundings::default()
    }
}

fn allowed(caller: &Peer, other: &Peer) -> Vec<String> {
    let questions = caller.questions(other, &here()).into_iter();
    questions
        .filter(|it| it.expected.word() == "allowed")
        .map(|it| it.probe.to_string())
        .collect()
}

#[test]
fn what_is_exposed_to_the_caller_is_expected_to_be_open() {
    let caller = peer(Kin::Own, EgressMode::User, None, "10.201.0.9");
    let other = peer(Kin::Own, EgressMode::None, Some(Scope::User), "10.201.0.10");
    let name = format!("dns/169.254.1.1/{}.team.sandbox.internal", other.id);
    let open = ["tcp/10.201.0.10/47001", "udp/10.201.0.10/47002", &name];
    assert_eq!(allowed(&caller, &other), open);
}

#[test]
fn nobody_else_is_let_in() {
    let to = |kin, level| peer(kin, EgressMode::User, level, "10.201.0.10");
    let from = |egress| peer(Kin::Own, egress, None, "10.201.0.9");
    let none: [String; 0] = [];
    assert_eq!(
        allowed(&from(EgressMode::None), &to(Kin::Own, Some(Scope::Any))),
        none
    );
    assert_eq!(allowed(&from(EgressMode::User), &to(Kin::Own, None)), none);
    let other_user = to(Kin::OtherUser, Some(Scope::Any));
    assert_eq!(allowed(&from(EgressMode::User), &other_user), none);
    assert_eq!(allowed(&from(EgressMode::Org), &other_user).len(), 3);
    let elsewhere = to(Kin::OtherOrganization, Some(Scope::Any));
    assert_eq!(allowed(&from(EgressMode::Org), &elsewhere), none);
}

#[test]
fn every_connection_is_asked_about_with_a_datagram_beside_it() {
    let caller = peer(Kin::Own, EgressMode::User, None, "10.201.0.9");
    let other = peer(Kin::Own, EgressMode::None, Some(Scope::User), "fd00::10");
    let questions = caller.questions(&other, &here());
    let has = |probe: &Probe| questions.iter().any(|it| it.probe == *probe);
    for question in &questions {
        if let Probe::Tcp(host, port) = question.probe {
            assert!(has(&Probe::Udp(host, port)), "{}", question.probe);
        }
    }
    assert!(has(&"icmp/fd00::10".parse().unwrap()));
    let scoped = questions
        .iter()
        .any(|it| it.probe.to_string().contains('%'));
    assert!(!scoped, "an address of one link is nobody else's");
}

#[test]
fn a_service_address_leads_those_in_scope_to_exposed_ports_only() {
    let at = |kind, address: &str| Peer {
        service: Some(Service {
            kind,
            address: address.parse().unwrap(),
        }),
        ..peer(Kin::Own, EgressMode::None, Some(Scope::User), "10.201.0.10")
    };
    let from = |egress| peer(Kin::Own, egress, None, "10.201.0.9");
    let only = |caller: &Peer, other: &Peer, address: &str| {
        let all = allowed(caller, other).into_iter();
        all.filter(|probe| probe.contains(address))
            .collect::<Vec<_>>()
    };
    let balanced = at(ServiceType::LoadBalancer, "203.0.113.4:47001");
    assert_eq!(
        only(&from(EgressMode::User), &balanced, "203.0.113.4"),
        ["tcp/203.0.113.4/47001", "udp/203.0.113.4/47002"]
    );
    let ported = at(ServiceType::NodePort, "192.0.2.9:30007");
    assert_eq!(
        only(&from(EgressMode::User), &ported, "192.0.2.9"),
        ["tcp/192.0.2.9/30007", "udp/192.0.2.9/30008"]
    );
    for (other, address) in [(balanced, "203.0.113.4"), (ported, "192.0.2.9")] {
        let none: [String; 0] = [];
        assert_eq!(only(&from(EgressMode::Internet), &other, address), none);
        assert_eq!(only(&from(EgressMode::None), &other, address), none);
    }
}

#[test]
fn an_external_address_of_somebody_else_s_is_a_public_one() {
    let open = Peer {
        service: Some(Service {
            kind: ServiceType::LoadBalancer,
            address: "151.101.0.4:47001".parse().unwrap(),
        }),
        ..peer(Kin::Own, EgressMode::None, Some(Scope::Any), "10.201.0.10")
    };
    let caller = peer(Kin::Own, EgressMode::Internet, None, "10.201.0.9");
    assert!(allowed(&caller, &open).contains(&"tcp/151.101.0.4/47001".to_owned()));
    let verdicts = open.asked_outside().unwrap();
    assert!(verdicts.expected.word() == "allowed");
}
