use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::transcode::{RULES, Verb};
use serde_json::{Value, json};

use crate::rest_client::Answered;
use crate::rig::{Stage, running, until};

const INVALID: &str = "CWSANDBOX_INVALID_REQUEST";

/// Every call with something in the place of parameters.
fn places() -> Vec<(Verb, String)> {
    let filled = RULES.iter().map(|rule| {
        let places = rule.places();
        let path = places.fold(rule.path.to_owned(), |path, place| {
            path.replace(&format!("{{{place}}}"), "x")
        });
        (rule.verb, path)
    });
    filled.collect()
}

fn detail<'a>(answer: &'a Answered, kind: &str) -> &'a Value {
    let details = answer.json["details"].as_array().unwrap();
    let mut found = details
        .iter()
        .filter(|detail| detail["@type"].as_str().unwrap().ends_with(kind));
    found.next().unwrap()
}

fn reason(answer: &Answered) -> &str {
    detail(answer, "ErrorInfo")["reason"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_is_described_asks_who_is_calling() {
    let (_stage, gateway, _runner, _client) = Stage::usual().await;
    for (verb, path) in places() {
        let answer = gateway.rest(None, verb.as_str(), &path, None).await;
        assert_eq!(answer.status, 401, "{} {path}", verb.as_str());
        assert_eq!(reason(&answer), "CWSANDBOX_UNAUTHENTICATED");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_lives_and_ends_over_rest() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let rest = async |verb: &str, path: &str, body: Option<Value>| {
        gateway.rest(Some(&token), verb, path, body).await
    };
    let start = json!({
        "command": "fake", "args": ["until-stopped"], "tags": ["one"],
        "resourceRequests": { "cpu": "500m" }, "resource_limits": { "cpu": "500m" },
    });
    let started = rest("POST", "/v1beta2/sandboxes", Some(start)).await;
    assert_eq!(started.status, 200, "{}", started.json);
    assert_eq!(started.json["requestedResourceRequests"]["cpu"], "500m");
    assert_eq!(started.header("content-type"), Some("application/json"));
    assert!(
        started.json["startedAtTime"].is_null(),
        "it does not run yet"
    );
    let id = started.json["sandboxId"].as_str().unwrap().to_owned();
    let path = format!("/v1beta2/sandboxes/{id}");
    until("it runs", async || {
        rest("GET", &path, None).await.json["sandboxStatus"] == "SANDBOX_STATUS_RUNNING"
    })
    .await;
    let listed = rest("GET", "/v1beta2/sandboxes?tags=one&pageSize=5", None).await;
    assert_eq!(listed.json["sandboxes"][0]["sandboxId"], id.as_str());
    assert!(listed.json["sandboxes"][0]["startedAtTime"].is_string());

    let exec = json!({ "command": ["echo", "hello"] });
    let done = rest("POST", &format!("{path}/exec"), Some(exec)).await;
    assert_eq!(done.json["result"]["stdout"], "aGVsbG8K");
    assert_eq!(done.json["result"]["exitCode"], 0);
    assert_eq!(done.json["result"]["stdoutBytesProduced"], "6");

    let file = json!({ "filepath": "/tmp/a b", "fileContents": "aGk=" });
    let written = rest("POST", &format!("{path}/files"), Some(file)).await;
    assert_eq!(written.json["success"], true);
    for spelled in ["%2Ftmp%2Fa%20b", "/tmp/a%20b", "tmp/a%20b", "tmp%2Fa%20b"] {
        let read = rest("GET", &format!("{path}/files/{spelled}"), None).await;
        assert_eq!(read.json["fileContents"], "aGk=", "{}", read.json);
    }

    let paused = rest("POST", &format!("{path}/pause"), None).await;
    assert_eq!(paused.json["success"], true, "{}", paused.json);
    let resumed = rest("POST", &format!("{path}/resume"), Some(json!({}))).await;
    assert_eq!(resumed.json["success"], true);
    let stop = json!({ "gracefulShutdownSeconds": 5 });
    let stopped = rest("POST", &format!("{path}/stop"), Some(stop)).await;
    assert_eq!(stopped.json["success"], true);
    until("it is over", async || {
        rest("GET", &path, None).await.json["sandboxStatus"] == "SANDBOX_STATUS_COMPLETED"
    })
    .await;
    assert_eq!(rest("GET", &path, None).await.json["exitCode"], 143);
    let deleted = rest("DELETE", &path, None).await;
    assert_eq!(deleted.json["success"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_answers_over_rest() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let runners = gateway.rest(
        Some(&token),
        "GET",
        "/v1beta2/runners?view=RUNNER_VIEW_FULL",
        None,
    );
    let runners = runners.await;
    assert_eq!(runners.json["runners"][0]["runnerId"], "local");
    assert!(runners.json["runners"][0]["resources"]["availableCpuMillicores"].is_string());
    let profile = gateway
        .rest(Some(&token), "GET", "/v1beta2/profiles/ci", None)
        .await;
    assert_eq!(profile.json["profileName"], "ci");
    let nobody = gateway
        .rest(Some(&token), "GET", "/v1beta2/runners/nobody", None)
        .await;
    assert_eq!(
        (nobody.status, reason(&nobody)),
        (404, "CWSANDBOX_RUNNER_NOT_FOUND")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_same_status_as_over_grpc() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let start = json!({ "command": "fake", "profileNames": ["none-such"] });
    let rest = gateway
        .rest(Some(&token), "POST", "/v1beta2/sandboxes", Some(start))
        .await;
    let request = pb::StartSandboxRequest {
        command: "fake".to_owned(),
        profile_names: vec!["none-such".to_owned()],
        ..Default::default()
    };
    let grpc = client.start(request).await.unwrap_err();
    assert_eq!(rest.status, 400);
    assert_eq!(rest.json["code"], grpc.code() as i32);
    assert_eq!(rest.json["message"], grpc.message());
    assert_eq!(reason(&rest), crate::rig::reason(&grpc));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_field() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let cases = [
        (
            "POST",
            "/v1beta2/sandboxes",
            Some(json!({ "comand": "fake" })),
            "comand",
        ),
        (
            "POST",
            "/v1beta2/sandboxes",
            Some(json!({ "args": [7] })),
            "args[0]",
        ),
        ("GET", "/v1beta2/sandboxes?pageSize=-1", None, "page_size"),
        ("GET", "/v1beta2/sandboxes?pagesize=1", None, "pagesize"),
        ("GET", "/v1beta2/sandboxes/%FF", None, "path"),
        ("GET", "/v1beta2/sandboxes/x%2", None, "path"),
        ("GET", "/v1beta2/sandboxes?tags=a&tags=%FF", None, "query"),
        ("GET", "/v1beta2/sandboxes?tags=%C3%28", None, "%C3%28"),
        ("GET", "/v1beta2/sandboxes?tags=50%", None, "50%"),
        (
            "GET",
            "/v1beta2/sandboxes/one?sandboxId=two",
            None,
            "sandbox_id",
        ),
        (
            "POST",
            "/v1beta2/sandboxes/one/stop",
            Some(json!({ "sandboxId": "two" })),
            "sandbox_id",
        ),
        (
            "POST",
            "/v1beta2/sandboxes/one/stop?sandboxId=one",
            None,
            "sandboxId",
        ),
    ];
    for (verb, path, body, field) in cases {
        let answer = gateway.rest(Some(&token), verb, path, body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.json);
        assert_eq!(reason(&answer), INVALID);
        let id = detail(&answer, "RequestInfo")["requestId"].as_str();
        assert_eq!(answer.header("x-request-id"), id, "{path}");
        let violation = &detail(&answer, "BadRequest")["fieldViolations"][0];
        assert!(!violation["reason"].as_str().unwrap().is_empty());
        let text = violation.to_string();
        assert!(text.contains(field), "{text} should name {field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_given_twice_start_nothing() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let bearer = format!("Bearer {}", stage.token("acme").await.reveal());
    for (body, field) in [
        (r#"{"command": "fake", "command": "true"}"#, "command"),
        (
            r#"{"command": "fake", "containerImage": "a", "container_image": "b"}"#,
            "container_image",
        ),
        (
            r#"{"command": "fake", "environmentVariables": {"A": "1", "A": "2"}}"#,
            "environmentVariables.A",
        ),
    ] {
        let start = ("POST", "/v1beta2/sandboxes");
        let headers = [("authorization", &*bearer)];
        let answer = gateway.ask(start, &headers, body).await;
        assert_eq!((answer.status, reason(&answer)), (400, INVALID), "{body}");
        let violation = &detail(&answer, "BadRequest")["fieldViolations"][0];
        assert_eq!(violation["field"], field);
        assert_eq!(violation["reason"], "DUPLICATE");
    }
    let listed = client.list(pb::ListSandboxesRequest::default()).await;
    assert!(listed.unwrap().sandboxes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_is_too_large_has_its_status() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let absent = gateway
        .rest(
            Some(&token),
            "GET",
            "/v1beta2/object-storage/wif-config",
            None,
        )
        .await;
    assert_eq!(
        (absent.status, reason(&absent)),
        (501, "CWSANDBOX_NOT_IMPLEMENTED")
    );
    let wrong = gateway
        .rest(Some(&token), "PATCH", "/v1beta2/sandboxes", None)
        .await;
    assert_eq!(
        (wrong.status, reason(&wrong)),
        (405, "CWSANDBOX_NOT_IMPLEMENTED")
    );
    assert!(wrong.header("x-request-id").is_some());
}

/// How long a body is, told before it or not.
enum Told {
    Before,
    InChunks,
}

fn head(length: usize, told: &Told) -> String {
    match told {
        Told::Before => format!("content-length: {length}\r\n"),
        Told::InChunks => "transfer-encoding: chunked\r\n".to_owned(),
    }
}

fn body(length: usize, told: &Told) -> Vec<u8> {
    let blank = vec![b' '; length];
    match told {
        Told::Before => blank,
        Told::InChunks => [
            format!("{length:x}\r\n").as_bytes(),
            &blank,
            b"\r\n0\r\n\r\n",
        ]
        .concat(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_told_so_however_it_comes() {
    let (stage, gateway, _runner, _client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let bearer = format!("authorization: Bearer {}\r\n", token.reveal());
    let files = "/v1beta2/sandboxes/x/files";
    let beyond = 65 << 20;
    let expects = format!("{bearer}expect: 100-continue\r\n");
    for (headers, body) in [
        // All of it is sent before anything is read.
        (head(beyond, &Told::Before), body(beyond, &Told::Before)),
        (head(beyond, &Told::InChunks), body(beyond, &Told::InChunks)),
        // Nobody has to send what is refused anyway.
        (head(1 << 30, &Told::Before), Vec::new()),
        (expects + &head(beyond, &Told::Before), Vec::new()),
    ] {
        let answer = gateway
            .said(files, &(bearer.clone() + &headers), &body)
            .await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{headers}{answer}");
        assert!(answer.contains("CWSANDBOX_REQUEST_TOO_LARGE"), "{answer}");
        assert!(answer.contains("application/json"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_are_refused_as_such() {
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let bearer = format!("Bearer {}", stage.token("acme").await.reveal());
    let bearer = ("authorization", &*bearer);
    let start = ("POST", "/v1beta2/sandboxes");
    let fake = json!({ "command": "fake", "args": ["until-stopped"] }).to_string();
    for said in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=latin1"),
        ("content-encoding", "gzip"),
    ] {
        let answer = gateway.ask(start, &[bearer, said], fake.clone()).await;
        assert_eq!((answer.status, reason(&answer)), (415, INVALID), "{said:?}");
        let violation = &detail(&answer, "BadRequest")["fieldViolations"][0];
        assert_eq!(violation["field"], said.0);
        assert_eq!(answer.json["code"], 3);
        assert!(answer.header("x-request-id").is_some());
    }
    let listed = client.list(pb::ListSandboxesRequest::default()).await;
    assert!(listed.unwrap().sandboxes.is_empty());
    // Where there is no body, its type does not matter.
    let form = ("content-type", "application/x-www-form-urlencoded");
    let pause = ("POST", "/v1beta2/sandboxes/x/pause");
    let answer = gateway.ask(pause, &[bearer, form], "").await;
    assert_eq!(answer.status, 404, "{}", answer.json);
    for said in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=UTF-8"),
    ] {
        let said = said.map(|said| ("content-type", said));
        let headers: Vec<_> = [bearer].into_iter().chain(said).collect();
        let answer = gateway.ask(start, &headers, fake.clone()).await;
        assert_eq!(answer.status, 200, "{said:?}: {}", answer.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_file_goes_through_rest_and_back() {
    use base64::Engine as _;
    let (stage, gateway, _runner, client) = Stage::usual().await;
    let token = stage.token("acme").await;
    let started = client.start(running("fake until-stopped")).await.unwrap();
    client.runs(&started.sandbox_id).await;
    let path = format!("/v1beta2/sandboxes/{}/files", started.sandbox_id);
    let content = vec![7_u8; 32 << 20];
    let text = base64::engine::general_purpose::STANDARD.encode(&content);
    let file = json!({ "filepath": "/tmp/large", "fileContents": text });
    let written = gateway.rest(Some(&token), "POST", &path, Some(file)).await;
    assert_eq!(written.json["success"], true, "{}", written.json);
    let path = format!("{path}/%2Ftmp%2Flarge");
    let read = gateway.rest(Some(&token), "GET", &path, None).await;
    assert!(read.json["fileContents"].as_str().unwrap() == text);
}
