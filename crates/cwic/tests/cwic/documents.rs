//! Files, standard input and directories; creating, applying and comparing.

use crate::rig::{DENY_ALL, Plane, Ran, runner_document};

fn named(name: &str) -> String {
    DENY_ALL.replace("display_name: default", &format!("display_name: {name}"))
}

fn many(count: usize) -> String {
    let documents: Vec<_> = (1..=count)
        .map(|number| named(&format!("p-{number}")))
        .collect();
    documents.join("---\n")
}

async fn names(plane: &Plane) -> Vec<String> {
    let listed = plane.cwic("sandbox profile ls -o name").run().await;
    listed.ok().lines().map(str::to_owned).collect()
}

async fn with_input(plane: &Plane, arguments: &str, input: impl Into<Vec<u8>>) -> Ran {
    plane.cwic(arguments).input(input).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_stands_for_its_documents_in_order() {
    let plane = Plane::start().await;
    std::fs::create_dir(plane.home.path().join("all")).unwrap();
    plane.file("all/b.yml", named("second"));
    plane.file("all/a.yaml", named("first"));
    plane.file("all/c.json", r#"{"display_name": "third", "spec": {}}"#);
    plane.file("all/readme.txt", "nothing of interest");
    let again = plane.file("more.yaml", named("fourth"));
    let call = plane
        .cwic("sandbox profile create -f all -f")
        .argument(again);
    let created = call.run().await;
    assert_eq!(created.ok().lines().count(), 4);
    let ids: Vec<_> = created.stdout.lines().collect();
    assert!(ids.is_sorted(), "they are made in order: {ids:?}");
    assert_eq!(names(&plane).await, ["first", "fourth", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_no_documents_is_told() {
    let plane = Plane::start().await;
    std::fs::create_dir_all(plane.home.path().join("none/inner.yaml")).unwrap();
    std::fs::create_dir(plane.home.path().join("bare")).unwrap();
    plane.file("empty.yaml", "# nothing\n---\n");
    plane.file("list.yaml", "items: []\n");
    for (name, given) in [
        ("a_directory_without_documents", "bare"),
        ("a_directory_that_looks_like_a_file", "none"),
        ("a_file_without_documents", "empty.yaml"),
        ("a_list_without_documents", "list.yaml"),
        ("standard_input_twice", "- -f -"),
    ] {
        let ran = plane
            .cwic(&format!("sandbox profile apply -f {given}"))
            .run()
            .await;
        insta::assert_snapshot!(name, ran.failed(64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_document_of_a_thousand_is_named_and_nothing_is_applied() {
    let plane = Plane::start().await;
    let mut documents = many(1000);
    let from = documents.find("display_name: p-751\n").unwrap();
    documents.replace_range(
        from..,
        &documents[from..].replacen("type: none", "type: some", 1),
    );
    plane.file("fleet.yaml", &documents);
    let ran = plane
        .cwic("sandbox profile apply -f fleet.yaml")
        .run()
        .await;
    insta::assert_snapshot!("one_of_a_thousand", ran.failed(64));
    assert!(names(&plane).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_documents_are_applied_when_that_is_wanted() {
    let plane = Plane::start().await;
    let documents = many(30).replacen("display_name: p-17\n", "display_name: [p-17]\n", 1);
    plane.file("fleet.yaml", &documents);
    let arguments = "sandbox profile apply -f fleet.yaml --continue-on-error";
    let ran = plane.cwic(arguments).run().await;
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 29);
    insta::assert_snapshot!("the_others_are_made", ran.stderr);
    assert_eq!(names(&plane).await.len(), 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_documents_are_applied_and_applied_again_change_nothing() {
    let plane = Plane::start().await;
    let documents = many(1000);
    let one_is_bad = documents.replacen("display_name: p-751\n", "display_name: [p-751]\n", 1);
    plane.file("fleet.yaml", one_is_bad);
    let arguments = "sandbox profile apply -f fleet.yaml --continue-on-error";
    let ran = plane.cwic(arguments).run().await;
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    assert!(ran.stderr.contains("document 751"), "{}", ran.stderr);
    assert_eq!(ran.stdout.matches(" created\n").count(), 999);
    plane.file("fleet.yaml", documents);
    let again = plane
        .cwic("sandbox profile apply -f fleet.yaml")
        .run()
        .await;
    let told = again.ok();
    assert_eq!(told.matches(" unchanged\n").count(), 999);
    assert!(told.contains("profile p-751 created\n"), "{told}");
    assert_eq!(names(&plane).await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changed_since_a_document_was_read_is_not_lost() {
    let plane = Plane::start().await;
    plane.profile("agents").await;
    let read = plane.cwic("sandbox profile get agents -o json").run().await;
    let mine = read.ok().replace("no outbound", "hardly any outbound");
    let edit = plane.cwic("sandbox profile edit agents -f -");
    edit.input("labels: { team: other }\n").run().await.ok();
    for arguments in [
        "sandbox profile apply -f - --dry-run",
        "sandbox profile apply -f -",
        "sandbox apply -f -",
        "sandbox profile edit agents -f -",
    ] {
        let lost = with_input(&plane, arguments, mine.clone()).await;
        let told = lost.failed(5);
        assert!(
            told.contains("CWSANDBOX_ETAG_MISMATCH"),
            "{arguments}: {told}"
        );
    }
    let kept = plane.cwic("sandbox profile get agents -o yaml").run().await;
    assert!(kept.ok().contains("team: other"), "{}", kept.stdout);
    assert!(kept.stdout.contains("with no outbound"), "{}", kept.stdout);
    // From the present state it is taken; without an etag, the last one wins.
    let read = plane.cwic("sandbox profile get agents -o json").run().await;
    let mine = read.ok().replace("no outbound", "hardly any outbound");
    let taken = with_input(&plane, "sandbox profile apply -f -", mine).await;
    assert_eq!(taken.ok(), "profile agents configured\n");
    let last = with_input(&plane, "sandbox profile apply -f -", named("agents")).await;
    assert_eq!(last.ok(), "profile agents configured\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_placement_would_make_of_each_document() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("local", &id).await;
    let changed = named("agents").replace("no outbound", "hardly any outbound");
    let both = format!("{changed}---\n{}", named("new"));
    let tried = with_input(&plane, "sandbox apply -f - --dry-run", both).await;
    assert_eq!(
        tried.ok(),
        "profile agents configured (dry run)\nprofile new created (dry run)\n"
    );
    insta::assert_snapshot!("what_placement_would_make_of_it", tried.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_of_grammar_leaves_the_other_documents_readable() {
    let plane = Plane::start().await;
    let documents = format!("{}---\ndisplay_name: [\n---\n{}", named("a"), named("b"));
    let arguments = "sandbox profile create -f - --continue-on-error";
    let ran = with_input(&plane, arguments, documents).await;
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (64, 2),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("document 2"), "{}", ran.stderr);
    assert_eq!(names(&plane).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_keeps_the_others_from_being_made() {
    let plane = Plane::start().await;
    plane.profile("taken").await;
    let documents = format!("{}---\n{}", named("free"), named("taken"));
    let ran = with_input(&plane, "sandbox profile create -f -", documents.clone()).await;
    let told = ran
        .failed(5)
        .lines()
        .filter(|line| !line.starts_with("  request "));
    let told: Vec<_> = told.collect();
    insta::assert_snapshot!("one_name_is_taken", told.join("\n"));
    assert_eq!(names(&plane).await, ["taken"]);
    let arguments = "sandbox profile create -f - --continue-on-error";
    let ran = with_input(&plane, arguments, documents).await;
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (5, 1),
        "{}",
        ran.stderr
    );
    assert_eq!(names(&plane).await, ["free", "taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_documents_about_the_same_thing_are_refused() {
    let plane = Plane::start().await;
    let documents = format!("{}---\n{}", named("a"), named("a"));
    let ran = with_input(&plane, "sandbox profile apply -f -", documents).await;
    insta::assert_snapshot!("described_twice", ran.failed(64));
    assert!(names(&plane).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_creates_configures_and_leaves_alone() {
    let plane = Plane::start().await;
    let apply = async |text: String| {
        let ran = with_input(&plane, "sandbox profile apply -f -", text).await;
        ran.ok().to_owned()
    };
    let two = format!("{}---\n{}", named("a"), named("b"));
    assert_eq!(
        apply(two.clone()).await,
        "profile a created\nprofile b created\n"
    );
    assert_eq!(
        apply(two.clone()).await,
        "profile a unchanged\nprofile b unchanged\n"
    );
    let changed = two.replacen("no outbound", "really no outbound", 1);
    assert_eq!(
        apply(changed.clone()).await,
        "profile a configured\nprofile b unchanged\n"
    );
    let revisions = plane
        .cwic("sandbox profile ls -o jsonpath={.items[*].revision}")
        .run()
        .await;
    assert_eq!(revisions.ok(), "2 1\n", "what is unchanged is not written");
    let dry = with_input(&plane, "sandbox profile apply --dry-run -f -", two).await;
    assert_eq!(
        dry.ok(),
        "profile a configured (dry run)\nprofile b unchanged (dry run)\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_fleet_is_applied_at_once_whatever_the_order() {
    let plane = Plane::start().await;
    let fleet = format!(
        "{}---\n{}",
        runner_document("local", "agents"),
        named("agents")
    );
    let apply = async |fleet: &str| with_input(&plane, "sandbox apply -f -", fleet).await;
    assert_eq!(
        apply(&fleet).await.ok(),
        "profile agents created\nrunner local created\n"
    );
    assert_eq!(
        apply(&fleet).await.ok(),
        "profile agents unchanged\nrunner local unchanged\n"
    );
    let moved = fleet.replace("zone-1", "zone-2");
    let diff = with_input(&plane, "sandbox diff -f -", moved.clone()).await;
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    insta::assert_snapshot!("a_runner_that_moves", diff.stdout);
    assert_eq!(
        apply(&moved).await.ok(),
        "profile agents unchanged\nrunner local configured\n"
    );
    let neither = apply("display_name: x\n").await;
    insta::assert_snapshot!("neither_profile_nor_runner", neither.failed(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_get_writes_can_be_applied_in_every_form() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("local", &id).await;
    for noun in ["profile", "runner"] {
        for format in ["yaml", "json"] {
            let shown = plane
                .cwic(&format!("sandbox {noun} ls -o {format}"))
                .run()
                .await;
            let applied = with_input(&plane, "sandbox apply -f -", shown.ok()).await;
            assert!(applied.ok().ends_with(" unchanged\n"), "{noun} {format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_shown_and_told_by_the_exit_code() {
    let plane = Plane::start().await;
    plane.profile("a").await;
    let diff = async |text: String| with_input(&plane, "sandbox profile diff -f -", text).await;
    assert_eq!(diff(named("a")).await.ok(), "");
    let ran = diff(named("a").replace("type: none", "type: internet")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("a_changed_profile", ran.stdout);
    let ran = diff(named("b")).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    insta::assert_snapshot!("a_new_profile", ran.stdout);
    diff("display_name: [".to_owned()).await.failed(64);
    plane.vanish().await;
    diff(named("a")).await.failed(69);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_runners_are_created_from_one_file() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    let two = format!(
        "{}---\n{}",
        runner_document("east", &id),
        runner_document("west", &id)
    );
    let ran = with_input(&plane, "sandbox runner create -f -", two).await;
    assert_eq!(ran.ok().lines().count(), 2);
    let named = plane.cwic("sandbox runner ls -o name").run().await;
    assert_eq!(named.ok(), "east\nwest\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document_is_expected_where_one_thing_is_changed() {
    let plane = Plane::start().await;
    plane.profile("a").await;
    let arguments = "sandbox profile edit a -f -";
    let ran = with_input(&plane, arguments, "description: x\n---\ndescription: y\n").await;
    assert!(ran.failed(64).contains("2 documents"), "{}", ran.stderr);
}
