//! Callers that are sandboxes, beside strangers at the other door.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use palisade_http_router::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::place::{HOST, PATIENCE, Place, echo, head};

fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn what_is_not_for_strangers_looks_to_them_as_if_it_were_not_there() {
    let place = Place::new(Limits::default()).await;
    let server = place.server(|stream| echo(stream, "box")).await;
    place.close_to_strangers(place.route(HOST, server));
    let inside = place.ask_at(place.inside, &get(HOST)).await;
    assert!(inside.starts_with("HTTP/1.1 200"), "{inside}");
    let refused = place.ask(&get(HOST)).await;
    let unknown = place.ask(&get("none.example.com")).await;
    let date = |line: &&str| !line.starts_with("date:");
    let same = |answer: String, host| {
        let answer = answer.replace(host, "X");
        answer
            .lines()
            .filter(date)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    let length = HOST.len().abs_diff("none.example.com".len());
    assert_ne!(length, 0);
    let without_length = |lines: Vec<String>| {
        let lines = lines
            .into_iter()
            .filter(|line| !line.starts_with("content-length:"));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        without_length(same(refused, HOST)),
        without_length(same(unknown, "none.example.com"))
    );
}

#[tokio::test]
async fn no_connection_to_a_sandbox_is_shared_by_callers_and_strangers() {
    let place = Place::new(Limits::default()).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = place
        .server(move |stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            echo(stream, "box")
        })
        .await;
    place.route(HOST, server);
    for _ in 0..2 {
        for door in [place.address, place.inside] {
            let answer = place.ask_at(door, &get(HOST)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // Ended or broken off, but not open.
    let _ = read.expect("it ends");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_caller_has_a_bounded_number_of_connections_and_all_end_with_it() {
    let place = Place::new(Limits::default()).await;
    let upgraded = |mut stream: TcpStream| async move {
        head(&mut stream).await;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        stream.write_all(answer.as_bytes()).await?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.map(drop)
    };
    place.route(HOST, place.server(upgraded).await);
    let connect = || async {
        TcpStream::connect(place.inside)
            .await
            .expect("loopback works")
    };
    let (mut idle, mut tunnel) = (connect().await, connect().await);
    let ask =
        format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    tunnel.write_all(ask.as_bytes()).await.expect("it is open");
    assert!(head(&mut tunnel).await.starts_with("HTTP/1.1 101"));
    tunnel.write_all(b"hi").await.expect("it is open");
    let mut echo = [0; 2];
    tunnel.read_exact(&mut echo).await.expect("it is open");
    let mut surplus = connect().await;
    ended(&mut surplus).await;
    place.caller.gone.cancel();
    ended(&mut tunnel).await;
    ended(&mut idle).await;
    let mut late = connect().await;
    ended(&mut late).await;
}
