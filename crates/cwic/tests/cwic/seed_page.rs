//! The commands and documents of the workflow for administrators, as their
//! manual gives them, in its order. What needs a person is tested elsewhere.

use std::fs;
use std::path::Path;

use crate::rig::Plane;

/// A document as the manual prints it.
fn document(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cwic/seed");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Creates a profile and returns its id.
async fn create(plane: &Plane, name: &str, text: &str) -> String {
    plane.file("profile.yaml", format!("display_name: {name}\n{text}"));
    let created = plane
        .cwic("sandbox profile create -f profile.yaml")
        .run()
        .await;
    created.ok().trim_end().to_owned()
}

/// What a command of the manual writes, which succeeds.
async fn succeed(plane: &Plane, command: &str) -> String {
    plane.cwic(command).run().await.ok().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_is_true_from_its_first_command_to_its_last() {
    let plane = Plane::start().await;
    let run = async |command: String| succeed(&plane, &command).await;

    // Create a profile from a file, and from standard input.
    plane.file("profile.yaml", document("profile.yaml"));
    let id = run("sandbox profile create -f profile.yaml".to_owned()).await;
    let id = id.trim_end();
    let other = document("profile.yaml").replace("display_name: default", "display_name: agent-v1");
    let created = plane.cwic("sandbox profile create -f -").input(other);
    created.run().await.ok();

    // List, inspect, describe.
    let listed = run("sandbox profile get".to_owned()).await;
    assert_eq!(listed, run("sandbox profile ls".to_owned()).await);
    assert!(
        listed.contains("default") && listed.contains("agent-v1"),
        "{listed}"
    );
    assert!(
        run(format!("sandbox profile get {id}"))
            .await
            .contains("deny-all*")
    );
    assert!(
        run(format!("sandbox profile describe {id}"))
            .await
            .contains("strategy: per-user")
    );

    // Every document of the page, with the name that a whole profile needs.
    for name in [
        "compute",
        "namespace",
        "allowlist",
        "split",
        "ingress",
        "pod",
    ] {
        let text = document(&format!("{name}.yaml"));
        create(&plane, name, &text).await;
    }

    bind_update_and_delete(&plane, id).await;
}

/// The second half of the manual, with the profile that the first one made.
async fn bind_update_and_delete(plane: &Plane, id: &str) {
    let run = async |command: String| succeed(plane, &command).await;

    // Bind profiles to a runner.
    let ci = create(plane, "ci", "spec: {}").await;
    let gpu = create(plane, "gpu-v2", "spec: {}").await;
    let untrusted = create(plane, "untrusted-code", "spec: {}").await;
    plane.runner("my-runner", id).await;
    let bindings = document("bindings.yaml")
        .replace("[CI-PROFILE-ID]", &ci)
        .replace("[GPU-PROFILE-ID]", &gpu)
        .replace("[UNTRUSTED-PROFILE-ID]", &untrusted);
    plane.file("bindings.yaml", bindings);
    let edited = run("sandbox runner edit my-runner -f bindings.yaml".to_owned()).await;
    assert!(edited.contains(&format!("attached {ci}")), "{edited}");
    assert!(edited.contains(&format!("detached {id}")), "{edited}");
    let described = run("sandbox runner describe my-runner".to_owned()).await;
    assert!(described.contains("untrusted"), "{described}");

    // Update a profile; who is bound to it picks it up.
    plane.file("profile.yaml", document("split.yaml"));
    run(format!("sandbox profile edit {ci} -f profile.yaml")).await;
    assert!(
        run(format!("sandbox profile get {ci}"))
            .await
            .contains("internet*,deny-all")
    );

    // Delete: by id or name, several at once, and never what is bound.
    create(plane, "team-default", "spec: {}").await;
    create(plane, "beta-template", "spec: {}").await;
    run("sandbox profile delete team-default beta-template --yes".to_owned()).await;
    let refused = plane
        .cwic(&format!("sandbox profile delete {gpu} --yes"))
        .run()
        .await;
    assert!(
        refused.failed(5).contains("my-runner"),
        "{}",
        refused.stderr
    );
    run(format!("sandbox profile delete {id} --yes")).await;
}
