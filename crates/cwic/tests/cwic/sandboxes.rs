//! Sandboxes as the program shows and ends them, on a platform whose sandboxes
//! are simulated; what a real one adds is tested with real ones.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net;

use crate::platform::{Platform, until};
use crate::rig::Call;
use crate::wire::Wire;

/// A program that goes on, and what it writes.
pub(crate) struct Going {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Going {
    pub(crate) fn start(call: Call) -> Self {
        let mut command = call.command();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line of its result.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// All that is left of its result, its complaints, and its code.
    fn end(mut self) -> (String, String, i32) {
        let (mut rest, mut stderr) = (String::new(), String::new());
        self.lines.read_to_string(&mut rest).unwrap();
        let complaints = self.child.stderr.as_mut().unwrap();
        complaints.read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (rest, stderr, code)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Instants of the simulated world begin with it, and move on within the minute.
fn plain(text: &str) -> String {
    text.replace("1970-01-01 00:00", "YYYY-MM-DD HH:MM")
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_are_listed_shown_and_described() {
    let platform = Platform::start().await;
    let empty = platform.run("sandbox ls").await;
    insta::assert_snapshot!("no_sandboxes", empty.ok());
    let id = platform.sandbox("fake echo 8080 until-stopped").await;
    let over = platform
        .run("sandbox run --tag done -- fake lines 2 exit 3")
        .await;
    assert_eq!((over.code, over.stdout.as_str()), (3, "line 0\nline 1\n"));
    for (name, arguments) in [
        ("sandboxes", "sandbox ls".to_owned()),
        ("sandboxes_wide", "sandbox ls -o wide".to_owned()),
        (
            "sandboxes_that_are_over",
            "sandbox ls --all-states --tag done".to_owned(),
        ),
        ("one_sandbox", format!("sandbox get {id}")),
        ("sandbox_described", format!("sandbox describe {id}")),
    ] {
        let shown = platform.run(&arguments).await;
        insta::assert_snapshot!(name, plain(shown.ok()));
    }
    let labelled = platform
        .run("sandbox ls -l egress=deny-all,profile=agents -o name")
        .await;
    assert_eq!(labelled.ok().trim(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_until_it_is_over_unless_that_is_not_wanted() {
    let platform = Platform::start().await;
    let id = platform.sandbox("fake until-stopped").await;
    let stopped = platform.run(&format!("sandbox stop {id}")).await;
    assert_eq!(stopped.ok(), format!("sandbox {id} stopped\n"));
    let seen = platform.run(&format!("sandbox get {id} -o json")).await;
    let seen: Value = serde_json::from_str(seen.ok()).unwrap();
    assert_ne!(seen["sandboxStatus"], "SANDBOX_STATUS_TERMINATING");
    // Twice is no failure.
    platform.run(&format!("sandbox stop {id}")).await.ok();
    let stubborn = platform.sandbox("fake ignore-stop").await;
    let asked = platform
        .run(&format!("sandbox stop {stubborn} --grace 10m --no-wait"))
        .await;
    assert_eq!(asked.ok(), format!("sandbox {stubborn} stopping\n"));
    platform
        .run(&format!("sandbox rm {stubborn} --yes"))
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_takes_too_long_is_told_with_code_6() {
    let platform = Platform::start().await;
    let id = platform.sandbox("fake ignore-stop").await;
    let end = platform.cwic(&format!("sandbox stop {id} --grace 1h --no-wait"));
    end.run().await.ok();
    let late = platform
        .run(&format!("sandbox stop {id} --grace 0s --timeout 0s"))
        .await;
    assert!(late.failed(6).contains("still stopping"), "{}", late.stderr);
    platform.run(&format!("sandbox rm {id} --yes")).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_on_behind_the_last_byte_when_its_stream_is_lost() {
    let platform = Platform::start().await;
    let wire = Wire::to(platform.address);
    let id = platform.sandbox("fake lines 3 until-stopped").await;
    let follow = platform.cwic(&format!("sandbox logs -f {id}"));
    let mut follow = Going::start(follow.env("CWIC_SERVER", &wire.url()));
    let lines = tokio::task::spawn_blocking(move || {
        let seen: Vec<_> = (0..3).map(|_| follow.line()).collect();
        (follow, seen)
    });
    let (follow, seen) = lines.await.unwrap();
    assert_eq!(seen, ["line 0\n", "line 1\n", "line 2\n"]);
    wire.cut();
    until("the log is asked for again", async || wire.taken() > 1).await;
    platform.run(&format!("sandbox stop {id}")).await.ok();
    let (rest, stderr, code) = tokio::task::spawn_blocking(move || follow.end())
        .await
        .unwrap();
    assert_eq!((rest.as_str(), code), ("", 0), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_reached_again_when_the_server_is_back() {
    let platform = Platform::start().await;
    let wire = Wire::to(platform.address);
    let id = platform.sandbox("fake echo 8080 until-stopped").await;
    let forward = platform.cwic(&format!("sandbox port-forward {id} :8080 -o json"));
    let mut forward = Going::start(forward.env("CWIC_SERVER", &wire.url()));
    let ends = tokio::task::spawn_blocking(move || {
        let address = forwarded(&mut forward);
        let mut first = TcpStream::connect(&address).unwrap();
        assert_eq!(echoed(&mut first), "hello");
        wire.cut();
        // What went through the lost connection has ended.
        assert_eq!(first.read(&mut [0; 8]).unwrap_or(0), 0);
        let mut again = TcpStream::connect(&address).unwrap();
        let through = echoed(&mut again);
        drop(forward.child.kill());
        (through, forward.end().1)
    });
    let (through, told) = ends.await.unwrap();
    assert_eq!(through, "hello");
    assert!(
        told.contains("a connection to port 8080 came to nothing"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_reached_again_when_the_runner_is_back() {
    let platform = Platform::start().await;
    let id = platform.sandbox("fake echo 8080 until-stopped").await;
    let forward = platform.cwic(&format!("sandbox port-forward {id} :8080 -o json"));
    let mut forward = Going::start(forward);
    let begun = tokio::task::spawn_blocking(move || {
        let address = forwarded(&mut forward);
        let mut first = TcpStream::connect(&address).unwrap();
        assert_eq!(echoed(&mut first), "hello");
        (forward, address, first)
    });
    let (mut forward, address, mut first) = begun.await.unwrap();
    let links = platform.link.taken();
    platform.link.cut();
    let ended = tokio::task::spawn_blocking(move || first.read(&mut [0; 8]).unwrap_or(0));
    assert_eq!(
        ended.await.unwrap(),
        0,
        "what went through the lost link ends"
    );
    until("the runner dials again", async || {
        platform.link.taken() > links
    })
    .await;
    // Until it has joined, each connection comes to nothing.
    until("the port is reached again", async || {
        let mut stream = net::TcpStream::connect(&address).await.unwrap();
        let mut back = [0; 5];
        let sent = stream.write_all(b"hello").await;
        sent.is_ok() && stream.read_exact(&mut back).await.is_ok() && &back == b"hello"
    })
    .await;
    drop(forward.child.kill());
    let told = tokio::task::spawn_blocking(move || forward.end().1);
    let told = told.await.unwrap();
    assert!(
        told.contains("a connection to port 8080 came to nothing"),
        "{told}"
    );
}

/// Where a port is reached.
fn forwarded(forward: &mut Going) -> String {
    let told: Value = serde_json::from_str(&forward.line()).unwrap();
    assert_eq!(told["address"], "127.0.0.1");
    format!("127.0.0.1:{}", told["localPort"])
}

/// What comes back of a word.
fn echoed(stream: &mut TcpStream) -> String {
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    String::from_utf8(back.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_listen_where_they_are_told_to() {
    let platform = Platform::start().await;
    let id = platform.sandbox("fake echo 8080 until-stopped").await;
    let forward = platform.cwic(&format!(
        "sandbox port-forward {id} :8080 --address 127.0.0.2"
    ));
    let mut forward = Going::start(forward);
    let line = tokio::task::spawn_blocking(move || {
        let line = forward.line();
        let address = line.split_whitespace().nth(1).unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        assert_eq!(echoed(&mut stream), "hello");
        line
    });
    let line = line.await.unwrap();
    assert!(line.starts_with("forwarding 127.0.0.2:"), "{line}");
    let nowhere = platform
        .run(&format!(
            "sandbox port-forward {id} 8080 --address 192.0.2.1"
        ))
        .await;
    assert!(
        nowhere.failed(1).contains("port 8080 at 192.0.2.1"),
        "{}",
        nowhere.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_of_a_change_as_soon_as_it_happened() {
    let platform = Platform::start().await;
    let mut watch = Going::start(platform.cwic("sandbox ls --watch --no-headers"));
    let mut profiles = Going::start(platform.cwic("sandbox profile ls --watch -o json"));
    let begun = tokio::task::spawn_blocking(move || {
        let first = profiles.line();
        (profiles, first)
    });
    let (mut profiles, first) = begun.await.unwrap();
    assert!(first.contains("ADDED"), "{first}");
    let id = platform.sandbox("fake until-stopped").await;
    let edit = platform.cwic("sandbox profile edit agents -f -");
    edit.input("description: other\n").run().await.ok();
    let told = tokio::task::spawn_blocking(move || (watch.line(), profiles.line()));
    let (sandbox, profile) = told.await.unwrap();
    assert!(
        sandbox.starts_with("ADDED") && sandbox.contains(&id),
        "{sandbox}"
    );
    let event: Value = serde_json::from_str(&profile).unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["description"], "other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_is_taken_back_and_sandboxes_are_placed_again() {
    let platform = Platform::start().await;
    platform.sandbox("fake until-stopped").await;
    let unmarked = platform.run("sandbox runner undrain local").await;
    assert_eq!(unmarked.ok(), "runner local was not being deleted\n");
    let deleting = Going::start(platform.cwic("sandbox runner delete local --drain=1h --yes"));
    until("no sandbox is placed any more", async || {
        let run = platform.run("sandbox run -d -- fake until-stopped").await;
        run.code == 2
    })
    .await;
    let kept = platform.run("sandbox runner undrain local").await;
    assert_eq!(kept.ok(), "runner local takes sandboxes again\n");
    until("sandboxes are placed again", async || {
        let run = platform.run("sandbox run -d -- fake until-stopped").await;
        run.code == 0
    })
    .await;
    let ended = tokio::task::spawn_blocking(move || deleting.end());
    let (told, complaint, code) = ended.await.unwrap();
    assert_eq!((told.as_str(), code), ("", 5), "{complaint}");
    assert!(
        complaint.contains("cwic sandbox runner undrain local"),
        "{complaint}"
    );
    assert!(
        complaint.contains("somebody took the drain back"),
        "{complaint}"
    );
    let forced = platform
        .run("sandbox runner delete local --force --no-wait --yes")
        .await;
    forced.ok();
    let late = platform.run("sandbox runner undrain local").await;
    assert!(late.code == 5 || late.code == 3, "{}", late.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_profiles_and_runners_tells_of_sandboxes() {
    let platform = Platform::start().await;
    platform.sandbox("fake until-stopped").await;
    platform.file("request.yaml", "resources: { cpu: '9', memory: 1Gi }\n");
    for (name, arguments) in [
        ("runners_wide", "sandbox runner ls -o wide"),
        ("runner_described", "sandbox runner describe local"),
        ("profile_described", "sandbox profile describe agents"),
        (
            "profile_explained",
            "sandbox profile explain agents --runner local",
        ),
        (
            "request_explained",
            "sandbox explain -f request.yaml --checks",
        ),
    ] {
        let shown = platform.run(arguments).await;
        assert!(matches!(shown.code, 0 | 2), "{}", shown.stderr);
        insta::assert_snapshot!(name, shown.stdout);
    }
}
