//! Bodies that nobody should send.

use std::time::Duration;

use http::Method;
use palisade_control_plane::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time;

use crate::plane::{Answer, Caller, PATIENCE, PROFILES, Plane};

async fn post(admin: &Caller<'_>, body: impl Into<bytes::Bytes>) -> Answer {
    let json = [("content-type", "application/json")];
    admin.send(Method::POST, PROFILES, &json, body).await
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let mib = 1024 * 1024;
    for size in [mib + 1, 10 * mib] {
        let answer = post(&admin, vec![b' '; size]).await;
        answer.refused(413, "REQUEST_TOO_LARGE");
    }
}

#[tokio::test]
async fn whoever_sends_all_before_reading_reads_the_refusal() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let len = 10 * 1024 * 1024;
    let mut stream = plane.raw().await;
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: {len}\r\n\r\n",
        admin.authorization()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let sent = time::timeout(PATIENCE, stream.write_all(&vec![b' '; len])).await;
    sent.unwrap().unwrap();
    let mut answer = vec![0; 64];
    let read = time::timeout(PATIENCE, stream.read(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let limits = Limits {
        body_time: Duration::from_secs(1),
        ..Limits::default()
    };
    let plane = Plane::start_with(limits).await;
    let admin = plane.admin().await;
    let token = admin.authorization();
    let mut stream = plane.raw().await;
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let blank = vec![b' '; 0x10000];
    let chunk = [b"10000\r\n".as_slice(), &blank, b"\r\n"].concat();
    for _ in 0..40 {
        // The server may have answered and closed already.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 64];
    let read = time::timeout(PATIENCE, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let limits = Limits {
        body_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let plane = Plane::start_with(limits).await;
    let admin = plane.admin().await;
    let mut stream = plane.raw().await;
    let head = format!(
        "POST {PROFILES} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\
         content-length: 100\r\n\r\n{{",
        admin.authorization()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = time::timeout(PATIENCE, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn what_is_no_document_is_refused_with_its_place() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let deep = "[".repeat(100_000);
    let deep_but_whole = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let many = format!("[{}0]", "0,".repeat(60_000));
    let bodies: [(&[u8], &str); 12] = [
        (b"", "empty"),
        (b"{", "line 1"),
        (
            b"{\"displayName\":\"a\",\"displayName\":\"b\"}",
            "given twice",
        ),
        (
            b"{\"spec\":{},\"displayName\":\"a\",\"spec\":{}}",
            "given twice",
        ),
        (b"\xff\xfe{}", "UTF-8"),
        (b"{\"displayName\":\"\xc3\x28\"}", "UTF-8"),
        (b"[]", "must be a map"),
        (b"null", "must be a map"),
        (b"{\"displayName\":1}", "text"),
        (deep.as_bytes(), "levels deep"),
        (deep_but_whole.as_bytes(), "levels deep"),
        (many.as_bytes(), "values"),
    ];
    for (body, told) in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answer = post(&admin, body.to_vec()).await;
        let message = answer.refused(400, "INVALID_REQUEST");
        assert!(answer.body.to_string().contains(told), "{shown}: {message}");
    }
    assert_eq!(
        admin.get(PROFILES).await.ok()["profileTemplates"],
        json!([])
    );
}

#[tokio::test]
async fn yaml_that_grows_by_aliases_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let level = |level: usize| {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("a{level}: &a{level} [{below}]\n")
    };
    let first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let bomb = first + &(1..12).map(level).collect::<Vec<_>>().concat();
    let yaml = [("content-type", "application/yaml")];
    let answer = admin.send(Method::POST, PROFILES, &yaml, bomb).await;
    answer.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused_in_the_same_shape() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    for path in [
        "/",
        "/v1beta2",
        "/v1beta2/sandbox/profiles",
        "/v1/sandbox/managedRunners",
    ] {
        admin.get(path).await.refused(404, "RESOURCE_NOT_FOUND");
    }
    let answer = admin.send(Method::PUT, PROFILES, &[], "{}").await;
    answer.refused(405, "NOT_IMPLEMENTED");
    let allowed = answer.header("allow").unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    // A path that is no text.
    let odd = admin.get(&format!("{PROFILES}/%ff%fe")).await;
    odd.refused(400, "INVALID_REQUEST");
    for (query, told) in [("pageToken=%ff", "UTF-8"), ("pageSize=%", "%25")] {
        let odd = admin.get(&format!("{PROFILES}?{query}")).await;
        let message = odd.refused(400, "INVALID_REQUEST");
        assert!(
            message.contains(told) && message.contains(query),
            "{message}"
        );
    }
    let odd = admin.get(&format!("{PROFILES}/a%2")).await;
    odd.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_body_is_what_it_says_or_is_refused() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let json = r#"{"displayName": "ci"}"#;
    for said in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
    ] {
        let answer = admin.send(Method::POST, PROFILES, &[said], json).await;
        let message = answer.refused(415, "INVALID_REQUEST");
        assert!(message.starts_with(said.0), "{message}");
        assert!(message.contains(said.1), "{message}");
    }
    let none = admin.get(PROFILES).await.ok();
    assert_eq!(none["profileTemplates"], json!([]));
    let answer = admin.send(Method::POST, PROFILES, &[], json).await;
    assert_ne!(answer.status, 415, "{:#}", answer.body);
}
