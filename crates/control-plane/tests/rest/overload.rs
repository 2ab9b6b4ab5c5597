//! More to do than the server takes on.

use std::time::Duration;

use palisade_control_plane::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::time;

use crate::plane::{PATIENCE, PROFILES, Plane};

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back() {
    let limits = Limits {
        requests_max: 1,
        waits_max: 1,
        body_time: PATIENCE,
        request_time: PATIENCE,
    };
    let plane = Plane::start_with(limits).await;
    let admin = plane.admin().await;
    // A request that never sends its body holds the only place.
    let mut stream = plane.raw().await;
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 9\r\n\r\n",
        admin.authorization()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let busy = async {
        let mut answer = admin.get(PROFILES).await;
        while answer.status == 200 {
            answer = admin.get(PROFILES).await;
        }
        answer
    };
    let refused = time::timeout(PATIENCE, busy).await.unwrap();
    refused.refused(429, "OVERLOADED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.detail("RetryInfo")["retryDelay"], "1.000s");
    // Probes are answered all the same.
    plane.stranger(None).get("/readyz").await.ok();
    drop(stream);
    let free = time::timeout(PATIENCE, async {
        while admin.get(PROFILES).await.status != 200 {}
    });
    free.await.unwrap();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let limits = Limits {
        request_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let plane = Plane::start_with(limits).await;
    let admin = plane.admin().await;
    let mut stream = plane.raw().await;
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 9\r\n\r\n",
        admin.authorization()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let reading = tokio::io::AsyncReadExt::read(&mut stream, &mut answer);
    let read = time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}
