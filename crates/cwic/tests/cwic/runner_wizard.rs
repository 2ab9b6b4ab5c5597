//! The wizards that make and change a runner, at a real terminal.

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::pty::{CTRL_C, DOWN, Desk, Session, erase, leave_at_each};
use crate::rig::Plane;

async fn yaml(plane: &Plane) -> String {
    let got = plane.cwic("sandbox runner get local -o yaml").run().await;
    got.ok().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_is_made_by_answering() {
    let plane = Plane::start().await;
    let (ci, gpu) = (plane.profile("ci").await, plane.profile("gpu").await);
    plane.profile("unused").await;
    plane.runner("other", &ci).await;
    let reply = "sed -i '/# gpu/,$s/^    #overrides_json:/    overrides_json:/; /# gpu/,$s/^    #  container_image/      container_image/' \"$1\"";
    let desk = Desk::new(&plane, &[reply]);
    let result = plane.home.path().join("result");
    let call = desk.cwic("sandbox runner create");
    let mut session = Session::start_with(call, (100, 70), Some(&result));
    session.answer("? Cluster", "other");
    session.see("has the runner other already");
    session.answer("? Cluster other", "-cluster");
    session.answer("? Runner id", "other");
    session.see("is taken by another runner");
    erase(&mut session, "other");
    session.answer("? Runner id", "local");
    session.answer("? Zone", "us-east");
    session.answer("? Release channel", DOWN);
    session.see("? Maintenance window");
    session.press("0 2 * * NEVER");
    session.see("as its day of week");
    erase(&mut session, "NEVER");
    session.answer("? Maintenance window", "SAT");
    session.answer("? How long", "");
    session.answer("? Another window", "");
    session.answer("? Profiles", "");
    session.see("choose at least 1");
    session.answer("? Profiles", &format!(" {DOWN} "));
    session.answer("? Alias of ci", "shared");
    session.see("? Alias of gpu");
    session.press("shared\r");
    session.see("is the name of another profile here");
    erase(&mut session, "shared");
    session.answer("? Alias of gpu", "");
    session.answer("? Default profile", DOWN);
    session.see(&format!("attached {ci} ci as shared"));
    session.see(&format!("attached {gpu} gpu, the default, with overrides"));
    session.answer("? Create runner local?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    let id = std::fs::read_to_string(result).unwrap();
    assert!(id.trim().parse::<uuid::Uuid>().is_ok(), "{id}");
    insta::assert_snapshot!("a_runner_made_by_the_wizard", yaml(&plane).await);
    insta::assert_snapshot!("what_the_editor_shows_of_a_new_runner", desk.seen(1));
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_profile_there_is_nothing_to_offer() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let ended = desk.sit("sandbox runner create").end();
    assert_eq!(ended.code, 2, "{}", ended.screen);
    assert!(
        ended.screen.contains("cwic sandbox profile create"),
        "{}",
        ended.screen
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_at_any_prompt_makes_no_runner() {
    let plane = Plane::start().await;
    plane.profile("ci").await;
    plane.profile("gpu").await;
    let steps = [
        ("? Cluster", "c1\r"),
        ("? Runner id", "local\r"),
        ("? Zone", "z\r"),
        ("? Release channel", "\r"),
        ("? Maintenance window", "0 2 * * SAT\r"),
        ("? How long", "\r"),
        ("? Another window", "\r"),
        ("? Profiles", &*format!(" {DOWN} \r")),
        ("? Alias of ci", "\r"),
        ("? Alias of gpu", "\r"),
        ("? Default profile", "\r"),
        ("? Create runner local?", ""),
    ];
    let create = (&plane, "sandbox runner create");
    leave_at_each(create, &steps, "no runner was created", async || {}).await;
    assert_eq!(plane.cwic("sandbox runner ls -o name").run().await.ok(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_at_any_prompt_of_edit_changes_nothing() {
    let plane = Plane::start().await;
    let ci = plane.profile("ci").await;
    plane.profile("gpu").await;
    plane.runner("local", &ci).await;
    let before = yaml(&plane).await;
    let steps = [
        ("? Release channel", "\r"),
        ("? Maintenance window", "0 2 * * SAT\r"),
        ("? How long", "\r"),
        ("? Another window", "\r"),
        ("? Profiles", &*format!("{DOWN} \r")),
        ("? Alias of ci", "\r"),
        ("? Alias of gpu", "\r"),
        ("? Default profile", "\r"),
        ("? Change runner local?", ""),
    ];
    let edit = (&plane, "sandbox runner edit local");
    leave_at_each(edit, &steps, "the runner was not changed", async || {
        assert_eq!(yaml(&plane).await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wizard_of_edit_tells_what_is_attached_kept_and_detached() {
    let plane = Plane::start().await;
    let (one, two) = (plane.profile("one").await, plane.profile("two").await);
    let three = plane.profile("three").await;
    plane.runner("local", &one).await;
    let bindings = format!(
        "profile_bindings:\n- profile_template_id: {two}\n  is_default: true\n- profile_template_id: {one}\n"
    );
    plane
        .cwic("sandbox runner edit local -f -")
        .input(bindings)
        .run()
        .await
        .ok();
    let desk = Desk::new(&plane, &[]);
    let mut session = desk.sit("sandbox runner edit local");
    session.answer("? Release channel", "");
    session.answer("? Maintenance window", "");
    // Bound ones come first, in their order: two stays, one goes, three comes.
    session.see("two");
    session.answer("? Profiles", &format!("{DOWN} {DOWN} "));
    session.answer("? Alias of two", "");
    session.answer("? Alias of three", "trois");
    session.answer("? Default profile", "");
    session.see(&format!("kept     {two} two, the default"));
    session.see(&format!("attached {three} three as trois"));
    session.see(&format!("detached {one} one"));
    session.answer("? Change runner local?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    let made = yaml(&plane).await;
    assert!(
        made.contains("profile_name: trois") && !made.contains(&one),
        "{made}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_change_nothing_are_not_sent() {
    let plane = Plane::start().await;
    let id = plane.profile("one").await;
    plane.runner("local", &id).await;
    let desk = Desk::new(&plane, &[]);
    let mut session = desk.sit("sandbox runner edit local");
    session.answer("? Release channel", "");
    session.answer("? Maintenance window", "");
    session.answer("? Profiles", "");
    session.answer("? Alias of one", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        ended.screen.contains("nothing was sent"),
        "{}",
        ended.screen
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_defaults_in_the_editor_are_noted_at_the_second() {
    let plane = Plane::start().await;
    let (one, two) = (plane.profile("one").await, plane.profile("two").await);
    plane.runner("local", &one).await;
    let more =
        format!("printf '  - profile_template_id: {two}\\n    is_default: true\\n' >> \"$1\"");
    let desk = Desk::new(&plane, &[&more, "sed -i '$s/true/false/' \"$1\""]);
    let mut session = desk.sit("sandbox runner edit local");
    session.answer("? Release channel", "");
    session.answer("? Maintenance window", "");
    session.answer("? Profiles", "");
    session.answer("? Alias of one", "");
    session.answer("? Change runner local?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    let second = desk.seen(2);
    assert!(
        second.contains("    #! error: profile_bindings[1].is_default is a second default"),
        "{second}"
    );
    assert!(second.ends_with("    is_default: true\n"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_bindings_is_told_and_asked_about_in_a_terminal_alone() {
    let plane = Plane::start().await;
    let (one, two) = (plane.profile("one").await, plane.profile("two").await);
    plane.runner("local", &one).await;
    plane.file(
        "b.yaml",
        "profile_bindings:\n- profile_template_id: two\n  is_default: true\n",
    );
    let desk = Desk::new(&plane, &[]);
    for (keys, code) in [("n\r", 1), (CTRL_C, 130), ("y\r", 0)] {
        let mut session = desk.sit("sandbox runner edit local -f b.yaml");
        session.see(&format!("attached {two} two, the default"));
        session.see(&format!("detached {one} one"));
        session.see("? Change runner local?");
        session.press(keys);
        assert_eq!(session.end().code, code);
    }
    assert!(yaml(&plane).await.contains(&two));
    // Neither --yes nor a pipe is asked.
    plane.file(
        "b.yaml",
        "profile_bindings:\n- profile_template_id: one\n  is_default: true\n",
    );
    let session = desk.sit("sandbox runner edit local -f b.yaml --yes");
    assert_eq!(session.end().code, 0);
    let piped = plane
        .cwic("sandbox runner edit local -f b.yaml")
        .run()
        .await;
    piped.ok();
    assert!(
        piped
            .stderr
            .contains(&format!("kept     {one} one, the default")),
        "{}",
        piped.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_two_administrators_to_a_runner_are_put_together() {
    let plane = Plane::start().await;
    let (one, two) = (plane.profile("one").await, plane.profile("two").await);
    plane.runner("local", &one).await;
    let cwic = env!("CARGO_BIN_EXE_cwic");
    let reply =
        format!("printf 'display_name: theirs\\n' | {cwic} sandbox runner edit local -f - >&2");
    let desk = Desk::new(&plane, &[&reply]);
    let mut session = desk.sit("sandbox runner edit local");
    session.answer("? Release channel", "");
    session.answer("? Maintenance window", "");
    session.answer("? Profiles", &format!("{DOWN} "));
    session.answer("? Alias of one", "");
    session.answer("? Alias of two", "");
    session.answer("? Default profile", "");
    session.see("Somebody else changed runner local meanwhile");
    session.answer("? Edit again", "y");
    session.see("? Change runner local?");
    session.see(&format!("attached {two} two"));
    session.press("\r");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    let made = yaml(&plane).await;
    assert!(
        made.starts_with("display_name: theirs\n") && made.contains(&two),
        "{made}"
    );
}

/// A server whose profiles have names that would move a cursor.
async fn hostile_server() -> String {
    let name = "evil\u{1b}]0;pwned\u{7}\u{1b}[2J\u{202e}";
    let id = "019b5000-0000-7000-8000-000000000001";
    let profile = serde_json::json!({
        "id": id, "displayName": name, "spec": {}, "revision": 1, "etag": "x",
    });
    let profiles = serde_json::json!({ "profileTemplates": [profile] });
    let runner = serde_json::json!({
        "id": id, "identity": {"runnerId": "local", "zone": "z", "clusterName": "c", "runnerGroupId": "default"},
        "profileBindings": [{"profileTemplateId": id, "profileName": name, "isDefault": true}],
        "etag": "x",
    });
    let answer = move |uri: axum::http::Uri| {
        let answer = match uri.path().rsplit_once('/') {
            Some((_, "profile-templates")) => profiles.clone(),
            Some((_, "managed-runners")) => serde_json::json!({}),
            Some((_, "local")) => runner.clone(),
            _ => profile.clone(),
        };
        async move { axum::Json(answer) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, axum::Router::new().fallback(answer));
    TaskTracker::new().spawn(async move { server.await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_the_server_never_move_the_cursor() {
    let plane = Plane::start().await;
    let url = hostile_server().await;
    let desk = Desk::new(&plane, &["echo 'display_name: x' >> \"$1\""]);
    let call = desk
        .cwic("sandbox runner edit local")
        .env("CWIC_SERVER", &url);
    let mut session = Session::start(call, (100, 70));
    session.answer("? Release channel", "");
    session.answer("? Maintenance window", "");
    // What would be a command is shown as what it is.
    session.see("evil\\u{1b}]0;pwned\\u{7}\\u{1b}[2J");
    session.answer("? Profiles", "");
    session.see("? Alias of evil");
    erase(&mut session, &"x".repeat(60));
    session.press("\r");
    session.see("? Change runner local?");
    let bytes = session.bytes();
    session.press(CTRL_C);
    session.end();
    for command in ["\u{1b}]0;", "\u{1b}[2J", "\u{202e}"] {
        assert!(!bytes.contains(command), "{command:?}");
    }
    let desk = Desk::new(&plane, &["echo 'description: x' >> \"$1\""]);
    let call = desk
        .cwic("sandbox profile edit evil")
        .env("CWIC_SERVER", &url);
    let session = Session::start(call, (100, 70));
    session.see("display_name contains");
    let bytes = session.bytes();
    session.end();
    assert!(
        !bytes.contains("\u{1b}]0;") && !bytes.contains('\u{202e}'),
        "{bytes:?}"
    );
}
