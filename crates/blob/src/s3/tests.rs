//! A bucket that answers as it is told to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use palisade_model::snapshot::ContentDigest;

use super::*;

const OK: &str = "200 OK\r\n";
const THROTTLED: &str = "429 Too Many Requests\r\nretry-after: 0\r\n";
const SLOW_DOWN: &str = "503 Slow Down\r\nretry-after: 0\r\n";
const FORBIDDEN: &str = "403 Forbidden\r\n";
/// Instead of an answer.
const HANG_UP: &str = "";

/// A server that gives these answers, one for each connection, and is gone then.
fn server(answers: Vec<&'static str>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            serve(stream, answer);
        }
    });
    (url, served)
}

fn serve(mut stream: TcpStream, answer: &str) {
    let mut request = Vec::new();
    let mut block = [0; 1024];
    // The bodies of these tests come along with the head, or with the next read.
    while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"body") {
        let len = stream.read(&mut block).unwrap();
        if len == 0 {
            return;
        }
        request.extend_from_slice(&block[..len]);
    }
    if !answer.is_empty() {
        let head = format!("HTTP/1.1 {answer}connection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    }
}

/// Puts a few bytes into a bucket that answers so once it was opened; all its answers are
/// taken.
async fn put(answers: &[&'static str]) -> Result<(), BlobError> {
    let answers = [&[OK], answers].concat();
    let (url, served) = server(answers);
    let key = S3Key {
        id: "id".to_owned(),
        secret: "secret".to_owned(),
        token: None,
    };
    let blobs = S3Server::new(&url, true, key).unwrap();
    let blobs = blobs.open("bucket", "us-east-1").await.unwrap();
    let name = BlobName {
        organization: "o".parse().unwrap(),
        digest: ContentDigest::new([0; 32]),
    };
    let mut upload = blobs.put(&name, 4).await.unwrap();
    upload.write(Bytes::from_static(b"body")).await.unwrap();
    let put = upload.finish().await;
    served.join().unwrap();
    put
}

#[tokio::test]
async fn a_bucket_that_has_too_much_to_do_is_asked_again() {
    put(&[THROTTLED, SLOW_DOWN, THROTTLED, OK]).await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_goes_on_having_too_much_to_do_is_told_as_such() {
    let put = put(&[THROTTLED; 6]).await;
    assert!(matches!(put, Err(BlobError::Throttled)), "{put:?}");
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_as_such_at_once() {
    let put = put(&[FORBIDDEN]).await;
    assert!(matches!(put, Err(BlobError::KeyRefused(_))), "{put:?}");
}

#[tokio::test]
async fn a_bucket_that_hangs_up_or_is_away_is_unreachable() {
    for answers in [&[HANG_UP; 3][..], &[]] {
        let put = put(answers).await;
        assert!(matches!(put, Err(BlobError::Unreachable(_))), "{put:?}");
    }
}
