//! Connections to ports. Process 1 shares the loopback of the test here.

use std::num::NonZeroU16;

use palisade_backend::{AttachError, Tunnel, TunnelEvent};
use palisade_backend_linux::init_client::connect;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;
use tokio_util::task::TaskTracker;

use crate::world::*;

async fn listen(address: &str) -> (TcpListener, NonZeroU16) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, NonZeroU16::new(port).unwrap())
}

async fn open(world: &World, port: NonZeroU16) -> Result<Tunnel, AttachError> {
    connect(&world.client, port, &TaskTracker::new()).await
}

async fn opened(world: &World, address: &str) -> (Tunnel, TcpStream) {
    let (listener, port) = listen(address).await;
    let tunnel = open(world, port).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (tunnel, stream)
}

async fn next(tunnel: &mut Tunnel) -> Option<TunnelEvent> {
    let event = time::timeout(PATIENCE, tunnel.events.recv()).await;
    event.expect("it goes on or ends")
}

#[tokio::test]
async fn both_families_of_the_loopback_are_reached() {
    let world = World::start(idle()).await;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (mut tunnel, mut stream) = opened(&world, address).await;
        tunnel.input.send(bytes("in")).await.unwrap();
        let mut read = [0; 2];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"in", "{address}");
        stream.write_all(b"out").await.unwrap();
        assert_eq!(
            next(&mut tunnel).await,
            Some(TunnelEvent::Data(bytes("out")))
        );
    }
}

#[tokio::test]
async fn both_ends_are_told_and_then_it_is_over() {
    let world = World::start(idle()).await;
    let (tunnel, mut stream) = opened(&world, "127.0.0.1:0").await;
    let Tunnel { input, events } = tunnel;
    drop(input);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    stream.write_all(b"after").await.unwrap();
    drop(stream);
    let (closed, _) = tokio::sync::mpsc::channel(1);
    let mut tunnel = Tunnel {
        input: closed,
        events,
    };
    assert_eq!(
        next(&mut tunnel).await,
        Some(TunnelEvent::Data(bytes("after")))
    );
    assert_eq!(next(&mut tunnel).await, Some(TunnelEvent::End));
    assert_eq!(next(&mut tunnel).await, None);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_closed() {
    let world = World::start(idle()).await;
    let (listener, port) = listen("127.0.0.1:0").await;
    drop(listener);
    let refused = open(&world, port).await.unwrap_err();
    assert_eq!(refused, AttachError::PortClosed { port: port.get() });
}

#[tokio::test]
async fn whoever_is_at_the_port_notices_that_nobody_listens_any_more() {
    let world = World::start(idle()).await;
    let (tunnel, mut stream) = opened(&world, "127.0.0.1:0").await;
    drop(tunnel);
    let gone = time::timeout(PATIENCE, async {
        // Written to nobody: the kernel answers with a reset.
        while stream.write_all(&[0; 1024]).await.is_ok() {
            time::sleep(time::Duration::from_millis(1)).await;
        }
    });
    gone.await.expect("the connection is ended");
}

#[tokio::test]
async fn no_more_are_open_at_once_than_the_limit() {
    let mut config = idle();
    config.limits.tunnels = 1;
    let mut world = World::start(config).await;
    let (listener, port) = listen("127.0.0.1:0").await;
    let held = open(&world, port).await.unwrap();
    let busy = open(&world, port).await.unwrap_err();
    assert_eq!(busy, AttachError::Busy { limit: 1 });
    drop((held, listener));
    let (_listener, port) = listen("127.0.0.1:0").await;
    let client = world.client.clone();
    let again = time::timeout(PATIENCE, async {
        while connect(&client, port, &TaskTracker::new()).await.is_err() {
            time::sleep(time::Duration::from_millis(2)).await;
        }
    });
    again.await.expect("there is room again");
    world.stop(time::Duration::ZERO).await;
    world.gone().await;
}
