//! Connections that change their protocol.

use std::io;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use palisade_http_router::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::place::{HOST, PATIENCE, Place, echo, head};

const WISH: &str = "GET /socket HTTP/1.1\r\nhost: box.example.com\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

/// Changes to a protocol in which every byte comes back.
async fn mirror(mut stream: TcpStream) -> io::Result<()> {
    let heard = head(&mut stream).await.to_ascii_lowercase();
    assert!(heard.contains("upgrade: websocket\r\n"), "{heard}");
    assert!(heard.contains("connection: upgrade\r\n"), "{heard}");
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(answer.as_bytes()).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await.map(|_| ())
}

async fn changed(place: &Place) -> TcpStream {
    let mut stream = place.connect().await;
    stream
        .write_all(WISH.as_bytes())
        .await
        .expect("loopback works");
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream
}

#[tokio::test]
async fn bytes_go_both_ways_after_the_change() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(mirror).await);
    let mut stream = changed(&place).await;
    for text in [b"first", b"other"] {
        stream.write_all(text).await.unwrap();
        let mut back = [0; 5];
        timeout(PATIENCE, stream.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&back, text);
    }
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let rest = stream.read_to_end(&mut rest);
    assert_eq!(timeout(PATIENCE, rest).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_changed_connection_ends_with_its_sandbox() {
    let place = Place::new(Limits::default()).await;
    let sandbox = place.route(HOST, place.server(mirror).await);
    let mut stream = changed(&place).await;
    place.router.routes().remove(sandbox);
    let ended = timeout(PATIENCE, stream.read(&mut [0]))
        .await
        .expect("it ends");
    assert_eq!(ended.unwrap_or(0), 0);
}

/// A client of HTTP/2 that has heard what the router offers.
async fn second(place: &Place) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(place.connect().await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .expect("both speak it");
    place.tasks.spawn(async move {
        // It ends with the test.
        let _ = connection.await;
    });
    let first = Request::get("http://nobody.example.com/").body(Empty::new());
    let first = first.expect("it is a request");
    let answer = sender.send_request(first).await.expect("it answers");
    assert_eq!(answer.status(), 404);
    sender
}

fn extended(protocol: &'static str) -> Request<Empty<Bytes>> {
    Request::connect(format!("http://{HOST}/socket"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .expect("it is a request")
}

#[tokio::test]
async fn a_client_of_http_2_opens_a_websocket_as_it_knows_them() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(mirror).await);
    let mut sender = second(&place).await;
    let mut answer = sender.send_request(extended("websocket")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("upgrade"));
    let upgraded = hyper::upgrade::on(&mut answer);
    let upgraded = timeout(PATIENCE, upgraded).await.unwrap().unwrap();
    let mut stream = TokioIo::new(upgraded);
    for text in [b"first", b"other"] {
        stream.write_all(text).await.unwrap();
        let mut back = [0; 5];
        let read = stream.read_exact(&mut back);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        assert_eq!(&back, text);
    }
}

#[tokio::test]
async fn what_http_2_does_not_open_is_not_taken_for_open() {
    let place = Place::new(Limits::default()).await;
    // It answers with a success, and changes nothing.
    place.route(HOST, place.server(|stream| echo(stream, "no")).await);
    let mut sender = second(&place).await;
    let answer = sender.send_request(extended("websocket")).await.unwrap();
    assert_eq!(answer.status(), 502);
    let answer = sender.send_request(extended("connect-udp")).await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_server_may_refuse_to_change() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "no")).await);
    let mut stream = place.connect().await;
    stream.write_all(WISH.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn there_are_only_so_many() {
    let limits = Limits {
        tunnels: 1,
        ..Limits::default()
    };
    let place = Place::new(limits).await;
    place.route(HOST, place.server(mirror).await);
    let _first = changed(&place).await;
    let mut second = place.connect().await;
    second.write_all(WISH.as_bytes()).await.unwrap();
    let answer = head(&mut second).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("x-palisade-router: tunnels-full"),
        "{answer}"
    );
}
