//! Upstream servers that are slow, dead, wrong, or not the ones they seem.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use palisade_model::profile::EgressMode;
use tokio::time::Instant;

use super::super::upstream::Servers;
use super::super::{Cause, Config, Upstreams};
use super::stage::{
    Stage, Upstream, Way, address, addresses, answer, question, text, with_payload,
};
use crate::network::Outward;

const INTERNET: EgressMode = EgressMode::Internet;

#[tokio::test]
async fn a_dead_upstream_is_told_in_bounded_time() {
    let upstream = Upstream::silent().await;
    let stage = Stage::new(&INTERNET, &[&upstream, &upstream, &upstream]);
    let start = Instant::now();
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
    // Three attempts of 400 ms.
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(stage.refused(Cause::Upstream), 1);
}

#[tokio::test]
async fn a_port_that_is_closed_is_not_waited_for() {
    let closed = "127.7.7.7:9".parse().unwrap();
    let good = Upstream::saying([address("140.82.112.4")]).await;
    let servers = Upstreams::Fixed(vec![closed, good.address]);
    let stage = Stage::with(&INTERNET, servers);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
}

#[tokio::test]
async fn the_next_server_is_asked_and_then_preferred() {
    let dead = Upstream::silent().await;
    let failing = Upstream::new(|question, _| {
        let mut said = answer(question, &[]);
        said.metadata.response_code = ResponseCode::ServFail;
        vec![said.to_vec().unwrap()]
    })
    .await;
    let good = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&INTERNET, &[&dead, &failing, &good]);
    for _ in 0..5 {
        let told = stage.ask("example.com.", RecordType::A).await;
        assert_eq!(addresses(&told), ["140.82.112.4"]);
    }
    assert_eq!((dead.asked(), failing.asked(), good.asked()), (1, 1, 5));
}

#[tokio::test]
async fn only_the_answer_to_the_question_counts() {
    let upstream = Upstream::new(|question: &Message, _| {
        let true_one = answer(question, &[address("140.82.112.4")]);
        let mut other_id = answer(question, &[address("6.6.6.6")]);
        other_id.metadata.id = question.metadata.id.wrapping_add(1);
        let mut other_name = answer(question, &[address("6.6.6.6")]);
        other_name.queries = super::stage::question("other.example.com.", RecordType::A).queries;
        let mut other_kind = answer(question, &[address("6.6.6.6")]);
        other_kind.queries[0].query_type = RecordType::AAAA;
        let mut no_question = answer(question, &[address("6.6.6.6")]);
        no_question.queries.clear();
        let messages = [
            other_id,
            other_name,
            other_kind,
            no_question,
            question.clone(),
            true_one,
        ];
        let mut packets = messages.map(|message| message.to_vec().unwrap()).to_vec();
        packets.insert(0, vec![0xff; 40]);
        packets
    })
    .await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
    assert_eq!(stage.tally.counts().ignored, 6);
}

#[tokio::test]
async fn who_guesses_ids_is_left_for_a_connection() {
    let upstream = Upstream::new(|question, way| {
        let spoofed = |n: u16| {
            let mut said = answer(question, &[address("6.6.6.6")]);
            said.metadata.id = question.metadata.id.wrapping_add(n + 1);
            said.to_vec().unwrap()
        };
        match way {
            Way::Datagram => (0..100).map(spoofed).collect(),
            Way::Stream => vec![
                answer(question, &[address("140.82.112.4")])
                    .to_vec()
                    .unwrap(),
            ],
        }
    })
    .await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
    assert_eq!(stage.tally.counts().ignored, 8);
}

#[tokio::test]
async fn each_question_has_an_id_and_a_port_of_its_own() {
    let upstream = Upstream::saying([]).await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    for _ in 0..20 {
        stage.ask("example.com.", RecordType::A).await;
    }
    let seen = upstream.seen.lock().unwrap();
    let ports = seen.iter().map(|(port, _)| port).collect::<BTreeSet<_>>();
    let ids = seen.iter().map(|(_, id)| id).collect::<BTreeSet<_>>();
    // Some may be the same by chance, and neighbours are no random choice.
    assert!(ports.len() >= 17 && ids.len() >= 17, "{seen:?}");
    let is_row = |numbers: BTreeSet<&u16>| {
        numbers.last().unwrap().abs_diff(**numbers.first().unwrap()) < 100
    };
    assert!(!is_row(ports) && !is_row(ids), "{seen:?}");
}

#[tokio::test]
async fn an_answer_cut_short_is_fetched_over_a_connection() {
    let upstream = Upstream::new(|question, way| {
        let whole = answer(question, &[text(4000)]);
        let said = match way {
            Way::Datagram => whole.truncate(),
            Way::Stream => whole,
        };
        vec![said.to_vec().unwrap()]
    })
    .await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let ask = question("example.com.", RecordType::TXT);
    let told = stage.put_by_stream(&ask).await;
    assert!(!told.metadata.truncation);
    assert_eq!(told.answers.len(), 1);
    // Over a datagram the asker is told to come by connection, as it should.
    let told = stage.put(&with_payload(ask, 4096)).await;
    assert!(told.metadata.truncation && told.answers.is_empty());
}

#[tokio::test]
async fn an_answer_is_no_longer_than_the_asker_takes() {
    let upstream = Upstream::saying([text(800)]).await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let ask = question("example.com.", RecordType::TXT);
    let plain = stage.exchange(&ask.to_vec().unwrap()).await;
    assert!(plain.len() <= 512);
    assert!(Message::from_vec(&plain).unwrap().metadata.truncation);
    let told = stage.put(&with_payload(ask.clone(), 1232)).await;
    assert!(!told.metadata.truncation && told.answers.len() == 1);
    assert_eq!(stage.put_by_stream(&ask).await.answers.len(), 1);
}

#[tokio::test]
async fn the_servers_of_the_host_are_looked_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("resolv.conf");
    let config = Config {
        upstreams: Upstreams::File(file.clone()),
        ..Config::default()
    };
    let outward = Outward::here().unwrap();
    let servers = Servers::new(config, outward, Arc::default()).unwrap();
    for (text, expected) in [
        (None, &[][..]),
        (Some("nameserver 127.0.0.1\n"), &["127.0.0.1:53"][..]),
        (Some("nameserver ::1\n"), &["[::1]:53"]),
        // Just being rewritten.
        (Some(""), &["[::1]:53"]),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        servers.reread();
        let current = servers.current();
        let current = current.iter().map(ToString::to_string);
        assert_eq!(current.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_host_that_has_no_servers_yet_is_told_as_a_failure() {
    let file = "/nonexistent/resolv.conf".into();
    let stage = Stage::with(&INTERNET, Upstreams::File(file));
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
}
