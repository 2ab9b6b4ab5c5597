//! What the program says about itself.

use crate::rig::Plane;

const COMMANDS: [&str; 47] = [
    "",
    "auth",
    "auth login",
    "auth status",
    "auth logout",
    "context",
    "context ls",
    "context use",
    "context rm",
    "sandbox",
    "sandbox apply",
    "sandbox diff",
    "sandbox profile",
    "sandbox profile create",
    "sandbox profile get",
    "sandbox profile describe",
    "sandbox profile edit",
    "sandbox profile apply",
    "sandbox profile diff",
    "sandbox profile delete",
    "sandbox profile revisions",
    "sandbox profile rollback",
    "sandbox profile lint",
    "sandbox profile explain",
    "sandbox explain",
    "sandbox runner",
    "sandbox runner create",
    "sandbox runner get",
    "sandbox runner describe",
    "sandbox runner edit",
    "sandbox runner apply",
    "sandbox runner diff",
    "sandbox runner delete",
    "sandbox runner upgrade",
    "version",
    "completion",
    "man",
    "sandbox run",
    "sandbox ls",
    "sandbox get",
    "sandbox describe",
    "sandbox logs",
    "sandbox exec",
    "sandbox cp",
    "sandbox stop",
    "sandbox rm",
    "sandbox port-forward",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself_with_an_example() {
    let plane = Plane::start().await;
    for command in COMMANDS {
        let help = plane.bare(command).argument("--help").run().await;
        let name = format!("help {command}");
        insta::assert_snapshot!(name.trim().replace(' ', "_"), help.ok());
        assert!(help.stdout.contains("Example"), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_told() {
    let plane = Plane::start().await;
    let version = plane.bare("--version").run().await;
    assert_eq!(
        version.ok(),
        format!("cwic {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_at_all_is_a_usage_error_with_help() {
    let plane = Plane::start().await;
    let ran = plane.bare("").run().await;
    assert!(ran.failed(64).contains("Usage: cwic"), "{}", ran.stderr);
}
