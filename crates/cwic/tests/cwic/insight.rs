//! The history of profiles, advice about them, and what placement makes of them.

use palisade_model::tenant::Role;
use serde_json::Value;

use crate::rig::{DENY_ALL, Plane};

const SOUND: &str = "\
display_name: agents
spec:
  container_image: python:3.11
  runtime_class: gvisor
  resource_defaults: { cpuRequest: '1', cpuLimit: '2', memoryRequest: 1Gi, memoryLimit: 2Gi }
";

const RISKY: &str = "\
display_name: risky
spec:
  network:
    egress:
      default: open
      modes:
        open: { type: allowlist, cidrs: [0.0.0.0/0] }
        closed: { type: none }
";

async fn create(plane: &Plane, document: &str) -> String {
    let created = plane.cwic("sandbox profile create -f -").input(document);
    created.run().await.ok().trim().to_owned()
}

async fn edit(plane: &Plane, profile: &str, document: &str) {
    let edited = plane.cwic(&format!("sandbox profile edit {profile} -f -"));
    edited.input(document).run().await.ok();
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_tell_who_wrote_what_when_and_what_changed() {
    let plane = Plane::start().await;
    create(&plane, SOUND).await;
    edit(&plane, "agents", "description: for agents\n").await;
    edit(
        &plane,
        "agents",
        &SOUND.replace("cpuLimit: '2'", "cpuLimit: '4'"),
    )
    .await;
    let listed = plane.cwic("sandbox profile revisions agents").run().await;
    insta::assert_snapshot!("revisions", listed.ok());
    let listed = plane.cwic("sandbox profile revisions agents -o json --limit 1");
    let answer = json(listed.run().await.ok());
    let newest = &answer["revisions"][0];
    assert_eq!(
        (newest["revision"].as_u64(), newest["createdBy"].as_str()),
        (Some(3), Some("ada"))
    );
    let change = serde_json::json!({
        "path": "spec.resource_defaults.cpuLimit", "before": "2", "after": "4"
    });
    assert_eq!(newest["changes"], serde_json::json!([change]));
    let diff = plane
        .cwic("sandbox profile revisions agents --diff 1..3")
        .run()
        .await;
    insta::assert_snapshot!("revisions_diff", diff.ok());
    let same = plane
        .cwic("sandbox profile revisions agents --diff 2..2")
        .run()
        .await;
    assert!(same.ok().contains("no difference"), "{}", same.stdout);
    let missing = plane
        .cwic("sandbox profile revisions agents --diff 8..9")
        .run()
        .await;
    assert!(
        missing.failed(3).contains("revision 8"),
        "{}",
        missing.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_tried_told_and_then_made() {
    let plane = Plane::start().await;
    create(&plane, SOUND).await;
    edit(
        &plane,
        "agents",
        &SOUND.replace("python:3.11", "python:3.12"),
    )
    .await;
    let tried = plane
        .cwic("sandbox profile rollback agents --to 1 --dry-run")
        .run()
        .await;
    let told = tried.ok();
    assert!(
        told.starts_with("profile agents would say what revision 1 said\n"),
        "{told}"
    );
    assert!(
        told.contains("~ spec.container_image: \"python:3.12\" -> \"python:3.11\""),
        "{told}"
    );
    let made = plane
        .cwic("sandbox profile rollback agents --to 1")
        .run()
        .await;
    assert!(
        made.ok().starts_with("profile agents is at revision 3, "),
        "{}",
        made.stdout
    );
    let again = plane
        .cwic("sandbox profile rollback agents --to 1")
        .run()
        .await;
    assert!(
        again.ok().contains("stays at revision 3"),
        "{}",
        again.stdout
    );
    let none = plane
        .cwic("sandbox profile rollback agents --to 9")
        .run()
        .await;
    none.failed(3);
    let user = plane.token_of(Role::SandboxUser).await;
    let refused = plane
        .cwic("sandbox profile rollback agents --to 2")
        .env("CWIC_TOKEN", &user);
    refused.run().await.failed(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_tells_each_finding_with_its_place_and_page() {
    let plane = Plane::start().await;
    let file = plane.file("risky.yaml", RISKY);
    let found = plane
        .bare("sandbox profile lint -f")
        .argument(&file)
        .run()
        .await;
    assert_eq!(found.code, 2, "{}", found.stderr);
    let told = found
        .stdout
        .replace(&file.display().to_string(), "risky.yaml");
    insta::assert_snapshot!("lint", told);
    create(&plane, RISKY).await;
    let found = plane.cwic("sandbox profile lint risky -o json").run().await;
    assert_eq!(found.code, 2, "{}", found.stderr);
    let first = &json(&found.stdout)["findings"][0];
    assert_eq!(first["rule"], "allowlist-open");
    assert_eq!(first["path"], "spec.network.egress.modes.open.cidrs[0]");
    assert_eq!(first["page"], "docs/lint/allowlist-open.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_fails_from_the_severity_on_that_was_asked_for() {
    let plane = Plane::start().await;
    create(&plane, SOUND).await;
    plane
        .cwic("sandbox profile lint agents --fail-on warning")
        .run()
        .await
        .ok();
    create(&plane, DENY_ALL).await;
    plane.cwic("sandbox profile lint default").run().await.ok();
    let warned = plane
        .cwic("sandbox profile lint agents default --fail-on warning")
        .run()
        .await;
    assert_eq!(warned.code, 2, "{}", warned.stderr);
    plane.cwic("sandbox profile lint").run().await.failed(64);
    plane
        .cwic("sandbox profile lint nobody")
        .run()
        .await
        .failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_the_layer_of_every_field() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    plane.runner("local", &id).await;
    let told = plane
        .cwic("sandbox profile explain agents --runner local")
        .run()
        .await;
    insta::assert_snapshot!("profile_explain", told.ok());
    let other = create(&plane, DENY_ALL).await;
    let refused = plane.cwic(&format!("sandbox profile explain {other} --runner local"));
    let refused = refused.run().await;
    assert!(
        refused.failed(2).contains("does not bind"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_explained_and_refused_requests_end_with_code_2() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    plane.runner("local", &id).await;
    let request = "profile_names: [agents]\nnetwork: { egress_mode: internet }\n";
    let file = plane.file("request.yaml", request);
    let explained = plane.cwic("sandbox explain -f").argument(&file).run().await;
    assert_eq!(explained.code, 2, "{}", explained.stderr);
    insta::assert_snapshot!("sandbox_explain", explained.stdout);
    let user = plane.token_of(Role::SandboxUser).await;
    let explained = plane
        .cwic("sandbox explain -f - -o json")
        .env("CWIC_TOKEN", &user);
    let explained = explained.input(request).run().await;
    assert_eq!(explained.code, 2, "{}", explained.stderr);
    let answer = json(&explained.stdout);
    assert_eq!(answer["refusal"]["reason"], "CWSANDBOX_PROFILE_MISMATCH");
    assert_eq!(
        answer["candidates"][0]["firstUnmet"]["constraint"],
        "egress_mode"
    );
    let wrong = plane
        .cwic("sandbox explain -f -")
        .input("network: { egress: x }\n")
        .run()
        .await;
    assert!(wrong.failed(64).contains("egress"), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_runners_would_make_of_a_change() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    let tried = plane
        .cwic("sandbox profile create -f - --dry-run")
        .input(DENY_ALL)
        .run()
        .await;
    assert!(
        tried
            .stderr
            .contains("no runner offers profile default yet"),
        "{}",
        tried.stderr
    );
    plane.runner("local", &id).await;
    let change = SOUND.replace("python:3.11", "python:3.12");
    let tried = plane
        .cwic("sandbox profile edit agents -f - --dry-run")
        .input(change)
        .run()
        .await;
    tried.ok();
    let expected =
        "runner local, profile agents: would refuse a sandbox that asks for nothing: connected";
    assert!(tried.stderr.contains(expected), "{}", tried.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_tells_revisions_and_warnings() {
    let plane = Plane::start().await;
    create(&plane, RISKY).await;
    let told = plane.cwic("sandbox profile describe risky").run().await;
    let told = told.ok();
    for part in [
        "Live sandboxes: 0",
        "Recent revisions:",
        "error[allowlist-open]: ",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_says_truthfully_that_nothing_is_updated() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    plane.runner("local", &id).await;
    let told = plane.cwic("sandbox runner upgrade local").run().await;
    assert!(
        told.ok()
            .starts_with("runner local was not updated: there is nothing to update"),
        "{}",
        told.stdout
    );
    plane
        .cwic("sandbox runner upgrade nobody")
        .run()
        .await
        .failed(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_of_a_runner_without_sandboxes_deletes_at_once() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    plane.runner("local", &id).await;
    let bad = plane
        .cwic("sandbox runner delete local --drain=soon --yes")
        .run()
        .await;
    assert!(bad.failed(64).contains("30s, 10m"), "{}", bad.stderr);
    plane
        .cwic("sandbox runner delete local --drain=1m --force --yes")
        .run()
        .await
        .failed(64);
    let gone = plane
        .cwic("sandbox runner delete local --drain --yes")
        .run()
        .await;
    assert_eq!(gone.ok(), "runner local deleted\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_of_a_runner_tells_what_lives_there() {
    let plane = Plane::start().await;
    let id = create(&plane, SOUND).await;
    plane.runner("local", &id).await;
    let told = plane.cwic("sandbox runner describe local").run().await;
    assert!(told.ok().contains("Live sandboxes: 0"), "{}", told.stdout);
    assert!(!told.stdout.contains("being deleted"), "{}", told.stdout);
}
