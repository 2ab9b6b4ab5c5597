//! What belongs to the program itself: versions, completion, manual pages, and
//! command lines that cannot be understood.

use serde_json::Value;

use crate::rig::Plane;

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_both_sides_are_told() {
    let plane = Plane::start().await;
    let version = env!("CARGO_PKG_VERSION");
    let told = plane.cwic("version -o json").run().await;
    let told: Value = serde_json::from_str(told.ok()).unwrap();
    assert_eq!(
        told,
        serde_json::json!({ "client": version, "server": version })
    );
    let alone = plane.bare("version").run().await;
    assert_eq!(alone.ok(), format!("client  {version}\n"));
    let alone = plane
        .cwic("version --client -o jsonpath={.client}")
        .run()
        .await;
    assert_eq!(alone.ok(), format!("{version}\n"));
    plane.vanish().await;
    let ran = plane.cwic("version").run().await;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (1, format!("client  {version}\n").as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_commands_and_live_names() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("local", &id).await;
    let complete = async |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut call = plane
            .cwic("-- ")
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", &index)
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_COMPLETE_SPACE", "true")
            .env("_CLAP_IFS", "\n");
        for word in words {
            call = call.argument(word);
        }
        let ran = call.run().await;
        ran.ok().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |found: &[String], name: &str| found.iter().any(|word| word == name);
    let found = complete(&["cwic", "sandbox", "pro"]).await;
    assert!(has(&found, "profile"), "{found:?}");
    let found = complete(&["cwic", "sandbox", "profile", "get", "ag"]).await;
    assert!(has(&found, "agents"), "{found:?}");
    let found = complete(&["cwic", "sandbox", "runner", "edit", ""]).await;
    assert!(has(&found, "local"), "{found:?}");
    plane.vanish().await;
    let found = complete(&["cwic", "sandbox", "profile", "get", "ag"]).await;
    assert!(!has(&found, "agents"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_gets_a_script() {
    let plane = Plane::start().await;
    for shell in ["bash", "zsh", "fish"] {
        let script = plane.bare(&format!("completion {shell}")).run().await;
        assert!(script.ok().contains("COMPLETE"), "{shell}");
    }
    plane.bare("completion tcsh").run().await.failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_pages_are_written_for_every_command() {
    let plane = Plane::start().await;
    plane.bare("man pages").run().await.ok();
    let pages = plane.home.path().join("pages");
    let page = std::fs::read_to_string(pages.join("cwic-sandbox-profile-apply.1")).unwrap();
    assert!(page.contains("continue\\-on\\-error"), "{page}");
    assert!(pages.join("cwic.1").exists());
    plane.file("taken", "");
    plane.bare("man taken").run().await.failed(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_makes_no_sense_is_told_to_programs_too() {
    let plane = Plane::start().await;
    let ran = plane
        .bare("sandbox profle ls --error-format json")
        .run()
        .await;
    let failure: Value = serde_json::from_str(ran.failed(64)).unwrap();
    assert_eq!(failure["exitCode"], 64);
    assert!(
        failure["error"].as_str().unwrap().contains("profle"),
        "{failure}"
    );
    assert!(
        failure["next"].as_str().unwrap().contains("profile"),
        "{failure}"
    );
    let ran = plane
        .bare("sandbox profile ls --no-header --error-format=json")
        .run()
        .await;
    let failure: Value = serde_json::from_str(ran.failed(64)).unwrap();
    assert!(
        failure["next"].as_str().unwrap().contains("--no-headers"),
        "{failure}"
    );
    let ran = plane.bare("sandbox").argument("\u{1b}[2J").run().await;
    assert!(!ran.failed(64).contains('\u{1b}'), "{:?}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_name_gets_the_closest_ones() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("my-runner", &id).await;
    for (call, meant) in [
        ("profile get agnets", "did you mean agents?"),
        ("profile delete agent --yes", "did you mean agents?"),
        ("profile edit agentss -f -", "did you mean agents?"),
        ("runner describe my-runer", "did you mean my-runner?"),
    ] {
        let call = plane
            .cwic(&format!("sandbox {call}"))
            .input("description: x\n");
        let ran = call.run().await;
        assert!(ran.failed(3).contains(meant), "{}", ran.stderr);
    }
}
