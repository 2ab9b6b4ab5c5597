//! Runners: made, looked at, and what they offer changed.

use crate::rig::{Plane, runner_document};

#[tokio::test(flavor = "multi_thread")]
async fn creating_prints_the_new_id_and_nothing_else() {
    let plane = Plane::start().await;
    let profile = plane.profile("default").await;
    let id = plane.runner("local", &profile).await;
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_runner_is_shown_in_every_format() {
    let plane = Plane::start().await;
    let profile = plane.profile("default").await;
    plane.runner("local", &profile).await;
    for format in ["table", "json", "yaml", "name"] {
        let shown = plane
            .cwic("sandbox runner get local -o")
            .argument(format)
            .run()
            .await;
        insta::assert_snapshot!(format!("runner_as_{format}"), shown.ok());
    }
    let all = plane.cwic("sandbox runner ls").run().await;
    insta::assert_snapshot!("runner_as_table", all.ok());
    insta::assert_snapshot!(plane.cwic("sandbox runner describe local").run().await.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_get_writes_as_yaml_can_be_sent_back() {
    let plane = Plane::start().await;
    let profile = plane.profile("default").await;
    plane.runner("local", &profile).await;
    let shown = plane.cwic("sandbox runner get local -o yaml").run().await;
    let document = shown.ok().to_owned();
    plane
        .cwic("sandbox runner edit local -f -")
        .input(document)
        .run()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_bindings_is_replaced_as_a_whole_or_not_at_all() {
    let plane = Plane::start().await;
    let one = plane.profile("one").await;
    let two = plane.profile("two").await;
    plane.runner("local", &one).await;
    let binding = |id: &str, is_default: bool| {
        format!("- profile_template_id: {id}\n  is_default: {is_default}\n")
    };
    let edit = |bindings: String| {
        let document = format!("profile_bindings:\n{bindings}");
        plane.cwic("sandbox runner edit local -f -").input(document)
    };
    let both = format!("{}{}", binding(&one, true), binding(&two, false));
    let ran = edit(both).run().await;
    assert!(
        ran.ok().contains(&format!("attached {two}")),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains(&format!("kept     {one}")),
        "{}",
        ran.stdout
    );
    let before = plane.cwic("sandbox runner get local -o json").run().await;
    let absent = uuid::Uuid::nil().to_string();
    for (bad, code) in [
        (
            format!("{}{}", binding(&one, true), binding(&two, true)),
            64,
        ),
        (
            format!("{}{}", binding(&one, false), binding(&two, false)),
            64,
        ),
        (
            format!("{}{}", binding(&one, true), binding(&one, false)),
            64,
        ),
        (binding(&absent, true), 2),
    ] {
        let ran = edit(bad.clone()).run().await;
        assert_eq!(ran.code, code, "{bad}\n{}", ran.stderr);
        assert!(ran.stderr.contains("profile_bindings"), "{}", ran.stderr);
    }
    let after = plane.cwic("sandbox runner get local -o json").run().await;
    assert_eq!(before.ok(), after.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_told_at_its_place_in_the_file() {
    let plane = Plane::start().await;
    let one = plane.profile("one").await;
    plane.runner("local", &one).await;
    let document =
        format!("profile_bindings:\n- profile_template_id: {one}\n  is_default: false\n");
    let file = plane.file("bindings.yaml", document);
    assert!(file.exists());
    let ran = plane
        .cwic("sandbox runner edit local -f bindings.yaml")
        .run()
        .await;
    let stderr = ran.failed(64);
    let without_request: String = stderr
        .lines()
        .filter(|line| !line.starts_with("  request "))
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(without_request);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_runner_of_a_cluster_and_a_second_one_of_a_name_are_conflicts() {
    let plane = Plane::start().await;
    let profile = plane.profile("default").await;
    plane.runner("local", &profile).await;
    let create = |document: String| plane.cwic("sandbox runner create -f -").input(document);
    let same = create(runner_document("local", &profile)).run().await;
    same.failed(5);
    let cluster =
        runner_document("other", &profile).replace("cluster_name: other", "cluster_name: local");
    let ran = create(cluster).run().await;
    assert!(
        ran.failed(5).contains("CWSANDBOX_CLUSTER_HAS_RUNNER"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_on_the_command_line_stands_for_one_in_the_file() {
    let plane = Plane::start().await;
    let profile = plane.profile("default").await;
    let document = runner_document("local", &profile).replace("  runner_id: local\n", "");
    let create = plane
        .cwic("sandbox runner create local -f -")
        .input(document);
    create.run().await.ok();
    assert_eq!(
        plane.cwic("sandbox runner ls -o name").run().await.ok(),
        "local\n"
    );
}
