//! Profiles: made, looked at, changed.

use std::process::Stdio;

use palisade_model::tenant::Role;
use serde_json::Value;

use crate::rig::{DENY_ALL, Plane};

const SPLIT: &str = "\
display_name: split
labels: { team: ml }
spec:
  container_image: ghcr.io/myorg/python-ds:3.11
  resource_defaults: { cpuRequest: '1', memoryRequest: 2Gi, cpuLimit: '4', memoryLimit: 8Gi }
  network:
    egress:
      default: internet
      modes:
        internet: { type: internet }
        deny-all: { type: none }
    ingress:
      internal: { scope: org, service: { serviceType: ClusterIP } }
";

async fn create(plane: &Plane, document: &str) -> String {
    let created = plane
        .cwic("sandbox profile create -f -")
        .input(document)
        .run()
        .await;
    created.ok().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_prints_the_new_id_and_nothing_else() {
    let plane = Plane::start().await;
    let file = plane.file("profile.yaml", DENY_ALL);
    let created = plane
        .cwic("sandbox profile create -f")
        .argument(file)
        .run()
        .await;
    let id = created.ok().trim_end();
    assert_eq!(created.stdout.lines().count(), 1);
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    let advice = ["warning[limits-missing]: ", "what to do about it: "];
    let is_advice = |line: &str| advice.iter().any(|start| line.starts_with(start));
    assert!(created.stderr.lines().all(is_advice), "{}", created.stderr);
    plane
        .cwic("sandbox profile get")
        .argument(id)
        .run()
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_several_documents_are_read_too() {
    let plane = Plane::start().await;
    create(&plane, r#"{"display_name": "as-json", "spec": {}}"#).await;
    let two = "display_name: one\nspec: {}\n---\ndisplay_name: two\nspec: {}\n";
    assert_eq!(create(&plane, two).await.lines().count(), 2);
    let names = plane.cwic("sandbox profile ls -o name").run().await;
    let mut names: Vec<_> = names.ok().lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["as-json", "one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_table_for_people() {
    let plane = Plane::start().await;
    create(&plane, DENY_ALL).await;
    create(&plane, SPLIT).await;
    insta::assert_snapshot!("list", plane.cwic("sandbox profile get").run().await.ok());
    let alias = plane.cwic("sandbox profile ls").run().await;
    insta::assert_snapshot!("list", alias.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_no_failure() {
    let plane = Plane::start().await;
    insta::assert_snapshot!(plane.cwic("sandbox profile ls").run().await.ok());
    assert_eq!(
        plane.cwic("sandbox profile ls -o json").run().await.ok(),
        "{\n  \"items\": []\n}\n"
    );
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_profile_is_shown_by_id_and_by_name_in_every_format() {
    let plane = Plane::start().await;
    let id = create(&plane, SPLIT).await;
    for (name, format) in [
        ("table", "table"),
        ("json", "json"),
        ("yaml", "yaml"),
        ("name", "name"),
    ] {
        let by_id = plane.cwic("sandbox profile get").argument(&id);
        let by_id = by_id.argument("-o").argument(format).run().await;
        insta::assert_snapshot!(format!("one_as_{name}"), by_id.ok());
        let by_name = plane
            .cwic("sandbox profile get split -o")
            .argument(format)
            .run()
            .await;
        assert_eq!(by_name.ok(), by_id.ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_shows_who_offers_a_profile() {
    let plane = Plane::start().await;
    let id = create(&plane, SPLIT).await;
    let alone = plane.cwic("sandbox profile describe split").run().await;
    insta::assert_snapshot!("described_alone", alone.ok());
    plane.runner("local", &id).await;
    let offered = plane.cwic("sandbox profile describe split").run().await;
    insta::assert_snapshot!("described_offered", offered.ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_get_writes_as_yaml_can_be_edited_and_sent_back() {
    let plane = Plane::start().await;
    create(&plane, SPLIT).await;
    let shown = plane.cwic("sandbox profile get split -o yaml").run().await;
    let edited = shown.ok().replace("memoryLimit: 8Gi", "memoryLimit: 16Gi");
    assert_ne!(edited, shown.stdout);
    let changed = plane
        .cwic("sandbox profile edit split -f -")
        .input(edited.clone())
        .run()
        .await;
    assert_eq!(changed.ok(), "profile split is at revision 2\n");
    let again = plane.cwic("sandbox profile get split -o yaml").run().await;
    assert_eq!(again.ok(), edited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_names_another_id_is_refused() {
    let plane = Plane::start().await;
    let one = plane.profile("one").await;
    let two = plane.profile("two").await;
    let document = |id: &str| format!("id: {id}\ndescription: changed\n");
    let edit = |text: String| {
        plane
            .cwic("sandbox profile edit")
            .argument(&one)
            .argument("-f")
            .argument("-")
            .input(text)
    };
    edit(document(&one)).run().await.ok();
    let ran = edit(document(&two)).run().await;
    ran.failed(64);
    let other = plane.cwic("sandbox profile get two -o json").run().await;
    let other: Value = serde_json::from_str(other.ok()).unwrap();
    assert_ne!(other["description"], "changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_and_changes_nothing() {
    let plane = Plane::start().await;
    let ran = plane
        .cwic("sandbox profile create --dry-run -f -")
        .input(DENY_ALL)
        .run()
        .await;
    assert_eq!(ran.ok(), "");
    let told = "profile default would be created\n  no runner offers profile default yet; ";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    assert_eq!(
        plane.cwic("sandbox profile ls -o name").run().await.ok(),
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_a_conflict() {
    let plane = Plane::start().await;
    create(&plane, DENY_ALL).await;
    let ran = plane
        .cwic("sandbox profile create -f -")
        .input(DENY_ALL)
        .run()
        .await;
    let stderr = ran.failed(5);
    assert!(stderr.contains("CWSANDBOX_PROFILE_NAME_TAKEN"), "{stderr}");
    assert!(stderr.contains("next:"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_found() {
    let plane = Plane::start().await;
    let absent = uuid::Uuid::nil().to_string();
    for (verb, rest) in [
        ("get", ""),
        ("describe", ""),
        ("edit", "-f -"),
        ("delete", "--yes"),
    ] {
        for name in ["absent", &absent, "..", "a/b"] {
            let call = format!("sandbox profile {verb} {name} {rest}");
            let ran = plane.cwic(&call).input("description: x\n").run().await;
            ran.failed(3);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_look_and_not_change() {
    let plane = Plane::start().await;
    create(&plane, DENY_ALL).await;
    let token = plane.token_of(Role::SandboxUser).await;
    let call = |arguments: &str| plane.cwic(arguments).env("CWIC_TOKEN", &token);
    call("sandbox profile ls").run().await.ok();
    let ran = call("sandbox profile create -f -")
        .input("display_name: x\nspec: {}\n")
        .run()
        .await;
    assert!(ran.failed(4).contains("sandbox_admin"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_went_away_is_no_failure() {
    let plane = Plane::start().await;
    create(&plane, DENY_ALL).await;
    let mut command = plane.cwic("sandbox profile ls").command();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert_eq!(
        (ended.status.code(), ended.stderr.as_slice()),
        (Some(0), b"".as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_an_id_gives_way_to_the_id() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    let twin = plane.profile(&id).await;
    let free = "0198c000-0000-7000-8000-000000000000";
    let other = plane.profile(free).await;
    for (text, found) in [(&id, &id), (&twin, &twin), (&free.to_owned(), &other)] {
        let call = plane.cwic(&format!("sandbox profile get {text} -o jsonpath={{.id}}"));
        assert_eq!(call.run().await.ok().trim(), found);
    }
    // What is deleted is what was found, and the twin is reached by its id.
    let delete = plane.cwic(&format!("sandbox profile delete {id} --yes"));
    delete.run().await.ok();
    let left = plane.cwic("sandbox profile ls -o jsonpath={.items[*].id}");
    let left = left.run().await;
    assert!(
        left.ok().contains(&twin) && !left.ok().contains(&format!("{id} ")),
        "{}",
        left.stdout
    );
    let document = format!("display_name: {free}\ndescription: by name\nspec: {{}}\n");
    let apply = plane.cwic("sandbox profile apply -f -").input(document);
    assert_eq!(
        apply.run().await.ok(),
        format!("profile {free} configured\n")
    );
}
