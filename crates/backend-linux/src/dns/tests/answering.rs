//! What each egress mode is answered.

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::svcb::{IpHint, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, HTTPS};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use palisade_model::profile::EgressMode;

use super::super::Cause;
use super::stage::{
    ASKER_ADDRESSES, ASKER_ID, Stage, Upstream, address, addresses, alias, answer, question,
    standing, with_payload,
};

/// Addresses that are not public, and a public one among them.
const MIXED4: [&str; 14] = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "140.82.112.4",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    // Of the host, and of the platform.
    "93.184.216.2",
    "151.101.0.9",
];
const MIXED6: [&str; 14] = [
    "::",
    "::1",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:140.82.112.4",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
    "2001:db8::1",
    "2606:2800:220:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
];

fn allowlist(ranges: &[&str]) -> EgressMode {
    EgressMode::Allowlist(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

#[tokio::test]
async fn with_internet_only_public_addresses_are_told() {
    let upstream = Upstream::saying(MIXED4.iter().chain(&MIXED6).map(|text| address(text))).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("rebind.example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::NoError);
    assert_eq!(addresses(&told), ["140.82.112.4", "2606:2800:220:1::1"]);
    let counts = stage.tally.counts();
    assert_eq!((counts.answered, counts.withheld), (1, 26));
}

#[tokio::test]
async fn with_an_allowlist_only_listed_addresses_are_told() {
    let upstream = Upstream::saying(MIXED4.iter().chain(&MIXED6).map(|text| address(text))).await;
    let list = ["192.168.1.0/24", "2606:2800:220:1::/64", "0.0.0.0/0"];
    let stage = Stage::new(&allowlist(&list[..2]), &[&upstream]);
    let told = stage.ask("mixed.example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["192.168.1.1", "2606:2800:220:1::1"]);
    // A wide range opens no private address that it does not name.
    let stage = Stage::new(&allowlist(&list[2..]), &[&upstream]);
    let told = stage.ask("mixed.example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
}

#[tokio::test]
async fn modes_that_resolve_nothing_are_refused() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    for mode in [
        EgressMode::None,
        EgressMode::User,
        EgressMode::Org,
        EgressMode::Profile,
    ] {
        let stage = Stage::new(&mode, &[&upstream]);
        let told = stage.ask("example.com.", RecordType::A).await;
        assert_eq!(told.metadata.response_code, ResponseCode::Refused);
        assert_eq!(stage.refused(Cause::Mode), 1);
        assert_eq!(stage.directory.refused(ASKER_ID), 1);
    }
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn who_is_no_sandbox_is_refused() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    stage.directory.remove(ASKER_ADDRESSES);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::Refused);
    assert_eq!(stage.refused(Cause::UnknownAsker), 1);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_change_of_mode_holds_from_the_next_question_on() {
    let upstream = Upstream::saying([address("140.82.112.4"), address("10.0.0.7")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
    let mode = allowlist(&["10.0.0.0/24"]);
    let standing = standing(&mode);
    stage.directory.insert(ASKER_ID, ASKER_ADDRESSES, &standing);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["10.0.0.7"]);
}

#[tokio::test]
async fn an_alias_passes_and_what_it_leads_to_is_judged() {
    let records = [alias("inside.example.com."), address("10.0.0.1")];
    let upstream = Upstream::saying(records).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("outside.example.com.", RecordType::A).await;
    assert_eq!(told.answers.len(), 1);
    assert_eq!(told.answers[0].record_type(), RecordType::CNAME);
}

#[tokio::test]
async fn what_was_withheld_is_told_to_those_who_understand() {
    let upstream = Upstream::saying([address("10.0.0.1")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let plain = question("example.com.", RecordType::A);
    let told = stage.put(&with_payload(plain.clone(), 1232)).await;
    let edns = told.edns.unwrap();
    assert_eq!(
        edns.option(EdnsCode::Unknown(15)),
        Some(&EdnsOption::Unknown(15, vec![0, 17]))
    );
    assert!(stage.put(&plain).await.edns.is_none());
}

#[tokio::test]
async fn address_hints_of_services_are_judged() {
    let hint = |hints: &[[u8; 4]]| {
        let hints = hints.iter().map(|octets| A((*octets).into())).collect();
        let value = SvcParamValue::Ipv4Hint(IpHint(hints));
        let service = SVCB::new(1, Name::root(), vec![(SvcParamKey::Ipv4Hint, value)]);
        RData::HTTPS(HTTPS(service))
    };
    let fine = hint(&[[140, 82, 112, 4]]);
    let records = [fine.clone(), hint(&[[140, 82, 112, 4], [10, 0, 0, 1]])];
    let upstream = Upstream::saying(records).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("example.com.", RecordType::HTTPS).await;
    assert_eq!(told.answers.len(), 1);
    assert_eq!(told.answers[0].data, fine);
}

#[tokio::test]
async fn nothing_passes_in_the_other_sections_that_would_not_in_the_first() {
    let upstream = Upstream::new(|question, _| {
        let mut said = answer(question, &[address("140.82.112.4")]);
        let hidden = Record::from_rdata(Name::root(), 60, address("10.0.0.1"));
        said.authorities.push(hidden.clone());
        said.additionals.push(hidden);
        vec![said.to_vec().unwrap()]
    })
    .await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.answers.len(), 1);
    assert!(told.authorities.is_empty() && told.additionals.is_empty());
}

#[tokio::test]
async fn names_of_this_host_never_leave_it() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    for name in ["sandbox.internal.", "a.b.SANDBOX.Internal.", "localhost."] {
        let told = stage.ask(name, RecordType::A).await;
        assert_eq!(
            told.metadata.response_code,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
    assert_eq!(stage.refused(Cause::LocalName), 3);
    assert_eq!(upstream.asked(), 0);
    let told = stage.ask("notsandbox.internal.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn closed_addresses_have_no_names() {
    let upstream = Upstream::saying([alias("printer.corp.example.")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let closed6 = format!("1{}d.f.ip6.arpa.", ".0".repeat(29) + ".");
    for name in ["7.1.168.192.in-addr.arpa.", "10.in-addr.arpa.", &closed6] {
        let told = stage.ask(name, RecordType::PTR).await;
        assert_eq!(
            told.metadata.response_code,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
    assert_eq!(stage.refused(Cause::ClosedAddress), 3);
    assert_eq!(upstream.asked(), 0);
    let told = stage
        .ask("4.112.82.140.in-addr.arpa.", RecordType::PTR)
        .await;
    assert_eq!(told.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test]
async fn only_plain_questions_are_forwarded() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    for kind in [
        RecordType::ANY,
        RecordType::AXFR,
        RecordType::IXFR,
        RecordType::NULL,
        RecordType::Unknown(38),
    ] {
        let told = stage.ask("example.com.", kind).await;
        assert_eq!(told.metadata.response_code, ResponseCode::Refused, "{kind}");
    }
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    let told = stage.put(&chaos).await;
    assert_eq!(told.metadata.response_code, ResponseCode::Refused);
    assert_eq!(stage.refused(Cause::Type), 6);
    for operation in [OpCode::Notify, OpCode::Update, OpCode::Status] {
        let mut other = question("example.com.", RecordType::A);
        other.metadata.op_code = operation;
        let told = stage.put(&other).await;
        assert_eq!(told.metadata.response_code, ResponseCode::NotImp);
    }
    let mut newer = question("example.com.", RecordType::A);
    newer.edns = Some(Edns::new().set_version(1).clone());
    let told = stage.put(&newer).await;
    // The number has two names.
    assert_eq!(u16::from(told.metadata.response_code), 16);
    assert_eq!(stage.refused(Cause::Operation), 4);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_exist_does_not_exist_here_either() {
    let upstream = Upstream::new(|question: &Message, _| {
        let mut said = answer(question, &[]);
        said.metadata.response_code = ResponseCode::NXDomain;
        vec![said.to_vec().unwrap()]
    })
    .await;
    let stage = Stage::new(&EgressMode::Internet, &[&upstream]);
    let told = stage.ask("nowhere.example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::NXDomain);
}
