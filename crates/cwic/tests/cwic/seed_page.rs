//! The commands and documents of the workflow for administrators, as their
//! manual gives them, word for word and in its order.
//!
//! `seed/page.md` holds them; every line of its blocks is run here, with what is
//! in brackets filled in. What asks a person is answered at a real terminal. A
//! line that nobody knows how to run fails the test.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::pty::{DOWN, Desk, Ended};
use crate::rig::Plane;

const PAGE: &str = include_str!("seed/page.md");

/// A block of the manual.
#[derive(Debug)]
enum Block {
    /// Commands, one a line.
    Commands(Vec<&'static str>),
    /// A document: whole with the name of a file, in part without.
    Document(&'static str, String),
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let inside = lines.by_ref().take_while(|line| *line != "```");
        blocks.push(match kind.split_once(' ') {
            Some(("yaml", name)) => {
                Block::Document(name, inside.map(|line| format!("{line}\n")).collect())
            }
            Some(_) | None => Block::Commands(inside.collect()),
        });
    }
    blocks
}

/// Somebody who works through the manual.
struct Reader<'a> {
    plane: &'a Plane,
    /// The documents that the manual shows, by name.
    documents: BTreeMap<&'static str, String>,
    /// What stands for `[PROFILE-ID]`.
    profile: String,
    /// How often the wizard made a profile.
    made: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_is_true_from_its_first_command_to_its_last() {
    let plane = Plane::start().await;
    let blocks = blocks();
    let documents = blocks.iter().filter_map(|block| match block {
        Block::Document(name, text) => Some((*name, text.clone())),
        Block::Commands(_) => None,
    });
    let mut reader = Reader {
        plane: &plane,
        documents: documents.collect(),
        profile: String::new(),
        made: 0,
    };
    assert_eq!(reader.documents.len(), 8);
    // A runner is there before its bindings are edited.
    let first = plane.profile("first").await;
    plane.runner("my-runner", &first).await;
    for block in &blocks {
        match block {
            Block::Commands(lines) => reader.run_all(lines).await,
            Block::Document(name, text) => reader.read(name, text).await,
        }
    }
}

impl Reader<'_> {
    async fn run_all(&mut self, lines: &[&'static str]) {
        for line in lines {
            self.run(line).await;
        }
    }

    /// Runs one line of the manual.
    async fn run(&mut self, line: &'static str) {
        let words = line.strip_prefix("cwic ").expect("a command");
        let words = words.replace("[PROFILE-ID]", &self.profile);
        let words = words.replace("[RUNNER-ID]", "my-runner");
        match line.strip_prefix("cwic sandbox ").expect("of sandboxes") {
            "profile create" => self.create_by_wizard(&words).await,
            "profile create -f profile.yaml" => self.create_from_file(&words).await,
            "profile create -f -" => self.create_from_input(&words).await,
            "profile get" | "profile ls" => {
                let listed = self.succeed(&words).await;
                assert!(listed.contains("default  "), "{listed}");
            }
            "profile get [PROFILE-ID]" => {
                assert!(self.succeed(&words).await.contains("deny-all*"));
            }
            "profile describe [PROFILE-ID]" => {
                let described = self.succeed(&words).await;
                assert!(described.contains("strategy: per-user"), "{described}");
            }
            "profile edit [PROFILE-ID]" => self.edit_in_editor(&words).await,
            "profile delete [PROFILE-ID]" => self.delete_with_a_question(&words).await,
            "profile delete team-default beta-template --yes" => {
                for name in ["team-default", "beta-template"] {
                    self.create(name, "spec: {}\n").await;
                }
                let deleted = self.succeed(&words).await;
                assert_eq!(
                    deleted,
                    "profile team-default deleted\nprofile beta-template deleted\n"
                );
            }
            "runner edit [RUNNER-ID]" => self.edit_runner_by_wizard(&words).await,
            "runner edit [RUNNER-ID] -f bindings.yaml" => self.bind(&words).await,
            other => unreachable!("nobody runs {other:?}"),
        }
    }

    /// Makes a profile of a document that shows a part, in YAML and in JSON.
    async fn read(&mut self, name: &str, text: &str) {
        if name.contains('.') {
            return;
        }
        self.create(name, text).await;
        let same = self.plane.cwic("sandbox profile diff -f -");
        let same = same
            .input(format!("display_name: {name}\n{text}"))
            .run()
            .await;
        assert_eq!(same.ok(), "", "everything that it says is kept");
        let json = self
            .plane
            .cwic(&format!("sandbox profile get {name} -o json"));
        let again = self.plane.cwic("sandbox profile apply -f -");
        let json = json.run().await;
        let again = again.input(json.ok()).run().await;
        assert_eq!(again.ok(), format!("profile {name} unchanged\n"));
    }

    async fn succeed(&self, words: &str) -> String {
        self.plane.cwic(words).run().await.ok().to_owned()
    }

    /// A profile with the name that a whole one needs; its id.
    async fn create(&self, name: &str, text: &str) -> String {
        let create = self.plane.cwic("sandbox profile create -f -");
        let text = format!("display_name: {name}\n{text}");
        create.input(text).run().await.ok().trim_end().to_owned()
    }

    async fn create_by_wizard(&mut self, words: &str) {
        self.made += 1;
        let name = format!("wizard-{}", self.made);
        let desk = Desk::new(self.plane, &[]);
        let mut session = desk.sit(words);
        session.answer("? Display name", &name);
        session.answer("? Description", "");
        session.answer("? Namespace strategy", "static");
        session.answer("? Namespace", "shared");
        let modes = format!(" {DOWN} {DOWN} {DOWN} {DOWN} {DOWN} ");
        session.answer("? Egress modes", &modes);
        session.answer("? Name of the allowlist mode", "");
        session.answer("? Address ranges", "140.82.112.0/20, 151.101.0.0/16");
        session.answer("? Default egress mode", "");
        session.answer(&format!("? Create profile {name}?"), "");
        let ended = session.end();
        assert_eq!(ended.code, 0, "{}", ended.screen);
        assert_eq!(desk.opened(), 1);
        let made = self
            .succeed(&format!("sandbox profile get {name} -o json"))
            .await;
        let made: Value = serde_json::from_str(&made).unwrap();
        let network: Value =
            serde_json::from_str(made["spec"]["networkConfigJson"].as_str().unwrap()).unwrap();
        assert_eq!(network["egress"]["modes"].as_object().unwrap().len(), 6);
    }

    async fn create_from_file(&mut self, words: &str) {
        self.plane
            .file("profile.yaml", &self.documents["profile.yaml"]);
        let id = self.succeed(words).await;
        id.trim_end().clone_into(&mut self.profile);
        assert!(self.profile.parse::<uuid::Uuid>().is_ok());
    }

    /// In JSON this time, under another name.
    async fn create_from_input(&self, words: &str) {
        let profile = json!({
            "display_name": "from-an-agent",
            "spec": { "namespace": { "strategy": "per-user" } },
        });
        let create = self.plane.cwic(words).input(profile.to_string());
        create.run().await.ok();
    }

    async fn edit_in_editor(&self, words: &str) {
        let desk = Desk::new(self.plane, &["sed -i 's/per-user$/per-profile/' \"$1\""]);
        let ended = desk.sit(words).end();
        assert_eq!(ended.code, 0, "{}", ended.screen);
        let get = format!("sandbox profile get {} -o yaml", self.profile);
        let got = self.succeed(&get).await;
        assert!(got.contains("strategy: per-profile\n"), "{got}");
    }

    async fn delete_with_a_question(&self, words: &str) {
        let desk = Desk::new(self.plane, &[]);
        let mut session = desk.sit(words);
        session.answer("for good?", "y");
        let Ended { code, screen } = session.end();
        assert_eq!(code, 0, "{screen}");
        let gone = self
            .plane
            .cwic(&format!("sandbox profile get {}", self.profile));
        gone.run().await.failed(3);
    }

    async fn edit_runner_by_wizard(&self, words: &str) {
        let desk = Desk::new(self.plane, &[]);
        let mut session = desk.sit(words);
        session.answer("? Release channel", "");
        session.answer("? Maintenance window", "");
        // What is bound comes first and stays; the next one is added.
        session.see("? Profiles");
        session.answer("? Profiles", &format!("{DOWN} "));
        session.answer("? Alias of first", "");
        session.answer("? Alias of wizard-1", "");
        session.answer("? Default profile", "");
        session.answer("? Change runner my-runner?", "");
        let ended = session.end();
        assert_eq!(ended.code, 0, "{}", ended.screen);
        let described = self.succeed("sandbox runner describe my-runner").await;
        assert!(described.contains("wizard-1"), "{described}");
    }

    async fn bind(&mut self, words: &str) {
        let mut bindings = self.documents["bindings.yaml"].clone();
        for (place, name) in [
            ("[CI-PROFILE-ID]", "ci-v1"),
            ("[GPU-PROFILE-ID]", "gpu-v1"),
            ("[UNTRUSTED-PROFILE-ID]", "untrusted-v1"),
        ] {
            let id = self.create(name, "spec: {}\n").await;
            bindings = bindings.replace(place, &id);
        }
        self.plane.file("bindings.yaml", bindings);
        let edited = self.succeed(words).await;
        assert_eq!(edited.matches("attached").count(), 3, "{edited}");
        assert_eq!(edited.matches("detached").count(), 2, "{edited}");
        let described = self.succeed("sandbox runner describe my-runner").await;
        for name in ["ci ", "gpu ", "untrusted "] {
            assert!(described.contains(name), "{name}: {described}");
        }
        // What a runner binds is not deleted, but reported and skipped.
        let bound = self
            .plane
            .cwic("sandbox profile delete ci-v1 --yes")
            .run()
            .await;
        assert!(bound.failed(5).contains("my-runner"), "{}", bound.stderr);
    }
}
