//! Changing a profile in an editor, alone and while somebody else does.

use crate::pty::{CTRL_C, CTRL_D, Desk};
use crate::rig::Plane;

const EDIT: &str = "sandbox profile edit agents";

async fn yaml(plane: &Plane) -> String {
    let got = plane.cwic("sandbox profile get agents -o yaml").run().await;
    got.ok().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_in_the_editor_is_shown_and_sent() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let desk = Desk::new(
        &plane,
        &["sed -i 's/per-user$/per-org/; s/^description:.*/description: new/' \"$1\""],
    );
    let session = desk.sit(EDIT);
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(desk.seen(1).starts_with("#! "), "{}", desk.seen(1));
    for line in [
        "-description: Per-user",
        "+description: new",
        "+    strategy: per-org",
        "profile agents is at revision 2",
    ] {
        assert!(ended.screen.contains(line), "{line}\n{}", ended.screen);
    }
    assert!(
        yaml(&plane)
            .await
            .contains("description: new\nspec:\n  namespace:\n    strategy: per-org\n")
    );
    assert_eq!(desk.left(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_taken_out_is_emptied() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let desk = Desk::new(&plane, &["sed -i '/^description:/d' \"$1\""]);
    assert_eq!(desk.sit(EDIT).end().code, 0);
    assert!(!yaml(&plane).await.contains("description"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_says_the_same_is_not_sent() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    // Comments and quotes change nothing.
    let reply = "sed -i 's/strategy: per-user/strategy: \"per-user\"/; 1i# mine' \"$1\"";
    let desk = Desk::new(&plane, &[reply]);
    let ended = desk.sit(EDIT).end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        ended
            .screen
            .contains("Nothing was changed, and nothing was sent."),
        "{}",
        ended.screen
    );
    let got = plane.cwic("sandbox profile get agents -o json").run().await;
    assert!(got.ok().contains("\"revision\": 1"), "{}", got.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_and_the_whole_spec_cannot_be_taken_away() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let replies = [
        "sed -i 's/^display_name:.*/display_name: other/' \"$1\"",
        "sed -i 's/^display_name:.*/display_name: agents/; /^spec:/,$d' \"$1\"",
        "echo 'spec: {}' >> \"$1\"",
    ];
    let desk = Desk::new(&plane, &replies);
    let ended = desk.sit(EDIT).end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        desk.seen(2).contains("#! error: display_name "),
        "{}",
        desk.seen(2)
    );
    assert!(
        desk.seen(3)
            .contains("#! error: spec must not be taken out"),
        "{}",
        desk.seen(3)
    );
    assert!(!yaml(&plane).await.contains("strategy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_change_and_makes_none() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let desk = Desk::new(&plane, &["sed -i 's/per-user$/per-org/' \"$1\""]);
    let ended = desk.sit("sandbox profile edit agents --dry-run").end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        ended.screen.contains("+    strategy: per-org"),
        "{}",
        ended.screen
    );
    assert!(yaml(&plane).await.contains("strategy: per-user\n"));
}

/// What another administrator does while the editor is open.
fn meanwhile(document: &str) -> String {
    let cwic = env!("CARGO_BIN_EXE_cwic");
    format!("printf '{document}' | {cwic} sandbox profile edit agents -f - >&2")
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_two_administrators_are_told_and_put_together() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let other = meanwhile("description: theirs\\n");
    let reply = format!("{other}; sed -i 's/per-user$/per-org/' \"$1\"");
    let desk = Desk::new(&plane, &[&reply]);
    let mut session = desk.sit(EDIT);
    session.see("Somebody else changed profile agents meanwhile");
    for line in [
        "you began with revision 1, now there is revision 2",
        "+description: theirs",
        "+    strategy: per-org",
    ] {
        session.see(line);
    }
    session.answer("? Edit again", "y");
    session.answer("? Change profile agents?", "");
    let ended = session.end();
    assert_eq!(ended.code, 0, "{}", ended.screen);
    assert!(
        ended.screen.contains("profile agents is at revision 3"),
        "{}",
        ended.screen
    );
    let second = desk.seen(2);
    assert!(second.contains("\ndescription: theirs\n"), "{second}");
    assert!(second.contains("\n    strategy: per-org\n"), "{second}");
    let made = yaml(&plane).await;
    assert!(
        made.contains("description: theirs\n") && made.contains("strategy: per-org\n"),
        "{made}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_changed_is_noted_at_its_line_and_never_lost_unasked() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let other = meanwhile("description: theirs\\n");
    let reply = format!("{other}; sed -i 's/^description:.*/description: mine/' \"$1\"");
    let desk = Desk::new(&plane, &[&reply]);
    let mut session = desk.sit(EDIT);
    session.answer("? Edit again", "y");
    session.see("? Change profile agents?");
    session.see("-description: theirs");
    session.press(CTRL_C);
    let ended = session.end();
    assert_eq!(ended.code, 130, "{}", ended.screen);
    let second = desk.seen(2);
    let note = "#! changed by both: description is as you want it; the other one wants \"theirs\"\ndescription: mine\n";
    assert!(second.contains(note), "{second}");
    assert!(yaml(&plane).await.contains("description: theirs\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_to_edit_again_finds_the_text_in_a_file() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let reply = format!(
        "{}; echo '# mine' >> \"$1\"; sed -i 's/per-user$/per-org/' \"$1\"",
        meanwhile("description: theirs\\n")
    );
    let desk = Desk::new(&plane, &[&reply]);
    let mut session = desk.sit(EDIT);
    session.answer("? Edit again", "n");
    let ended = session.end();
    assert_eq!(ended.code, 5, "{}", ended.screen);
    let kept = desk.kept(&ended);
    assert!(
        kept.contains("strategy: per-org\n") && kept.ends_with("# mine\n"),
        "{kept}"
    );
    assert!(yaml(&plane).await.contains("strategy: per-user\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_deleted_meanwhile_is_told_and_the_text_is_kept() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let cwic = env!("CARGO_BIN_EXE_cwic");
    let reply = format!(
        "{cwic} sandbox profile delete agents --yes >&2; sed -i 's/per-user$/per-org/' \"$1\""
    );
    let desk = Desk::new(&plane, &[&reply]);
    let ended = desk.sit(EDIT).end();
    assert_eq!(ended.code, 3, "{}", ended.screen);
    assert!(desk.kept(&ended).contains("strategy: per-org\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_asks_and_only_a_yes_deletes() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("local", &id).await;
    let desk = Desk::new(&plane, &[]);
    for call in ["profile delete agents", "runner delete local"] {
        for (keys, code) in [("n\r", 1), ("\r", 1), (CTRL_C, 130), (CTRL_D, 130)] {
            let mut session = desk.sit(&format!("sandbox {call}"));
            session.see("? Delete ");
            session.press(keys);
            let ended = session.end();
            assert_eq!(ended.code, code, "{}", ended.screen);
            assert!(
                ended.screen.contains("nothing was deleted"),
                "{}",
                ended.screen
            );
        }
    }
    for call in ["runner delete local", "profile delete agents"] {
        let mut session = desk.sit(&format!("sandbox {call}"));
        session.answer("? Delete ", "y");
        assert_eq!(session.end().code, 0);
    }
    assert_eq!(desk.profiles().await, "");
}
