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
