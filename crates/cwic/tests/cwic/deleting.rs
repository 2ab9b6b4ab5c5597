//! Deleting profiles: each by itself, and never what a runner offers.

use crate::rig::{Plane, runner_document};

#[tokio::test(flavor = "multi_thread")]
async fn bound_profiles_are_reported_and_skipped_and_the_rest_is_deleted() {
    let plane = Plane::start().await;
    let bound = plane.profile("bound").await;
    let free = plane.profile("free").await;
    plane.profile("also-free").await;
    plane.runner("local", &bound).await;
    let call = format!("sandbox profile delete {free} bound also-free --yes");
    let ran = plane.cwic(&call).run().await;
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        format!("profile {free} deleted\nprofile also-free deleted\n")
    );
    assert!(
        ran.stderr.contains("profile bound was skipped"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("CWSANDBOX_PROFILE_IN_USE"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("local"),
        "the runner is named: {}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("cwic sandbox runner edit"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        "bound\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_detaches_a_bound_profile_works_as_it_is_shown() {
    let plane = Plane::start().await;
    let (old, new) = (plane.profile("old").await, plane.profile("new").await);
    let bindings = format!(
        "{}  - profile_template_id: {new}\n    is_default: false\n    profile_name: next\n",
        runner_document("local", &old)
    );
    let create = plane.cwic("sandbox runner create -f -").input(bindings);
    create.run().await.ok();
    let ran = plane.cwic("sandbox profile delete old --yes").run().await;
    let shown = ran.failed(5);
    let (_, command) = shown.split_once("next: cwic ").unwrap();
    let (command, patch) = command.lines().next().unwrap().split_once(" <<< ").unwrap();
    let detach = plane.cwic(command).input(patch.trim_matches('\''));
    detach.run().await.ok();
    plane
        .cwic("sandbox profile delete old --yes")
        .run()
        .await
        .ok();
    // The last one of a runner cannot be taken away, only replaced.
    let ran = plane.cwic("sandbox profile delete new --yes").run().await;
    assert!(
        ran.failed(5).contains("bind another profile"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_profile_can_be_deleted() {
    let plane = Plane::start().await;
    let old = plane.profile("agent-v1").await;
    let new = plane.profile("agent-v2").await;
    plane.runner("local", &old).await;
    let bindings = format!("profile_bindings:\n- profile_template_id: {new}\n  is_default: true\n");
    let edited = plane
        .cwic("sandbox runner edit local -f -")
        .input(bindings)
        .run()
        .await;
    assert!(
        edited.ok().contains(&format!("attached {new}")),
        "{}",
        edited.stdout
    );
    assert!(
        edited.stdout.contains(&format!("detached {old}")),
        "{}",
        edited.stdout
    );
    plane
        .cwic("sandbox profile delete agent-v1 --yes")
        .run()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_nothing_is_deleted_unless_that_is_said() {
    let plane = Plane::start().await;
    let id = plane.profile("kept").await;
    let ran = plane
        .cwic("sandbox profile delete kept")
        .input("y\n")
        .run()
        .await;
    assert!(ran.failed(64).contains("--yes"), "{}", ran.stderr);
    plane.runner("local", &id).await;
    plane
        .cwic("sandbox runner delete local")
        .input("y\n")
        .run()
        .await
        .failed(64);
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        "kept\n"
    );
    assert_eq!(
        plane.cwic("sandbox runner ls -o name").run().await.ok(),
        "local\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_outcome_gives_the_exit_code() {
    let plane = Plane::start().await;
    let bound = plane.profile("bound").await;
    plane.runner("local", &bound).await;
    let delete = |names: &str| plane.cwic(&format!("sandbox profile delete {names} --yes"));
    assert_eq!(delete("absent").run().await.code, 3);
    assert_eq!(delete("absent bound").run().await.code, 5);
    assert_eq!(delete("bound absent").run().await.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_runner_is_deleted_and_frees_its_profile() {
    let plane = Plane::start().await;
    let id = plane.profile("default").await;
    let document = runner_document("local", &id);
    plane
        .cwic("sandbox runner create -f -")
        .input(document)
        .run()
        .await
        .ok();
    let ran = plane.cwic("sandbox runner delete local --yes").run().await;
    assert_eq!(ran.ok(), "runner local deleted\n");
    plane.cwic("sandbox runner get local").run().await.failed(3);
    plane
        .cwic("sandbox profile delete default --yes")
        .run()
        .await
        .ok();
}
