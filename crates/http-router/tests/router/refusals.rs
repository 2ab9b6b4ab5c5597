//! What the router answers itself.

use std::time::Duration;

use palisade_http_router::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::place::{HOST, PATIENCE, Place, echo, head, nobody};

#[tokio::test]
async fn a_name_that_nobody_has_is_not_found_in_what_the_client_reads() {
    let place = Place::new(Limits::default()).await;
    let plain = place.get("none.example.com", "").await;
    assert!(plain.starts_with("HTTP/1.1 404"), "{plain}");
    assert!(plain.contains("x-palisade-router: no-sandbox"), "{plain}");
    assert!(
        plain.contains("no sandbox that is open to you has the host name none.example.com"),
        "{plain}"
    );
    let page = place
        .get("none.example.com", "accept: text/html,*/*\r\n")
        .await;
    assert!(page.contains("<h1>404 Not Found</h1>"), "{page}");
    let json = place
        .get("none.example.com", "accept: application/json\r\n")
        .await;
    assert!(json.contains(r#""reason":"no-sandbox""#), "{json}");
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_told() {
    let place = Place::new(Limits::default()).await;
    let target = nobody().await;
    place.route(HOST, target);
    let answer = place.get(HOST, "").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let told = format!("nothing listens on port {} of the sandbox", target.port());
    assert!(answer.contains(&told), "{answer}");
}

#[tokio::test]
async fn what_does_not_speak_http_is_told() {
    let place = Place::new(Limits::default()).await;
    let garbage = |mut stream: TcpStream| async move {
        head(&mut stream).await;
        stream.write_all(b"\x15\x03\x01 no http\r\n\r\n").await
    };
    place.route(HOST, place.server(garbage).await);
    let answer = place.get(HOST, "").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("x-palisade-router: bad-answer"), "{answer}");
}

/// A server that hears and never answers.
async fn silent(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

#[tokio::test]
async fn a_sandbox_that_does_not_answer_is_not_waited_for() {
    let limits = Limits {
        answer: Duration::from_millis(100),
        ..Limits::default()
    };
    let place = Place::new(limits).await;
    place.route(HOST, place.server(silent).await);
    let answer = place.get(HOST, "").await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn a_sandbox_has_only_so_many_requests_under_way() {
    let limits = Limits {
        requests_each: 1,
        ..Limits::default()
    };
    let place = Place::new(limits).await;
    let (heard, mut arrived) = tokio::sync::mpsc::channel(1);
    let serve = move |mut stream: TcpStream| {
        let heard = heard.clone();
        async move {
            head(&mut stream).await;
            heard.send(()).await.expect("the test waits");
            silent(stream).await
        }
    };
    place.route(HOST, place.server(serve).await);
    place.route(
        "free.example.com",
        place.server(|stream| echo(stream, "free")).await,
    );
    let mut first = place.connect().await;
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    first.write_all(request.as_bytes()).await.unwrap();
    timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();

    let answer = place.get(HOST, "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert!(
        place.get("free.example.com", "").await.contains("free"),
        "others are served"
    );
}

#[tokio::test]
async fn games_with_the_host_lead_nowhere() {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "one")).await);
    let end = "connection: close\r\n\r\n";
    for (head, status) in [
        ("GET / HTTP/1.1\r\n".to_owned(), 400),
        (
            format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nhost: {HOST}\r\n"),
            400,
        ),
        (
            format!("GET http://other.example.com/ HTTP/1.1\r\nhost: {HOST}\r\n"),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nhost: box.example.com@evil.com\r\n".to_owned(),
            400,
        ),
        ("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n".to_owned(), 404),
        (
            "GET / HTTP/1.1\r\nhost: a.box.example.com\r\n".to_owned(),
            404,
        ),
        (
            format!("CONNECT {HOST}:22 HTTP/1.1\r\nhost: {HOST}:22\r\n"),
            405,
        ),
    ] {
        let answer = place.ask(&format!("{head}{end}")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_sends_no_head_is_closed() {
    let limits = Limits {
        head: Duration::from_millis(100),
        ..Limits::default()
    };
    let place = Place::new(limits).await;
    let mut stream = place.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    timeout(PATIENCE, read)
        .await
        .expect("it is closed")
        .unwrap();
}
