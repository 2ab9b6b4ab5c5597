//! What clients get from sandboxes through the router.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use palisade_http_router::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::place::{HOST, PATIENCE, Place, echo, head};

#[tokio::test]
async fn each_host_name_leads_to_its_own_sandbox() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "one")).await);
    place.route(
        "other.example.com",
        place.server(|stream| echo(stream, "two")).await,
    );
    let one = place.get("BOX.example.com:80", "").await;
    assert!(one.starts_with("HTTP/1.1 200 OK\r\n"), "{one}");
    assert!(
        one.contains("\r\n\r\none\nGET /a?b=c HTTP/1.1\r\n"),
        "{one}"
    );
    assert!(
        place
            .get("other.example.com", "")
            .await
            .contains("\r\n\r\ntwo\n")
    );
}

#[tokio::test]
async fn a_sandbox_hears_who_asks_from_the_router_alone() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "one")).await);
    let lies = "x-forwarded-for: 8.8.8.8\r\nx-real-ip: 8.8.8.8\r\nx-mine: kept\r\n";
    let answer = place.get(HOST, lies).await.to_ascii_lowercase();
    assert!(
        answer.contains("x-forwarded-for: 127.0.0.1\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("x-forwarded-host: box.example.com\r\n"),
        "{answer}"
    );
    assert!(answer.contains("x-mine: kept\r\n"), "{answer}");
    assert!(!answer.contains("8.8.8.8"), "{answer}");
    assert!(!answer.contains("connection: close\r\nx"), "{answer}");
}

#[tokio::test]
async fn clients_of_http_2_are_served_too() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "one")).await);
    let stream = TokioIo::new(place.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    place.tasks.spawn(async move { drop(connection.await) });
    for _ in 0..3 {
        let request = Request::get(format!("http://{HOST}/path"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = timeout(PATIENCE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::OK, Version::HTTP_2)
        );
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        assert!(text.contains("host: box.example.com\r\n"), "{text}");
    }
}

/// Sends a chunk, and the next only when it is told to by the request's body.
async fn step_by_step(mut stream: TcpStream) -> std::io::Result<()> {
    head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let mut heard = [0; 3];
    for _ in 0..3 {
        // One byte of a chunked body has six bytes around it.
        let mut chunk = [0; 6];
        stream.read_exact(&mut chunk).await?;
        heard.rotate_left(1);
        heard[2] = chunk[3];
        stream
            .write_all(format!("1\r\n{}\r\n", chunk[3] as char).as_bytes())
            .await?;
    }
    assert_eq!(&heard, b"abc");
    stream.write_all(b"0\r\n\r\n").await
}

#[tokio::test]
async fn bodies_flow_both_ways_at_the_same_time() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(step_by_step).await);
    let mut stream = place.connect().await;
    let request = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"1\r\na\r\n").await.unwrap();
    let answered = head(&mut stream).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    for letter in [b'a', b'b', b'c'] {
        if letter != b'a' {
            let chunk = format!("1\r\n{}\r\n", letter as char);
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        let mut chunk = [0; 6];
        let read = timeout(PATIENCE, stream.read_exact(&mut chunk)).await;
        read.expect("it does not wait for the whole").unwrap();
        assert_eq!(chunk, [b'1', b'\r', b'\n', letter, b'\r', b'\n']);
    }
}

#[tokio::test]
async fn a_connection_never_goes_to_who_has_the_name_now() {
    let place = Place::new(Limits::default()).await;
    let target = place.server(|stream| echo(stream, "one")).await;
    let first = place.route(HOST, target);
    // The answer leaves a connection behind that could be used again.
    assert!(place.get(HOST, "").await.contains("one"));
    place.router.routes().remove(first);
    assert!(place.get(HOST, "").await.starts_with("HTTP/1.1 404"));
    place.route(HOST, place.server(|stream| echo(stream, "two")).await);
    assert!(place.get(HOST, "").await.contains("\r\n\r\ntwo\n"));
}
