//! What the program says when it fails: what did not happen, why, and what to do
//! next, for every way to fail that can be had on demand.

use std::fmt::Write as _;
use std::fs;

use crate::platform::Platform;
use crate::rig::{Call, DENY_ALL, Plane, Ran, runner_document};

/// A transcript of failures.
#[derive(Default)]
struct Told(String);

impl Told {
    /// Adds a failure, which must tell all three.
    #[track_caller]
    fn add(&mut self, command: &str, plane: &Plane, ran: &Ran) {
        assert_ne!(ran.code, 0, "{command}: {}", ran.stdout);
        let home = plane.home.path().display().to_string();
        let told = ran
            .stderr
            .replace(&home, "HOME")
            .replace(&plane.url(), "http://SERVER");
        let lines: Vec<_> = told
            .lines()
            .filter(|line| !line.starts_with("  request "))
            .collect();
        let told = lines.join("\n");
        let is_of_words = told.contains("For more information, try '--help'.");
        for part in ["error: ", "\n  why:  ", "\n  next: "] {
            assert!(
                is_of_words || told.contains(part),
                "{command} lacks {part:?}:\n{told}"
            );
        }
        let _ = write!(self.0, "$ cwic {command}\n{told}\n({})\n\n", ran.code);
    }

    async fn run(&mut self, plane: &Plane, command: &str) {
        self.run_with(plane, command, "").await;
    }

    async fn run_with(&mut self, plane: &Plane, command: &str, input: &str) {
        let ran = plane.cwic(command).input(input).run().await;
        self.add(command, plane, &ran);
    }

