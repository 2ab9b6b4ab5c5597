//! Logins: what is kept, for whom, and which one is used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::pty::{CTRL_C, Desk, Session};
use crate::rig::{Plane, Ran};

/// A login by which later commands work.
async fn logged_in(plane: &Plane) -> Ran {
    let login = plane.bare("auth login - --server").argument(plane.url());
    login.input(format!("{}\n", plane.token)).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_for_its_owner_alone_and_used_by_later_commands() {
    let plane = Plane::start().await;
    logged_in(&plane).await.ok();
    let file = plane.config();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert!(fs::read_to_string(&file).unwrap().contains(&plane.token));
    plane.bare("sandbox profile ls").run().await.ok();
    let status = plane.bare("auth status").run().await;
    assert_eq!(
        status.ok(),
        format!(
            "context default\nserver  {} (from the context)\ntoken   works (from the context)\n",
            plane.url()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_never_printed() {
    let plane = Plane::start().await;
    let login = plane
        .bare("auth login --server")
        .argument(plane.url())
        .argument(&plane.token);
    let mut printed = String::new();
    let mut look = |ran: Ran| {
        printed.push_str(&ran.stdout);
        printed.push_str(&ran.stderr);
    };
    look(login.run().await);
    for arguments in [
        "auth status",
        "sandbox profile ls",
        "--help",
        "auth login",
        "bogus",
    ] {
        look(plane.cwic(arguments).run().await);
    }
    look(
        plane
            .cwic("auth login --server http://127.0.0.1:1")
            .argument(&plane.token)
            .run()
            .await,
    );
    assert!(printed.contains("works"), "{printed}");
    assert!(!printed.contains(&plane.token), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_work_is_not_kept() {
    let plane = Plane::start().await;
    let mut wrong = plane.token.clone();
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    let login = plane.bare("auth login - --server").argument(plane.url());
    let ran = login.input(wrong).run().await;
    let stderr = ran.failed(4);
    assert!(stderr.contains("the token was not kept"), "{stderr}");
    assert!(stderr.contains("CWSANDBOX_UNAUTHENTICATED"), "{stderr}");
    assert!(!plane.config().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_at_all_is_a_usage_error() {
    let plane = Plane::start().await;
    let login = plane.bare("auth login - --server").argument(plane.url());
    login.input("\n").run().await.failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_and_not_shown() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    let call = |text: &str| desk.cwic(text).env("CWIC_TOKEN", "");
    let mut session = Session::start(call("auth login"), (100, 24));
    session.answer("? Token for http://127.0.0.1", &plane.token);
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(!ended.screen.contains(&plane.token), "{}", ended.screen);
    plane.bare("sandbox profile ls").run().await.ok();
    let mut session = Session::start(call("auth login"), (100, 24));
    session.see("? Token for");
    session.press(CTRL_C);
    let ended = session.end();
    assert_eq!(ended.code, 130, "{}", ended.screen);
    let nobody = plane.bare("auth login --server").argument(plane.url());
    let told = nobody.run().await;
    assert!(
        told.failed(64).contains("auth login - --server"),
        "{}",
        told.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_the_environment_and_both_over_the_file() {
    let plane = Plane::start().await;
    logged_in(&plane).await.ok();
    let list = || plane.bare("sandbox profile ls");
    list().run().await.ok();
    list().env("CWIC_TOKEN", "wrong").run().await.failed(4);
    list().env("CWIC_TOKEN", "").run().await.ok();
    let flag = list()
        .env("CWIC_TOKEN", "wrong")
        .argument("--token")
        .argument(&plane.token);
    flag.run().await.ok();
    list()
        .env("CWIC_SERVER", "http://127.0.0.1:1")
        .run()
        .await
        .failed(4);
    let flag = list().env("CWIC_SERVER", "http://127.0.0.1:1");
    flag.argument("--server")
        .argument(plane.url())
        .run()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_token_is_not_sent_to_another_server() {
    let plane = Plane::start().await;
    let other = Plane::start().await;
    logged_in(&plane).await.ok();
    let ran = plane
        .bare("sandbox profile ls --server")
        .argument(other.url())
        .run()
        .await;
    assert!(
        ran.failed(4).contains("no token is known"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_forgets_the_token_and_keeps_the_server() {
    let plane = Plane::start().await;
    logged_in(&plane).await.ok();
    plane.bare("auth logout").run().await.ok();
    assert!(
        !fs::read_to_string(plane.config())
            .unwrap()
            .contains(&plane.token)
    );
    let ran = plane.bare("auth status").run().await;
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains(&plane.url()), "{}", ran.stderr);
    plane.bare("auth logout").run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_the_next_step_is_told() {
    let plane = Plane::start().await;
    let ran = plane.bare("sandbox profile ls").run().await;
    insta::assert_snapshot!(ran.failed(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_travel_readable_to_another_machine() {
    let plane = Plane::start().await;
    let ran = plane
        .cwic("sandbox profile ls --server http://192.0.2.1:80")
        .run()
        .await;
    insta::assert_snapshot!(ran.failed(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_failure_of_its_own() {
    let plane = Plane::start().await;
    let ran = plane
        .cwic("sandbox profile ls --server http://127.0.0.1:1")
        .run()
        .await;
    assert!(
        ran.failed(1).contains("cannot be reached"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_told_and_left_as_it_is() {
    let plane = Plane::start().await;
    fs::create_dir_all(plane.config().parent().unwrap()).unwrap();
    fs::write(plane.config(), "contexts: [1]").unwrap();
    plane.bare("auth status").run().await.failed(64);
    assert_eq!(fs::read_to_string(plane.config()).unwrap(), "contexts: [1]");
}
