//! What the program writes for programs, held against the schema in the manual.
//!
//! The schema lets fields be added; this test does not: a field that it does not
//! know is missing in the manual.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::platform::Platform;
use crate::rig::{DENY_ALL, Plane, Ran};

const SCHEMA: &str = "cwic.schema.json";

/// What the manual says of outputs.
struct Manual {
    schemas: Schemas,
    compiler: Mutex<Compiler>,
    /// The definitions that were compared with something.
    seen: BTreeSet<String>,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn document(name: &str) -> Value {
    serde_json::from_slice(&fs::read(docs().join(name)).unwrap()).unwrap()
}

/// Closes every object whose fields are listed.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Manual {
    fn open() -> Self {
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        for name in [SCHEMA, "openapi.json"] {
            let mut schema = document(name);
            close(&mut schema);
            let url = format!("https://docs.invalid/{name}");
            compiler.add_resource(&url, schema).unwrap();
        }
        Self {
            schemas: Schemas::new(),
            compiler: Mutex::new(compiler),
            seen: BTreeSet::new(),
        }
    }

    fn definition(&mut self, name: &str) -> SchemaIndex {
        let url = format!("https://docs.invalid/{SCHEMA}#/$defs/{name}");
        let compiler = self.compiler.get_mut().unwrap();
        compiler.compile(&url, &mut self.schemas).unwrap()
    }

    /// Holds a text against a definition, and returns what it says.
    #[track_caller]
    fn check(&mut self, name: &str, text: &str) -> Value {
        let read = serde_json::from_str::<Value>(text);
        assert!(read.is_ok(), "no JSON: {text}");
        let (value, index) = (read.unwrap(), self.definition(name));
        let checked = self.schemas.validate(&value, index);
        let told = checked.err().map(|error| format!("{error:#}"));
        assert_eq!(told, None, "no {name}: {value:#}");
        self.seen.insert(name.to_owned());
        value
    }

    /// Holds every line of a text against a definition.
    #[track_caller]
    fn check_lines(&mut self, name: &str, text: &str) {
        assert!(!text.is_empty(), "nothing of {name}");
        for line in text.lines() {
            self.check(name, line);
        }
    }

    /// Runs a command and holds its result against a definition.
    async fn run(&mut self, plane: &Plane, name: &str, arguments: &str) -> (Ran, Value) {
        let ran = plane.cwic(arguments).run().await;
        let value = self.check(name, &ran.stdout);
        (ran, value)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_for_programs_is_as_the_manual_says() {
    let mut manual = Manual::open();
    let platform = Platform::start().await;
    lists(&mut manual, &platform).await;
    sandboxes(&mut manual, &platform).await;
    insights(&mut manual, &platform).await;
    outcomes(&mut manual, &platform).await;
    the_program(&mut manual, &platform).await;

    let schema = document(SCHEMA);
    let all = schema["$defs"].as_object().unwrap().keys().cloned();
    // Parts of others, which were compared with these.
    let parts = ["Context", "FieldChange", "Finding", "Outcome", "Revision"];
    // Compared where probes are simulated, in the program itself, and where file
    // systems are real, in the tests of the SDK.
    let elsewhere = ["Verification", "Snapshot", "SnapshotList"];
    let compared =
        |name: &String| !parts.contains(&name.as_str()) && !elsewhere.contains(&name.as_str());
    let all: BTreeSet<String> = all.filter(compared).collect();
    assert_eq!(
        manual.seen, all,
        "definitions that nothing was compared with"
    );
}

async fn lists(manual: &mut Manual, plane: &Plane) {
    for (noun, name, one) in [
        ("profile", "Profile", "agents"),
        ("runner", "Runner", "local"),
    ] {
        let list = format!("{name}List");
        manual
            .run(plane, &list, &format!("sandbox {noun} ls -o json"))
            .await;
        manual
            .run(plane, name, &format!("sandbox {noun} get {one} -o json"))
            .await;
        let described = format!("{name}Description");
        manual
            .run(
                plane,
                &described,
                &format!("sandbox {noun} describe {one} -o json"),
            )
            .await;
        watched(
            manual,
            plane,
            &format!("{name}Event"),
            &format!("sandbox {noun} ls"),
        )
        .await;
    }
}

/// The first event of a watch, which then is left.
async fn watched(manual: &mut Manual, plane: &Plane, name: &str, command: &str) {
    let mut command = plane.cwic(&format!("{command} --watch -o json")).command();
    let line = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        line
    });
    let line = line.await.unwrap();
    let event = manual.check(name, &line);
    assert_eq!(event["type"], "ADDED");
}

