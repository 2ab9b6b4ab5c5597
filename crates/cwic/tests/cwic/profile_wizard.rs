//! The wizard that makes a profile, at a real terminal.

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::pty::{CTRL_C, DOWN, Desk, Session, erase, leave_at_each};
use crate::rig::Plane;

const CREATE: &str = "sandbox profile create";

/// Answers everything for a profile that lets nothing out.
fn answer_all(session: &mut Session, name: &str) {
    session.answer("? Display name", name);
    session.answer("? Description", "for tests");
    session.answer("? Namespace strategy", "");
    session.answer("? Egress modes", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_made_by_answering_and_its_id_is_all_that_is_printed() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo '  tags: [mine]' >> \"$1\""]);
    let result = plane.home.path().join("result");
    let mut session = Session::start_with(desk.cwic(CREATE), (100, 70), Some(&result));
    session.answer("? Display name", "agents");
    session.answer("? Description", "Reaches a mirror");
    session.answer("? Namespace strategy", DOWN);
    // Internet and allowlist.
    session.answer("? Egress modes", &format!(" {DOWN}{DOWN}{DOWN}{DOWN} "));
    session.see("? Name of the allowlist mode allowlist");
    erase(&mut session, "allowlist");
    session.press("internet");
    session.see("is the name of another mode");
    erase(&mut session, "internet");
    session.press("\r");
    session.see("must not be empty");
    session.answer("? Name of the allowlist mode", "mirror");
    session.see("? Address ranges");
    session.press("10.0.0.1/8");
    session.see("has bits set behind its prefix; the network is 10.0.0.0/8");
    session.press("\r");
    erase(&mut session, "1/8");
    session.answer("? Address ranges", "0/8, 2001:db8::/32");
    session.answer("? Default egress mode", DOWN);
    session.see("mirror*,internet");
    session.answer("? Create profile agents?", "");
    assert_eq!(session.end().code, 0);
    let id = std::fs::read_to_string(result).unwrap();
    assert!(id.trim().parse::<uuid::Uuid>().is_ok(), "{id}");
    let made = plane.cwic("sandbox profile get agents -o yaml").run().await;
    insta::assert_snapshot!("a_profile_made_by_the_wizard", made.ok());
    insta::assert_snapshot!("what_the_editor_shows_of_a_new_profile", desk.seen(1));
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_told_while_still_at_the_prompt() {
    let plane = Plane::start().await;
    plane.profile("taken").await;
    let desk = Desk::new(&plane, &[]);
    let mut session = desk.sit(CREATE);
    session.answer("? Display name", "taken");
    session.see("is taken by another profile");
    session.answer("? Display name taken", "-not");
    session.answer("? Description", "");
    session.answer("? Namespace strategy", "static");
    session.answer("? Namespace", "kube-system");
    session.see("must not start with kube-");
    erase(&mut session, "kube-system");
    session.answer("? Namespace", "shared");
    session.answer("? Egress modes", "");
    session.see("static shared");
    session.answer("? Create profile taken-not?", "");
    assert_eq!(session.end().code, 0);
    assert_eq!(desk.profiles().await, "taken\ntaken-not\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_at_any_prompt_leaves_nothing_behind() {
    let plane = Plane::start().await;
    let steps = [
        ("? Display name", "agents\r"),
        ("? Description", "\r"),
        ("? Namespace strategy", "static\r"),
        ("the namespace of all its sandboxes", "shared\r"),
        ("? Egress modes", &*format!(" {DOWN}{DOWN}{DOWN}{DOWN} \r")),
        ("? Name of the allowlist mode", "\r"),
        ("? Address ranges", "10.0.0.0/8\r"),
        ("? Default egress mode", "\r"),
        ("? Create profile agents?", ""),
    ];
    leave_at_each(
        (&plane, CREATE),
        &steps,
        "no profile was created",
        async || {
            let profiles = plane.cwic("sandbox profile ls -o name").run().await;
            assert_eq!(profiles.ok(), "");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_after_the_summary_creates_nothing_and_edit_again_opens_the_same_text() {
    let plane = Plane::start().await;
    let desk = Desk::new(
        &plane,
        &[
            "echo '  tags: [mine]' >> \"$1\"",
            "sed -i s/mine/yours/ \"$1\"",
        ],
    );
    let mut session = desk.sit(CREATE);
    answer_all(&mut session, "agents");
    session.answer("? Create profile agents?", DOWN);
    session.see("> Create profile agents? Edit again");
    session.answer("? Create profile agents?", &format!("{DOWN}{DOWN}"));
    let ended = session.end();
    assert_eq!(ended.code, 1, "{}", ended.screen);
    assert!(desk.seen(2).ends_with("  tags: [mine]\n"));
    assert_eq!(desk.profiles().await, "");
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wizard_works_in_narrow_and_wide_terminals() {
    let plane = Plane::start().await;
    for (name, columns) in [("narrow", 40), ("wide", 200)] {
        let desk = Desk::new(&plane, &[]);
        let mut session = Session::start(desk.cwic(CREATE), (columns, 70));
        session.see("? Display name");
        session.press(&"x".repeat(70));
        session.see("has 70 characters; at most 63");
        // Each key draws anew, and nothing of the old frame stays.
        let drawn = session.screen();
        assert_eq!(drawn.matches("? Display name").count(), 1, "{drawn}");
        assert_eq!(drawn.matches("at most 63").count(), 1, "{drawn}");
        erase(&mut session, &"x".repeat(70));
        answer_all(&mut session, name);
        session.answer(&format!("? Create profile {name}?"), "");
        let ended = session.end();
        assert_eq!(ended.code, 0, "{}", ended.screen);
        insta::assert_snapshot!(format!("the_wizard_in_a_{name}_terminal"), ended.screen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_colour_nothing_is_coloured() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    for (key, value, is_plain) in [("NO_COLOR", "1", true), ("LANG", "C", false)] {
        let call = desk.cwic(CREATE).env(key, value);
        let mut session = Session::start(call, (100, 70));
        session.see("? Display name");
        assert_eq!(session.is_plain(), is_plain, "{key}");
        session.press(CTRL_C);
        session.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_the_flag_is_named() {
    let plane = Plane::start().await;
    let id = plane.profile("default").await;
    plane.runner("local", &id).await;
    for call in [
        "profile create",
        "profile create --print-only",
        "profile edit default",
        "runner create",
        "runner edit local",
    ] {
        let ran = plane.cwic(&format!("sandbox {call}")).run().await;
        let told = ran.failed(64);
        assert!(
            told.contains("no terminal") && told.contains("-f FILE"),
            "{call}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn print_only_prints_what_the_file_mode_takes_and_creates_nothing() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let result = plane.home.path().join("printed.yaml");
    let call = desk.cwic("sandbox profile create --print-only");
    let mut session = Session::start_with(call, (100, 70), Some(&result));
    answer_all(&mut session, "printed");
    assert_eq!(session.end().code, 0);
    assert_eq!(desk.profiles().await, "");
    let printed = std::fs::read_to_string(&result).unwrap();
    assert_eq!(
        printed,
        "display_name: printed\ndescription: for tests\nspec:\n  namespace:\n    strategy: per-user\n"
    );
    plane
        .cwic("sandbox profile create -f")
        .argument(&result)
        .run()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_checked_by_the_server_and_creates_nothing() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let mut session = desk.sit("sandbox profile create --dry-run");
    answer_all(&mut session, "dry");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        ended.screen.contains("Nothing was sent"),
        "{}",
        ended.screen
    );
    assert_eq!(desk.profiles().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_restores_the_terminal() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let session = desk.sit(CREATE);
        session.see("? Display name");
        session.signal(signal);
        assert_eq!(session.end().code, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_the_caller_is_told_before_anything_is_typed() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let call = desk.cwic(CREATE).env("CWIC_TOKEN", "nobody");
    let ended = Session::start(call, (100, 70)).end();
    assert_eq!(ended.code, 4, "{}", ended.screen);
    plane.vanish().await;
    let ended = desk.sit(CREATE).end();
    assert_eq!(ended.code, 1, "{}", ended.screen);
    assert!(!ended.screen.contains("Display name"), "{}", ended.screen);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_server_that_hangs_can_be_left() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for call in [
        "profile create",
        "profile edit x",
        "runner create",
        "runner edit x",
    ] {
        let call = desk
            .cwic(&format!("sandbox {call}"))
            .env("CWIC_SERVER", &url);
        let mut session = Session::start(call, (100, 70));
        let _held = silent.accept().await.unwrap();
        session.press(CTRL_C);
        assert_eq!(session.end().code, 130);
    }
}

/// A server that lists profiles, and hangs when it is asked for one.
async fn hanging_server(asked: mpsc::Sender<()>) -> String {
    let answer = move |uri: axum::http::Uri| answer_or_hang(uri, asked.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, axum::Router::new().fallback(answer));
    TaskTracker::new().spawn(async move { server.await.unwrap() });
    url
}

async fn answer_or_hang(uri: axum::http::Uri, asked: mpsc::Sender<()>) -> axum::Json<Value> {
    if !uri.path().ends_with("/profile-templates") {
        asked.send(()).await.unwrap();
        std::future::pending::<()>().await;
    }
    axum::Json(serde_json::json!({}))
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_word_about_a_name_can_be_left() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let (asked, mut was_asked) = mpsc::channel(1);
    let url = hanging_server(asked).await;
    let call = desk.cwic(CREATE).env("CWIC_SERVER", &url);
    let mut session = Session::start(call, (100, 70));
    session.answer("? Display name", "agents");
    was_asked.recv().await.unwrap();
    session.press(CTRL_C);
    let ended = session.end();
    assert_eq!(ended.code, 130, "{}", ended.screen);
    // Neither is the limit of the check waited for.
    let told = ["panicked", "cannot be checked"];
    assert!(
        !told.iter().any(|told| ended.screen.contains(told)),
        "{}",
        ended.screen
    );
}
