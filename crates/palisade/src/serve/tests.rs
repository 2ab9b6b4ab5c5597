//! Clients that say nothing, or not enough.

use std::net::{Ipv4Addr, SocketAddr};

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// A server with one path that takes its time, and a connection to it.
async fn connected() -> DuplexStream {
    let slow = get(async || {
        time::sleep(HELLO_LIMIT * 3).await;
        "done"
    });
    let services = Services {
        rest: Router::new().route("/slow", slow),
        grpc: Router::new(),
    };
    let server = Server::new(services, CancellationToken::new());
    let (near, far) = tokio::io::duplex(1024);
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    server.begin(far, here, None, server.permit().await);
    near
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_makes_no_request_is_closed() {
    for said in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /slow HTTP",
    ] {
        let mut connection = connected().await;
        connection.write_all(said.as_bytes()).await.unwrap();
        let limit = HELLO_LIMIT + FAREWELL * 2;
        let mut rest = Vec::new();
        let closed = time::timeout(limit, connection.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{said:?} keeps its connection");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_longer_than_a_client_may_be_silent() {
    let mut connection = connected().await;
    let request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
}

/// What comes back for a request that is sent while its answer is read.
async fn answer_to(head: &str) -> String {
    let (mut reads, mut writes) = tokio::io::split(connected().await);
    let mut answer = Vec::new();
    let send = async {
        // The answer may come, and the connection go, before all is sent.
        drop(writes.write_all(head.as_bytes()).await);
        drop(writes.flush().await);
    };
    let ((), read) = tokio::join!(send, reads.read_to_end(&mut answer));
    read.unwrap();
    String::from_utf8(answer).unwrap()
}

fn get_with(path: &str, headers: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_told_so() {
    let long = "x".repeat(17 * 1024);
    let one = format!("x: {}\r\n", "y".repeat(33 * 1024));
    for (head, status, text) in [
        (get_with(&long, ""), "414", "the address has 17409 bytes"),
        (get_with("x", &one), "431", "headers with 33"),
        (
            get_with("x", &"a: b\r\n".repeat(120)),
            "431",
            "there are 122 headers",
        ),
        (get_with("x", "x-request-id: mine\r\n"), "404", ""),
    ] {
        let answer = answer_to(&head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains(text), "{answer}");
        let is_told = answer.contains("CWSANDBOX_REQUEST_TOO_LARGE");
        let is_json = answer.contains("application/json") && answer.contains("x-request-id");
        assert_eq!(is_told && is_json, status != "404", "{answer}");
    }
}

/// As the page about requests says.
#[tokio::test(start_paused = true)]
async fn what_the_library_does_not_read_is_answered_without_a_body() {
    let longer = "x".repeat(70 * 1024);
    for (head, status) in [
        (get_with(&longer, ""), "414"),
        (get_with("x", &"a: b\r\n".repeat(500)), "431"),
        (get_with("x", "a b: c\r\n"), "400"),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = answer_to(&head).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_http_1_1_names_one_host() {
    let get =
        |line: &str, headers: &str| format!("GET {line}\r\n{headers}connection: close\r\n\r\n");
    let grpc = "content-type: application/grpc\r\n";
    for (line, headers, text) in [
        ("/x HTTP/1.1", "", "is missing"),
        ("/x HTTP/1.1", grpc, "is missing"),
        ("http://x/x HTTP/1.1", "", "is missing"),
        ("/x HTTP/1.1", "host: a\r\nhost: b\r\n", "more than once"),
        ("/x HTTP/1.1", "host: a\r\nhost: a\r\n", "more than once"),
        ("/x HTTP/1.0", "host: a\r\nhost: b\r\n", "more than once"),
        ("/x HTTP/1.1", "host: a b\r\n", "must be a host"),
        ("/x HTTP/1.1", "host: you@a\r\n", "must be a host"),
    ] {
        let answer = answer_to(&get(line, headers)).await;
        let is_refused = answer.starts_with(&format!("HTTP/1.{} 400 ", &line[line.len() - 1..]));
        assert!(is_refused && answer.contains(text), "{line}: {answer}");
        let is_json = answer.contains("application/json") && answer.contains("x-request-id");
        assert!(
            is_json && answer.contains("CWSANDBOX_INVALID_REQUEST"),
            "{answer}"
        );
    }
    for (line, headers) in [
        ("/x HTTP/1.1", "host: a.example:8700\r\n"),
        ("/x HTTP/1.1", "host: [::1]:8700\r\n"),
        ("/x HTTP/1.1", "host:\r\n"),
        ("/x HTTP/1.0", ""),
    ] {
        let answer = answer_to(&get(line, headers)).await;
        assert!(answer.contains(" 404 "), "{line} {headers}: {answer}");
    }
}