async fn sandboxes(manual: &mut Manual, platform: &Platform) {
    let id = platform.sandbox("fake echo 8080 until-stopped").await;
    manual
        .run(platform, "SandboxList", "sandbox ls -o json")
        .await;
    manual
        .run(platform, "Sandbox", &format!("sandbox get {id} -o json"))
        .await;
    manual
        .run(
            platform,
            "Sandbox",
            &format!("sandbox describe {id} -o json"),
        )
        .await;
    watched(manual, platform, "SandboxEvent", "sandbox ls").await;
    for (name, which) in [
        ("Denials", id.as_str()),
        ("ProfileDenials", "--profile agents"),
        ("ProfileDenialsList", ""),
    ] {
        let arguments = format!("sandbox denials {which} -o json");
        manual.run(platform, name, &arguments).await.0.ok();
    }
    secrets(manual, platform).await;
    let mut forward = platform
        .cwic(&format!("sandbox port-forward {id} :8080 -o json"))
        .command();
    let line = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        let mut child = forward
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        line
    });
    manual.check("ForwardedPort", &line.await.unwrap());
    pausing(manual, platform, &id).await;
    let (ran, stopped) = manual
        .run(
            platform,
            "OutcomeList",
            &format!("sandbox stop {id} -o json"),
        )
        .await;
    ran.ok();
    assert_eq!(stopped["items"][0]["result"], "stopped");
    let (ran, removed) = manual
        .run(
            platform,
            "OutcomeList",
            &format!("sandbox rm {id} {id} 0198c000-0000-7000-8000-000000000000 --yes -o json"),
        )
        .await;
    assert_eq!(ran.code, 3);
    assert_eq!(removed["items"][0]["result"], "removed");
    assert_eq!(removed["items"][2]["result"], "refused");
}

async fn secrets(manual: &mut Manual, platform: &Platform) {
    platform
        .cwic("sandbox secret store create team")
        .run()
        .await
        .ok();
    let set = platform
        .cwic("sandbox secret set team TOKEN -o json")
        .input("x");
    let set = manual.check("OutcomeList", set.run().await.ok());
    assert_eq!(set["items"][0]["result"], "kept");
    for (name, arguments) in [
        ("SecretList", "sandbox secret ls team -o json"),
        ("SecretStoreList", "sandbox secret store ls -o json"),
    ] {
        let (_, told) = manual.run(platform, name, arguments).await;
        assert_ne!(told["items"], json!([]));
    }
}

async fn pausing(manual: &mut Manual, platform: &Platform, id: &str) {
    for (wish, result) in [("pause", "paused"), ("resume", "resumed")] {
        let arguments = format!("sandbox {wish} {id} -o json");
        let (ran, told) = manual.run(platform, "OutcomeList", &arguments).await;
        ran.ok();
        assert_eq!(told["items"][0]["result"], result);
    }
    for (name, arguments) in [
        ("Quota", "sandbox quota get -o json"),
        ("QuotaLimits", "sandbox quota ls -o json"),
        (
            "OutcomeList",
            "sandbox quota set --user bob --max-gpus 1 -o json",
        ),
    ] {
        manual.run(platform, name, arguments).await.0.ok();
    }
}

async fn insights(manual: &mut Manual, plane: &Plane) {
    let edit = plane
        .cwic("sandbox profile edit agents -f - -o json")
        .input("description: other\n");
    manual.check("OutcomeList", edit.run().await.ok());
    manual
        .run(
            plane,
            "RevisionList",
            "sandbox profile revisions agents -o json",
        )
        .await;
    manual
        .run(
            plane,
            "RevisionDiff",
            "sandbox profile revisions agents --diff 2 -o json",
        )
        .await;
    let (_, found) = manual
        .run(plane, "FindingList", "sandbox profile lint agents -o json")
        .await;
    assert_ne!(found["findings"], json!([]));
    manual
        .run(
            plane,
            "ResolvedProfile",
            "sandbox profile explain agents --runner local -o json",
        )
        .await;
    for (request, is_admitted) in [("{}\n", true), ("profile_names: [other]\n", false)] {
        plane.file("request.yaml", request);
        let (ran, told) = manual
            .run(
                plane,
                "PlacementExplanation",
                "sandbox explain -f request.yaml -o json",
            )
            .await;
        assert_eq!(
            (&told["isAdmitted"], ran.code),
            (&json!(is_admitted), if is_admitted { 0 } else { 2 })
        );
    }
    manual
        .run(
            plane,
            "OutcomeList",
            "sandbox profile rollback agents --to 1 -o json",
        )
        .await;
}

