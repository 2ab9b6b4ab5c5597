//! Servers that stall, go away, answer something else, or mean harm.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::pty::Session;
use crate::rig::{Call, Plane};

/// Serves every connection with `answer` until the test ends.
fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.read(&mut [0; 4096]);
            answer(stream);
        }
    });
    url
}

pub(crate) fn http(status: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// Serves every connection with this text.
pub(crate) fn answering(text: String) -> String {
    serve(move |mut stream| drop(stream.write_all(text.as_bytes())))
}

fn call(plane: &Plane, url: &str, arguments: &str) -> Call {
    plane
        .bare(arguments)
        .env("CWIC_SERVER", url)
        .env("CWIC_TOKEN", "secret-token")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_of_the_service_is_told_apart() {
    let plane = Plane::start().await;
    for (name, answer) in [
        ("closes_at_once", String::new()),
        (
            "speaks_something_else",
            "220 mail.example.com ESMTP\r\n".to_owned(),
        ),
        ("answers_a_page", http("200 OK", "<html>welcome</html>")),
        (
            "answers_a_page_of_errors",
            http("502 Bad Gateway", "<html>nginx</html>"),
        ),
        (
            "breaks_off",
            http("200 OK", "{\"profileTemplates\": []}")
                .replace("content-length: 24", "content-length: 999"),
        ),
        (
            "sends_elsewhere",
            http("302 Found", "")
                .replace("connection", "location: http://127.0.0.1:1/\r\nconnection"),
        ),
    ] {
        let url = answering(answer);
        let ran = call(&plane, &url, "sandbox profile ls").run().await;
        let told = ran.failed(1).replace(&url, "http://SERVER");
        insta::assert_snapshot!(name, told);
        assert!(!ran.stderr.contains("secret-token"));
    }
}

/// Names and descriptions of a server that means harm.
fn hostile() -> String {
    let harm = "evil\u{1b}[2J\u{9b}31m\u{202e}gnp\r\nx";
    let profile = json!({
        "id": "019b5000-0000-7000-8000-000000000001",
        "displayName": harm,
        "description": harm,
        "labels": { "a": harm },
        "spec": { "containerImage": harm },
        "revision": 1,
    });
    let runners = json!({ "managedRunners": [], "profileTemplates": [profile] });
    runners.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_server_says_reaches_the_terminal_raw() {
    let plane = Plane::start().await;
    let url = answering(http("200 OK", &hostile()));
    let is_harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    for format in ["table", "wide", "json", "yaml"] {
        let ran = call(&plane, &url, &format!("sandbox profile ls -o {format}"))
            .run()
            .await;
        assert!(!ran.ok().contains(is_harmful), "{format}: {:?}", ran.stdout);
    }
    // Programs get names as they are; a terminal does not.
    let ran = call(&plane, &url, "sandbox profile ls -o name").run().await;
    assert!(ran.ok().contains('\u{1b}'));
    for format in ["name", "jsonpath={.items[0].displayName}", "json", "table"] {
        let shown = call(&plane, &url, &format!("sandbox profile ls -o {format}"));
        let ended = Session::start(shown, (200, 60)).end();
        assert!(
            ended.screen.contains("\\u{1b}[2J") || ended.screen.contains("\\u001b[2J"),
            "{format}: {}",
            ended.screen
        );
    }
    let refusal = json!({ "code": 5, "message": "no \u{1b}]0;title\u{7} here", "details": [] });
    let url = answering(http("404 Not Found", &refusal.to_string()));
    let ran = call(&plane, &url, "sandbox profile get x").run().await;
    assert!(
        ran.failed(3).contains("\\u{1b}]0;title\\u{7}"),
        "{:?}",
        ran.stderr
    );
    assert!(!ran.stderr.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_a_hostile_server_keeps_its_meaning() {
    let plane = Plane::start().await;
    let url = answering(http("200 OK", &hostile()));
    let ran = call(&plane, &url, "sandbox profile ls -o json").run().await;
    let value: serde_json::Value = serde_json::from_str(ran.ok()).unwrap();
    let name = value["items"][0]["displayName"].as_str().unwrap();
    assert_eq!(name, "evil\u{1b}[2J\u{9b}31m\u{202e}gnp\r\nx");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_gets_a_sign_of_life_in_a_terminal_alone() {
    let plane = Plane::start().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let answer = http("200 OK", "{\"profileTemplates\": []}");
    let url = serve(move |mut stream| {
        let _ = wait.recv_timeout(Duration::from_secs(30));
        let _ = stream.write_all(answer.as_bytes());
    });
    let session = Session::start(call(&plane, &url, "sandbox profile ls"), (80, 24));
    session.see("waiting for the server");
    go.send(()).unwrap();
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(!ended.screen.contains("waiting"), "{}", ended.screen);
    go.send(()).unwrap();
    let quiet = call(&plane, &url, "sandbox profile ls").run().await;
    quiet.ok();
    assert_eq!(quiet.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_waits_for_a_server_gives_a_sign_of_life() {
    let plane = Plane::start().await;
    // It takes connections, and says nothing.
    let url = serve(std::mem::forget);
    plane.file("p.yaml", "display_name: x\nspec: {}\n");
    plane.file("request.yaml", "{}\n");
    let commands = [
        "version",
        "auth status",
        "sandbox profile get x",
        "sandbox profile describe x",
        "sandbox profile edit x -f p.yaml",
        "sandbox profile apply -f p.yaml",
        "sandbox profile diff -f p.yaml",
        "sandbox profile revisions x",
        "sandbox profile revisions x --diff 2",
        "sandbox profile rollback x --to 1",
        "sandbox profile lint x",
        "sandbox profile explain x --runner y",
        "sandbox profile delete x --yes",
        "sandbox runner ls",
        "sandbox runner describe x",
        "sandbox runner upgrade x",
        "sandbox runner undrain x",
        "sandbox runner delete x --yes",
        "sandbox explain -f request.yaml",
        "sandbox ls",
        "sandbox ls --watch",
        "sandbox get x",
        "sandbox describe x",
        "sandbox run -- true",
        "sandbox stop x",
        "sandbox rm x --yes",
    ];
    // Each waits for a second before it says anything; all of them at once.
    let sessions = commands.map(|command| {
        let session = Session::start(call(&plane, &url, command), (80, 24));
        (command, session)
    });
    for (command, session) in sessions {
        let sign = " s)";
        session.see(sign);
        session.signal(rustix::process::Signal::KILL);
        assert!(session.screen().contains(sign), "{command}");
    }
}
