//! What one sandbox can use up, and how the resolver ends.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use palisade_model::id::SandboxId;
use palisade_model::profile::EgressMode;
use tokio::io::AsyncReadExt as _;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::super::allowance::{BURST, CONNECTIONS_MAX, IN_FLIGHT_MAX};
use super::super::{Cause, question as reading};
use super::stage::{
    ASKER, PATIENCE, Stage, Upstream, address, addresses, question, receive, send, standing,
};
use crate::network::Addresses;

const INTERNET: EgressMode = EgressMode::Internet;
const OTHER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 8, 8, 8);

/// Waits for a state that must come.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

async fn ask_as_other(stage: &Stage) -> Message {
    let socket = UdpSocket::bind((OTHER, 0)).await.unwrap();
    socket.connect(stage.resolver).await.unwrap();
    let ask = question("example.com.", RecordType::A).to_vec().unwrap();
    socket.send(&ask).await.unwrap();
    let mut buffer = [0; 1500];
    let len = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&buffer[..len]).unwrap()
}

#[tokio::test]
async fn a_flood_is_cut_to_the_rate_and_hurts_nobody_else() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let other = SandboxId::new(Uuid::from_u128(8));
    let own = Addresses {
        v4: OTHER,
        v6: None,
    };
    stage.directory.insert(other, own, &standing(&INTERNET));
    let socket = stage.socket().await;
    let packet = question("flood.sandbox.internal.", RecordType::A)
        .to_vec()
        .unwrap();
    let start = Instant::now();
    for _ in 0..3000 {
        socket.send(&packet).await.unwrap();
        tokio::task::yield_now().await;
    }
    let told = ask_as_other(&stage).await;
    assert_eq!(addresses(&told), ["140.82.112.4"]);
    until("the flood must be counted", || {
        stage.refused(Cause::Rate) > 100
    })
    .await;
    let earned = u64::try_from(start.elapsed().as_millis() / 10).unwrap();
    assert!(stage.refused(Cause::LocalName) <= u64::from(BURST) + earned + 1);
}

#[tokio::test]
async fn one_sandbox_has_only_so_many_questions_in_flight() {
    let upstream = Upstream::silent().await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let socket = stage.socket().await;
    let packet = question("example.com.", RecordType::A).to_vec().unwrap();
    for _ in 0..IN_FLIGHT_MAX + 20 {
        socket.send(&packet).await.unwrap();
    }
    until("what exceeds the bound must be counted", || {
        stage.refused(Cause::Busy) >= 20
    })
    .await;
    // Those that had a place are answered, and the places are free again.
    let mut buffer = [0; 1500];
    for _ in 0..IN_FLIGHT_MAX {
        let len = timeout(PATIENCE, socket.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let told = Message::from_vec(&buffer[..len]).unwrap();
        assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
    }
    assert_eq!(stage.refused(Cause::Busy), 20);
    let told = stage.ask("example.com.", RecordType::A).await;
    assert_eq!(told.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn one_sandbox_has_only_so_many_connections() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        held.push(stage.connect().await);
    }
    let packet = question("example.com.", RecordType::A).to_vec().unwrap();
    for stream in &mut held {
        send(stream, &packet).await.unwrap();
        assert!(receive(stream).await.is_some());
    }
    let mut refused = stage.connect().await;
    let end = timeout(Duration::from_secs(2), refused.read(&mut [0; 1])).await;
    assert!(matches!(
        end.expect("it must be closed at once"),
        Ok(0) | Err(_)
    ));
    assert_eq!(stage.refused(Cause::Busy), 1);
    drop(held);
    let ask = question("example.com.", RecordType::A);
    until("places must become free", || {
        stage
            .directory
            .find(ASKER)
            .unwrap()
            .allowance
            .connection()
            .is_some()
    })
    .await;
    assert_eq!(stage.put_by_stream(&ask).await.answers.len(), 1);
}

#[tokio::test]
async fn a_connection_serves_several_questions() {
    let upstream = Upstream::saying([address("140.82.112.4")]).await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let mut stream = stage.connect().await;
    let packet = question("example.com.", RecordType::A).to_vec().unwrap();
    // Sent before the first answer is there.
    for _ in 0..3 {
        send(&mut stream, &packet).await.unwrap();
    }
    for _ in 0..3 {
        let answer = timeout(PATIENCE, receive(&mut stream)).await.unwrap();
        let answer = Message::from_vec(&answer.unwrap()).unwrap();
        assert_eq!(addresses(&answer), ["140.82.112.4"]);
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let upstream = Upstream::silent().await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let mut stream = stage.connect().await;
    let end = timeout(PATIENCE, stream.read(&mut [0; 1])).await;
    assert!(matches!(end.expect("it must be closed"), Ok(0) | Err(_)));
    assert_eq!(stage.refused(Cause::Connection), 1);
}

#[tokio::test]
async fn a_connection_that_promises_too_much_is_closed() {
    let upstream = Upstream::silent().await;
    let stage = Stage::new(&INTERNET, &[&upstream]);
    let mut stream = stage.connect().await;
    send(&mut stream, &vec![0; reading::LEN_MAX + 1])
        .await
        .unwrap();
    let end = timeout(Duration::from_secs(3), stream.read(&mut [0; 1])).await;
    assert!(matches!(
        end.expect("it must be closed at once"),
        Ok(0) | Err(_)
    ));
}

#[tokio::test]
async fn stopping_ends_everything_at_once() {
    let upstream = Upstream::silent().await;
    let mut stage = Stage::new(&INTERNET, &[&upstream]);
    let _idle = stage.connect().await;
    let socket = stage.socket().await;
    let packet = question("example.com.", RecordType::A).to_vec().unwrap();
    socket.send(&packet).await.unwrap();
    until("the question must arrive", || upstream.asked() > 0).await;
    stage.stop.cancel();
    let ended = timeout(Duration::from_secs(2), stage.tasks.join_next()).await;
    ended.expect("it must end").unwrap().unwrap().unwrap();
    // Its port is free again.
    UdpSocket::bind(stage.resolver).await.unwrap();
}