async fn outcomes(manual: &mut Manual, plane: &Plane) {
    let two = format!(
        "{DENY_ALL}---\ndisplay_name: bad name\u{7}\nspec: {{}}\n---\n{}",
        DENY_ALL.replace("display_name: default", "display_name: other")
    );
    plane.file("two.yaml", &two);
    let (ran, told) = manual
        .run(
            plane,
            "OutcomeList",
            "sandbox profile create -f two.yaml --continue-on-error -o json",
        )
        .await;
    assert_ne!(ran.code, 0);
    let results: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["result"])
        .collect();
    assert_eq!(results, ["refused", "created", "created"]);
    plane.file("default.yaml", DENY_ALL);
    for (command, result) in [
        (
            "sandbox profile apply -f default.yaml --dry-run",
            "unchanged",
        ),
        ("sandbox apply -f default.yaml", "unchanged"),
        ("sandbox profile diff -f default.yaml", "unchanged"),
    ] {
        let (ran, told) = manual
            .run(plane, "OutcomeList", &format!("{command} -o json"))
            .await;
        ran.ok();
        assert_eq!(told["items"][0]["result"], result, "{command}");
    }
    let (ran, told) = manual
        .run(
            plane,
            "OutcomeList",
            "sandbox profile delete default agents absent --yes -o json",
        )
        .await;
    assert_eq!(ran.code, 5);
    let results: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["result"])
        .collect();
    assert_eq!(results, ["deleted", "skipped", "refused"]);
    runners(manual, plane).await;
}

async fn runners(manual: &mut Manual, plane: &Plane) {
    let bindings = "profile_bindings: [{ profile_template_id: other, is_default: true }]\n";
    let edit = plane
        .cwic("sandbox runner edit local -f - --yes -o json")
        .input(bindings);
    let told = manual.check("OutcomeList", edit.run().await.ok());
    assert_eq!(
        told["items"][0]["bindings"]["attached"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    manual
        .run(plane, "OutcomeList", "sandbox runner upgrade local -o json")
        .await;
    manual
        .run(plane, "OutcomeList", "sandbox runner undrain local -o json")
        .await;
    let runner = "identity: { zone: z, cluster_name: second }\nprofile_bindings: [{ profile_template_id: other, is_default: true }]\n";
    let create = plane
        .cwic("sandbox runner create second -f - -o json")
        .input(runner);
    manual.check("OutcomeList", create.run().await.ok());
    let (ran, _) = manual
        .run(
            plane,
            "OutcomeList",
            "sandbox runner delete second --yes -o json",
        )
        .await;
    ran.ok();
}

async fn the_program(manual: &mut Manual, plane: &Plane) {
    manual.run(plane, "Version", "version -o json").await;
    manual
        .run(plane, "Version", "version --client -o json")
        .await;
    manual.run(plane, "AuthStatus", "auth status -o json").await;
    let login = plane.bare("auth login -").env("CWIC_SERVER", &plane.url());
    login.input(plane.token.clone()).run().await.ok();
    manual.run(plane, "ContextList", "context ls -o json").await;
    for arguments in [
        "sandbox profile get absent",
        "sandbox profle ls",
        "sandbox run --profile absent -- true",
    ] {
        let ran = plane
            .cwic(&format!("--error-format json {arguments}"))
            .run()
            .await;
        assert_ne!(ran.code, 0);
        manual.check_lines("Failure", &ran.stderr);
    }
}

/// Every command writes JSON, or is one of those that pass on what others write.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_tells_something_can_tell_it_to_programs() {
    let plane = Plane::start().await;
    let mut without = BTreeSet::new();
    for page in crate::help::walk(&plane).await {
        let is_group = page.help.contains("\nCommands:\n");
        if !is_group && !page.help.contains("\n  -o, --output <FORMAT>\n") {
            without.insert(page.path.join(" "));
        }
    }
    let expected = [
        "auth login",
        "auth logout",
        "completion",
        "context rm",
        "context use",
        "man",
        "sandbox cp",
        "sandbox exec",
        "sandbox logs",
        "sandbox run",
    ];
    assert_eq!(without, expected.map(str::to_owned).into());
    let manual = fs::read_to_string(docs().join("cwic.md")).unwrap();
    for command in expected {
        assert!(
            manual.contains(&format!("`{command}`")),
            "{command} is not excused"
        );
    }
}
