//! What happens around the editor: mistakes, failures, and what is kept.

use rustix::process::Signal;

use crate::pty::{CTRL_C, Desk, Session};
use crate::rig::Plane;

const CREATE: &str = "sandbox profile create";

/// Answers everything up to the editor.
fn answer_all(session: &mut Session) {
    session.answer("? Display name", "agents");
    session.answer("? Description", "typed with care");
    session.answer("? Namespace strategy", "");
    session.answer("? Egress modes", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_noted_at_their_lines_until_there_are_none() {
    let plane = Plane::start().await;
    let replies = [
        // No YAML at all.
        "echo 'spec: {a: [1' >> \"$1\"",
        // Mistakes that are seen here.
        "sed -i '$d' \"$1\"; printf '  instance_type: h100\\n  tags: [1]\\n' >> \"$1\"",
        // One that only the server sees.
        "sed -i '/instance_type:/d; /tags:/d' \"$1\"; printf '  pod:\\n    spec:\\n      hostNetwork: true\\n' >> \"$1\"",
        "sed -i 's/hostNetwork: true/terminationGracePeriodSeconds: 5/' \"$1\"",
    ];
    let desk = Desk::new(&plane, &replies);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    session.answer("? Create profile agents?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert_eq!(desk.opened(), 4);
    assert!(
        desk.seen(2).contains("#! This has one mistake"),
        "{}",
        desk.seen(2)
    );
    let third = desk.seen(3);
    assert!(third.contains("  #! error: spec.instance_type "), "{third}");
    assert!(third.contains("did you mean instance_types"), "{third}");
    assert!(third.contains("\n  instance_type: h100\n"), "{third}");
    let fourth = desk.seen(4);
    assert!(
        fourth.contains("      #! error: spec.pod.spec.hostNetwork"),
        "{fourth}"
    );
    assert!(fourth.contains("\n      hostNetwork: true\n"), "{fourth}");
    // What was noted before is gone, what was typed is not.
    assert!(!fourth.contains("instance_type:"), "{fourth}");
    assert!(
        fourth.contains("description: typed with care\n"),
        "{fourth}"
    );
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_that_is_saved_again_ends_it_and_the_text_is_kept() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo '  tags: [1]' >> \"$1\""]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    let ended = session.end();
    assert_eq!(ended.code, 64, "{}", ended.screen);
    assert!(
        ended.screen.contains("what you typed has one mistake"),
        "{}",
        ended.screen
    );
    assert!(ended.screen.contains("spec.tags[0]"), "{}", ended.screen);
    let kept = desk.kept(&ended);
    assert!(
        kept.ends_with("  tags: [1]\n") && !kept.contains("#!"),
        "{kept}"
    );
    assert_eq!(desk.profiles().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_fails_is_named_and_what_was_typed_is_kept() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo '  tags: [mine]' >> \"$1\"; exit 3"]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    let ended = session.end();
    assert_eq!(ended.code, 1, "{}", ended.screen);
    assert!(
        ended.screen.replace('\n', "").contains("ended with code 3"),
        "{}",
        ended.screen
    );
    assert!(desk.kept(&ended).ends_with("  tags: [mine]\n"));
    assert_eq!(desk.profiles().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_is_not_there_is_told_and_the_answers_are_kept() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &[]);
    // VISUAL goes before EDITOR.
    let call = desk.cwic(CREATE).env("VISUAL", "no-such-editor --wait");
    let mut session = Session::start(call, (100, 70));
    answer_all(&mut session);
    let ended = session.end();
    assert_eq!(ended.code, 1, "{}", ended.screen);
    let told = "the editor no-such-editor --wait was not found; set VISUAL or EDITOR";
    assert!(
        ended.screen.replace('\n', "").contains(told),
        "{}",
        ended.screen
    );
    assert!(desk.kept(&ended).contains("description: typed with care\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_left_empty_ends_it_and_the_answers_are_kept() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo '# nothing' > \"$1\""]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    let ended = session.end();
    assert_eq!(ended.code, 64, "{}", ended.screen);
    assert!(
        ended.screen.contains("the file was left empty"),
        "{}",
        ended.screen
    );
    assert!(desk.kept(&ended).contains("description: typed with care\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_text_is_refused_and_kept() {
    let plane = Plane::start().await;
    for (reply, told) in [
        ("printf '\\377' > \"$1\"", "is not UTF-8 text"),
        ("head -c 1100000 /dev/zero > \"$1\"", "is too large"),
        ("rm \"$1\"; mkdir \"$1\"", "cannot be read"),
    ] {
        let desk = Desk::new(&plane, &[reply]);
        let mut session = desk.sit(CREATE);
        answer_all(&mut session);
        let ended = session.end();
        assert_eq!(ended.code, 64, "{}", ended.screen);
        assert!(ended.screen.contains(told), "{}", ended.screen);
        for dir in desk.left() {
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_an_editor_that_does_not_take_it_leaves_nothing() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo 'now in the editor' >&2; exec sleep 600"]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    session.see("now in the editor");
    session.press(CTRL_C);
    let ended = session.end();
    assert_eq!(ended.code, 130, "{}", ended.screen);
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_dies_in_raw_mode_leaves_a_sound_terminal() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["stty raw -echo; exit 1"]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    // The end looks at the modes.
    assert_eq!(session.end().code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_vanishes_before_it_is_sent_costs_nothing_that_was_typed() {
    let plane = Plane::start().await;
    let desk = Desk::new(&plane, &["echo '  tags: [mine]' >> \"$1\""]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    session.see("? Create profile agents?");
    plane.vanish().await;
    session.press("\r");
    let ended = session.end();
    assert_eq!(ended.code, 1, "{}", ended.screen);
    assert!(
        ended.screen.contains("profile agents was not created"),
        "{}",
        ended.screen
    );
    assert!(desk.kept(&ended).ends_with("  tags: [mine]\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_meanwhile_is_noted_and_can_be_changed() {
    let plane = Plane::start().await;
    let cwic = env!("CARGO_BIN_EXE_cwic");
    let first = format!(
        "printf 'display_name: agents\\nspec: {{}}\\n' | {cwic} sandbox profile create -f - >&2"
    );
    let desk = Desk::new(
        &plane,
        &[
            &first,
            "sed -i 's/display_name: agents/display_name: others/' \"$1\"",
        ],
    );
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    session.answer("? Create profile others?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(desk.seen(2).contains("#! error: "), "{}", desk.seen(2));
    assert_eq!(desk.profiles().await, "agents\nothers\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_kept_when_the_process_is_told_to_end() {
    let plane = Plane::start().await;
    let reply = "echo '  tags: [mine]' >> \"$1\"";
    let waits = format!("{reply}; echo 'now in the editor' >&2; exec sleep 600");
    for (reply, sign) in [
        (reply, "? Create profile agents?"),
        (&waits, "now in the editor"),
    ] {
        let desk = Desk::new(&plane, &[reply]);
        let mut session = desk.sit(CREATE);
        answer_all(&mut session);
        session.see(sign);
        session.signal(Signal::TERM);
        let ended = session.end();
        assert_eq!(ended.code, 143, "{}", ended.screen);
        assert!(desk.kept(&ended).ends_with("  tags: [mine]\n"));
        for dir in desk.left() {
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_read_what_is_typed() {
    let plane = Plane::start().await;
    let home = plane.home.path().display();
    let reply = format!("stat -c %a \"$(dirname \"$1\")\" > {home}/mode; exit 1");
    let desk = Desk::new(&plane, &[&reply]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    let ended = session.end();
    desk.kept(&ended);
    let mode = std::fs::read_to_string(plane.home.path().join("mode")).unwrap();
    assert_eq!(mode, "700\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_speaks_against_a_profile_is_told_before_the_question() {
    let plane = Plane::start().await;
    let open = "printf '  network:\\n    ingress:\\n      public:\\n        scope: any\\n        service:\\n          serviceType: LoadBalancer\\n' >> \"$1\"";
    let desk = Desk::new(&plane, &[open]);
    let mut session = desk.sit(CREATE);
    answer_all(&mut session);
    session.see("? Create profile agents?");
    session.see("warning[");
    session.press(CTRL_C);
    assert_eq!(session.end().code, 130);
}