    async fn run_call(&mut self, plane: &Plane, command: &str, call: Call) {
        self.add(command, plane, &call.run().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_about_words_and_documents() {
    let plane = Plane::start().await;
    let mut told = Told::default();
    fs::create_dir_all(plane.home.path().join("empty")).unwrap();
    fs::create_dir_all(plane.home.path().join("nested/inner.yaml")).unwrap();
    plane.file(
        "two.yaml",
        format!("{DENY_ALL}---\ndisplay_name: b\nspec: {{}}\n"),
    );
    plane.file("empty.yaml", "");
    plane.file("runner.yaml", runner_document("r", "p"));
    for command in [
        "sandbox profle ls",
        "sandbox profile ls --wach",
        "sandbox profile ls -o toml",
        "sandbox profile revisions x -o toml",
        "sandbox profile revisions x -o name",
        "sandbox profile ls -o jsonpath={.items[",
        "sandbox profile ls -l ,",
        "sandbox profile ls --server nowhere",
        "sandbox profile revisions x --diff 5..",
        "sandbox run --gpu many -- true",
        "sandbox cp a b",
        "sandbox cp x:/a y:/b",
        "sandbox cp x:a b",
        "sandbox port-forward x 0",
        "sandbox logs x --since noon",
        "sandbox profile create -f absent.yaml",
        "sandbox profile create -f empty.yaml",
        "sandbox profile create -f empty",
        "sandbox profile create -f nested",
        "sandbox profile create -f runner.yaml",
        "sandbox runner apply -f two.yaml",
        "sandbox profile create -f - -f -",
        "sandbox profile edit x -f two.yaml",
        "sandbox profile create",
        "sandbox profile edit x",
        "sandbox runner create",
        "sandbox runner edit x",
        "sandbox profile delete x",
        "sandbox runner delete x",
        "sandbox rm x",
        "sandbox profile create -o json",
        "sandbox profile create --print-only",
        "sandbox profile ls --sort-by nothing",
        "man /dev/null/x",
    ] {
        if command.ends_with("nothing") {
            plane.profile("one").await;
        }
        told.run(&plane, command).await;
    }
    for (command, input) in [
        ("sandbox profile create -f -", "display_name: [\n"),
        (
            "sandbox profile create -f -",
            "display_name: x\nspec: { containerimage: y }\n",
        ),
        (
            "sandbox profile apply -f -",
            "display_name: x\netag: 5\nspec: {}\n",
        ),
        ("sandbox apply -f -", "description: x\n"),
        (
            "sandbox profile apply -f -",
            "[{display_name: a, spec: {}}, {display_name: a, spec: {}}]",
        ),
        (
            "sandbox runner create bad_id -f -",
            "profile_bindings: []\n",
        ),
        ("sandbox explain -f -", "contianer_image: x\n"),
        ("auth login -", ""),
    ] {
        told.run_with(&plane, command, input).await;
    }
    insta::assert_snapshot!(told.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_about_servers_and_logins() {
    let plane = Plane::start().await;
    let mut told = Told::default();
    let list = "sandbox profile ls";
    let url = plane.url();
    told.run_call(&plane, list, plane.bare(list)).await;
    told.run_call(&plane, list, plane.bare(list).env("CWIC_SERVER", &url))
        .await;
    let wrong = plane
        .bare(list)
        .env("CWIC_SERVER", &url)
        .env("CWIC_TOKEN", "pal_wrong");
    told.run_call(&plane, list, wrong).await;
    let odd = plane
        .bare(list)
        .env("CWIC_SERVER", &url)
        .env("CWIC_TOKEN", "a\nb");
    told.run_call(&plane, list, odd).await;
    let user = plane
        .token_of(palisade_model::tenant::Role::SandboxUser)
        .await;
    let create = "sandbox profile create -f -";
    let refused = plane
        .bare(create)
        .env("CWIC_SERVER", &url)
        .env("CWIC_TOKEN", &user);
    told.run_call(&plane, create, refused.input(DENY_ALL)).await;
    told.run(&plane, "sandbox profile ls --server http://192.0.2.1:1")
        .await;
    told.run(&plane, "context use absent").await;
    told.run(&plane, "auth login t --context new").await;
    let login = "auth login t --context new";
    told.run_call(&plane, login, plane.bare(login)).await;
    told.run(&plane, "sandbox profile ls --ca-file absent.pem")
        .await;
    plane.file("no.pem", "hello");
    told.run(&plane, "sandbox profile ls --ca-file no.pem")
        .await;
    fs::create_dir_all(plane.config().parent().unwrap()).unwrap();
    fs::write(plane.config(), "contexts: [").unwrap();
    told.run(&plane, "context ls").await;
    let odd = "contexts: { default: { server: nowhere, token: t } }\n";
    fs::write(plane.config(), odd).unwrap();
    told.run_call(&plane, list, plane.bare(list)).await;
    fs::remove_file(plane.config()).unwrap();
    let homeless = plane.cwic(list).env("XDG_CONFIG_HOME", "");
    told.run_call(&plane, list, homeless).await;
    let full = full(plane.cwic("version --client"));
    told.add("version --client > /dev/full", &plane, &full);
    plane.vanish().await;
    for command in [
        list,
        "version",
        "sandbox ls",
        "sandbox run -- true",
        "sandbox runner ls",
        "sandbox profile describe x",
        "sandbox profile revisions x",
    ] {
        told.run(&plane, command).await;
    }
    told.run_with(&plane, "sandbox explain -f -", "{}\n").await;
    let runner = runner_document("r", "p");
    told.run_with(&plane, "sandbox runner apply -f -", &runner)
        .await;
    told.run_with(&plane, "sandbox profile diff -f -", DENY_ALL)
        .await;
    // The port of a refused connection is not always told.
    insta::assert_snapshot!(told.0);
}

/// What a program says whose result goes to a disk that is full.
fn full(call: Call) -> Ran {
    let disk = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = call.command().stdout(disk).output().unwrap();
    Ran {
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_those_who_may_not() {
    let plane = Plane::start().await;
    let id = plane.profile("agents").await;
    plane.runner("local", &id).await;
    let user = plane
        .token_of(palisade_model::tenant::Role::SandboxUser)
        .await;
    let mut told = Told::default();
    for (command, input) in [
        ("sandbox profile edit agents -f -", "description: x\n"),
        ("sandbox profile rollback agents --to 1", ""),
        ("sandbox profile delete agents --yes", ""),
        (
            "sandbox profile apply -f -",
            "display_name: agents\nspec: {}\n",
        ),
        ("sandbox runner edit local -f - --yes", "display_name: x\n"),
        ("sandbox runner undrain local", ""),
        ("sandbox runner upgrade local", ""),
        ("sandbox runner delete local --yes", ""),
    ] {
        let call = plane.cwic(command).env("CWIC_TOKEN", &user).input(input);
        told.run_call(&plane, command, call).await;
    }
    insta::assert_snapshot!(told.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_about_what_there_is() {
    let platform = Platform::start().await;
    let plane: &Plane = &platform;
    let mut told = Told::default();
    let live = platform.sandbox("fake until-stopped").await;
    let over = platform.sandbox("fake exit 0").await;
    let nobody = "0198c000-0000-7000-8000-000000000000";
    plane.profile("unbound").await;
    let etag = "display_name: unbound\netag: \"1-0\"\nspec: { tags: [a] }\n";
    let runner = |bindings: &str| format!("profile_bindings: {bindings}\n");
    for (command, input) in [
        ("sandbox profile get agnets", ""),
        ("sandbox profile get ../x", ""),
        ("sandbox runner get locla", ""),
        ("sandbox profile edit agnets -f -", "description: x\n"),
        ("sandbox profile revisions agnets", ""),
        ("sandbox profile rollback agents --to 9", ""),
        ("sandbox profile explain unbound --runner local", ""),
        (
            "sandbox profile create -f -",
            "display_name: agents\nspec: {}\n",
        ),
        ("sandbox profile apply -f -", etag),
        ("sandbox profile delete agents agnets --yes", ""),
        ("sandbox runner edit local -f - --yes", &runner("[]")),
        (
            "sandbox runner edit local -f - --yes",
            &runner("[{ profile_template_id: absent, is_default: true }]"),
        ),
        (
            "sandbox runner edit local -f - --yes",
            &runner("[{ profile_template_id: agents }, { profile_template_id: unbound }]"),
        ),
        (
            "sandbox runner create second -f -",
            "identity: { zone: z, cluster_name: local }\nprofile_bindings: [{ profile_template_id: agents, is_default: true }]\n",
        ),
        ("sandbox runner delete local --yes", ""),
        ("sandbox runner delete absent --yes", ""),
        ("sandbox run --profile agnets -- true", ""),
        ("sandbox run --profile agents --memory 1Ti -- true", ""),
        ("sandbox run --egress everything -- true", ""),
        ("sandbox run --memory much -- true", ""),
        ("sandbox profile verify unbound", ""),
        (&format!("sandbox get {nobody}"), ""),
        (&format!("sandbox logs {nobody}"), ""),
        (&format!("sandbox stop {nobody}"), ""),
        (&format!("sandbox rm {nobody} --yes"), ""),
        (&format!("sandbox exec {nobody} -- true"), ""),
        ("sandbox get not-an-id", ""),
        (&format!("sandbox exec -it {live} -- true"), ""),
        (
            &format!("sandbox port-forward {live} 8080 --address 192.0.2.1"),
            "",
        ),
        (&format!("sandbox port-forward {over} 8080"), ""),
        (&format!("sandbox exec {over} -- true"), ""),
        (&format!("sandbox cp absent {live}:/a"), ""),
    ] {
        told.run_with(plane, command, input).await;
    }
    let stubborn = platform.sandbox("fake ignore-stop").await;
    let stop = format!("sandbox stop {stubborn} --grace");
    platform.run(&format!("{stop} 1h --no-wait")).await.ok();
    told.run(plane, &format!("{stop} 0s --timeout 0s")).await;
    told.0 = told.0.replace(&stubborn, "STUBBORN");
    let told = told.0.replace(&live, "LIVE").replace(&over, "OVER");
    insta::assert_snapshot!(told);
}
