//! A bucket keeps the contract of [`Blobs`](palisade_blob::Blobs), against a server
//! that is a program of its own.

#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use palisade_blob::{BlobError, S3Key, S3Server, conformance};
use tokio::time;

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and waits until it answers.
async fn server() -> Server {
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../.palisade/venv/bin/moto_server"
    );
    assert!(
        Path::new(program).exists(),
        "there is no {program}; scripts/venv.sh tests installs it"
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server {
        child,
        url: format!("http://127.0.0.1:{port}"),
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let made = async {
        let address = format!("{}/bucket", server.url);
        while client.put(&address).send().await.is_err() {
            time::sleep(Duration::from_millis(100)).await;
        }
    };
    let limit = Duration::from_mins(1);
    time::timeout(limit, made).await.expect("it must answer");
    server
}

fn at(server: &Server) -> S3Server {
    let key = S3Key {
        id: "test".to_owned(),
        secret: "test".to_owned(),
        token: None,
    };
    S3Server::new(&server.url, true, key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a server of buckets, which scripts/venv.sh tests installs"]
async fn a_bucket_keeps_the_contract() {
    let server = server().await;
    let blobs = at(&server).open("bucket", "us-east-1").await.unwrap();
    conformance::all(&blobs).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a server of buckets, which scripts/venv.sh tests installs"]
async fn a_bucket_that_is_not_there_is_told_as_such() {
    let server = server().await;
    let opened = at(&server).open("nowhere", "us-east-1").await;
    assert!(matches!(opened, Err(BlobError::NotFound)), "{opened:?}");
}
