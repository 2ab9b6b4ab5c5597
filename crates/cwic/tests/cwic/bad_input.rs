//! Documents and command lines that are wrong: each gets an answer with its
//! place, and nothing is changed.

use serde_json::Value;

use crate::rig::{Plane, Ran};

async fn create(plane: &Plane, document: impl Into<Vec<u8>>) -> Ran {
    plane
        .cwic("sandbox profile create -f -")
        .input(document)
        .run()
        .await
}

/// The refusal of a document, which changed nothing.
async fn refused(document: impl Into<Vec<u8>>) -> String {
    let plane = Plane::start().await;
    let ran = create(&plane, document).await;
    let stderr = ran.failed(64).to_owned();
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        ""
    );
    stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_yaml_is_told_with_its_place() {
    insta::assert_snapshot!(refused("display_name: x\nspec: {a: [1\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_told_at_once_with_its_place() {
    let document = "display_name: Not A Name\nspec:\n  resource_defaults:\n    cpuLimit: many\n  \
                    network:\n    egress:\n      modes:\n        ci:\n          type: allowlist\n          \
                    cidrs: [10.0.0.1/8]\n";
    insta::assert_snapshot!(refused(document).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_field_gets_a_hint() {
    insta::assert_snapshot!(refused("display_name: x\nspec:\n  containerimage: y\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_there_twice_is_refused() {
    insta::assert_snapshot!(refused("display_name: x\ndisplay_name: y\nspec: {}\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_refused() {
    insta::assert_snapshot!(refused(b"display_name: \xff\xfe\nspec: {}\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_ten_mebibytes_is_refused_unread() {
    let document = format!(
        "display_name: x\ndescription: {}\nspec: {{}}\n",
        "y".repeat(10 << 20)
    );
    insta::assert_snapshot!(refused(document).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_bomb_is_refused() {
    let level = |(name, before): (char, char)| {
        let aliases = vec![format!("*{before}"); 9].join(", ");
        format!("{name}: &{name} [{aliases}]\n")
    };
    let levels: String = ('b'..='i').zip('a'..).map(level).collect();
    let document = format!("display_name: x\na: &a [x, x, x, x, x, x, x, x, x]\n{levels}");
    insta::assert_snapshot!(refused(document).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_refused() {
    let document = format!("display_name: x\nspec: {}", "[".repeat(100_000));
    insta::assert_snapshot!(refused(document).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_document_is_refused() {
    insta::assert_snapshot!(refused("").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_told() {
    let plane = Plane::start().await;
    let ran = plane
        .cwic("sandbox profile create -f absent.yaml")
        .run()
        .await;
    insta::assert_snapshot!("absent_file", ran.failed(64));
    plane
        .cwic("sandbox profile create -f .")
        .run()
        .await
        .failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_programs_as_json() {
    let plane = Plane::start().await;
    let ran = plane
        .cwic("sandbox profile get absent --error-format json")
        .run()
        .await;
    let failure: Value = serde_json::from_str(ran.failed(3)).unwrap();
    assert_eq!(failure["reason"], "CWSANDBOX_PROFILE_NOT_FOUND");
    assert_eq!(failure["exitCode"], 3);
    assert!(
        failure["next"].is_string() && failure["causes"][0].is_string(),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_what_why_and_next_and_colour_only_on_request() {
    let plane = Plane::start().await;
    let plain = plane.cwic("sandbox profile get absent").run().await;
    let lines: Vec<&str> = plain.failed(3).lines().collect();
    assert!(
        lines[0].starts_with("error: profile absent was not found"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("  why:  CWSANDBOX_PROFILE_NOT_FOUND: "),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("  next: "), "{lines:?}");
    assert!(!plain.stderr.contains('\u{1b}'));
    let coloured = plane
        .cwic("sandbox profile get absent --color always")
        .run()
        .await;
    assert!(coloured.failed(3).contains('\u{1b}'));
    let never = plane
        .cwic("sandbox profile get absent")
        .env("NO_COLOR", "1")
        .run()
        .await;
    assert!(!never.failed(3).contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_command_gets_a_hint() {
    let plane = Plane::start().await;
    let ran = plane.cwic("sandbox profle ls").run().await;
    assert!(ran.failed(64).contains("'profile'"), "{}", ran.stderr);
    plane
        .cwic("sandbox profile get --output toml")
        .run()
        .await
        .failed(64);
    plane
        .cwic("sandbox profile ls --server nowhere")
        .run()
        .await
        .failed(64);
}
