//! What the contract of [`crate::Attach`] says of tunnels, a sentence each.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: they fail by panicking, and their names say what they state"
)]

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use palisade_model::id::SandboxId;
use tokio::time;

use super::{Harness, Job, PATIENCE, launch, start, wait_until_over};
use crate::{AttachError, Tunnel, TunnelEvent};

const PORT: u16 = 4711;

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A sandbox in which somebody listens.
async fn listening(harness: &dyn Harness) -> SandboxId {
    let id = start(harness, &Job::Echo(PORT)).await;
    let listens = time::timeout(PATIENCE, async {
        while let Err(error) = harness.attach().connect(id, port(PORT)).await {
            assert_eq!(error, AttachError::PortClosed { port: PORT });
            time::sleep(Duration::from_millis(20)).await;
        }
    });
    listens.await.expect("somebody comes to listen");
    id
}

async fn connect(harness: &dyn Harness, id: SandboxId) -> Tunnel {
    let connected = harness.attach().connect(id, port(PORT)).await;
    connected.expect("the port takes connections")
}

async fn next(tunnel: &mut Tunnel) -> Option<TunnelEvent> {
    let event = time::timeout(PATIENCE, tunnel.events.recv()).await;
    event.expect("the tunnel goes on or ends")
}

/// Reads until the end of what comes, and how it ended.
async fn rest(tunnel: &mut Tunnel) -> (Vec<u8>, Vec<TunnelEvent>) {
    let (mut bytes, mut others) = (Vec::new(), Vec::new());
    while let Some(event) = next(tunnel).await {
        if let TunnelEvent::Data(data) = &event {
            bytes.extend_from_slice(data);
        } else {
            others.push(event);
        }
    }
    (bytes, others)
}

async fn clean_up(harness: &dyn Harness, id: SandboxId) {
    let removed = harness.backend().remove(id).await;
    removed.expect("it can be removed");
}

pub async fn bytes_go_through_a_tunnel_and_come_back(harness: &mut dyn Harness) {
    let id = listening(harness).await;
    let mut tunnel = connect(harness, id).await;
    let sent = Bytes::from_static(b"\0 any \xff bytes\r\n");
    tunnel.input.send(sent.clone()).await.unwrap();
    assert_eq!(next(&mut tunnel).await, Some(TunnelEvent::Data(sent)));
    clean_up(harness, id).await;
}

pub async fn the_end_of_one_direction_leaves_the_other_open(harness: &mut dyn Harness) {
    let id = listening(harness).await;
    let mut tunnel = connect(harness, id).await;
    tunnel
        .input
        .send(Bytes::from_static(b"last"))
        .await
        .unwrap();
    let (closed, _) = tokio::sync::mpsc::channel(1);
    tunnel.input = closed;
    let rest = rest(&mut tunnel).await;
    assert_eq!(rest, (b"last".to_vec(), vec![TunnelEvent::End]));
    clean_up(harness, id).await;
}

pub async fn a_slow_reader_of_a_tunnel_loses_nothing(harness: &mut dyn Harness) {
    let id = listening(harness).await;
    let mut tunnel = connect(harness, id).await;
    let piece = Bytes::from((0..=u8::MAX).cycle().take(64 * 1024).collect::<Vec<u8>>());
    let expected = piece.repeat(128);
    let input = tunnel.input.clone();
    let (closed, _) = tokio::sync::mpsc::channel(1);
    tunnel.input = closed;
    let write = async move {
        for _ in 0..128 {
            input.send(piece.clone()).await.unwrap();
        }
    };
    let read = async {
        // Everything on the way fills up first.
        time::sleep(Duration::from_millis(300)).await;
        rest(&mut tunnel).await
    };
    let ((), (bytes, others)) = tokio::join!(write, read);
    assert!(bytes == expected, "{} bytes came back", bytes.len());
    assert_eq!(others, [TunnelEvent::End]);
    clean_up(harness, id).await;
}

pub async fn many_tunnels_at_once_do_not_mix(harness: &mut dyn Harness) {
    let id = listening(harness).await;
    let mut tunnels = Vec::new();
    for number in 0..20_u8 {
        let tunnel = connect(harness, id).await;
        tunnel
            .input
            .send(Bytes::from(vec![number; 3]))
            .await
            .unwrap();
        tunnels.push(tunnel);
    }
    for (number, mut tunnel) in (0..20_u8).zip(tunnels) {
        let (closed, _) = tokio::sync::mpsc::channel(1);
        tunnel.input = closed;
        assert_eq!(rest(&mut tunnel).await.0, [number; 3]);
    }
    clean_up(harness, id).await;
}

pub async fn a_port_where_nobody_listens_is_refused(harness: &mut dyn Harness) {
    let id = start(harness, &Job::RunUntilStopped).await;
    let refused = harness.attach().connect(id, port(9)).await;
    assert_eq!(refused.unwrap_err(), AttachError::PortClosed { port: 9 });
    clean_up(harness, id).await;
}

pub async fn tunnels_into_what_is_not_there_are_refused(harness: &mut dyn Harness) {
    let never = launch(harness, &Job::RunUntilStopped).id;
    let refused = harness.attach().connect(never, port(PORT)).await;
    assert_eq!(refused.unwrap_err(), AttachError::NotFound);
    let id = start(harness, &Job::ExitWith(0)).await;
    wait_until_over(harness, id).await;
    let refused = harness.attach().connect(id, port(PORT)).await;
    assert_eq!(refused.unwrap_err(), AttachError::NotRunning);
    clean_up(harness, id).await;
}

pub async fn dropping_the_events_ends_the_connection(harness: &mut dyn Harness) {
    let id = listening(harness).await;
    let Tunnel { input, events } = connect(harness, id).await;
    drop(events);
    let closed = time::timeout(PATIENCE, input.closed()).await;
    closed.expect("nobody takes what goes in any more");
    clean_up(harness, id).await;
}
