//! What the program says about itself, command by command.
//!
//! The commands are not listed here: they are found by walking from help to
//! help, and compared with the manual pages, so that none can be missing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rig::Plane;

/// A command, and what its `--help` says.
pub(crate) struct Page {
    pub(crate) path: Vec<String>,
    pub(crate) help: String,
}

/// Every command that can be found from the first help on.
pub(crate) async fn walk(plane: &Plane) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let help = plane.bare(&path.join(" ")).argument("--help").run().await;
        let help = help.ok().to_owned();
        let inner = subcommands(&help);
        open.extend(inner.map(|name| [path.as_slice(), &[name.to_owned()]].concat()));
        pages.push(Page { path, help });
    }
    pages
}

/// The names below the heading for commands.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        // Further lines about the same command are indented deeper.
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase());
        is_name.then(|| name.split_whitespace().next())?
    });
    names.filter(|name| *name != "help")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself_with_an_example() {
    let plane = Plane::start().await;
    for Page { path, help } in walk(&plane).await {
        let command = path.join(" ");
        let name = format!("help {command}");
        insta::assert_snapshot!(name.trim().replace(' ', "_"), help);
        let example = help.split_once("\nExample").map(|(_, example)| example);
        let shown = format!("cwic {command}");
        assert!(
            example.is_some_and(|example| example.contains(shown.trim_end())),
            "{command} has no example of itself:\n{help}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_found_and_has_a_manual_page() {
    let plane = Plane::start().await;
    let pages = walk(&plane).await;
    let walked: BTreeSet<String> = pages
        .iter()
        .map(|page| {
            format!(
                "{}.1",
                [&["cwic".to_owned()], page.path.as_slice()]
                    .concat()
                    .join("-")
            )
        })
        .collect();
    plane.cwic("man manual").run().await.ok();
    let written = fs::read_dir(plane.home.path().join("manual")).unwrap();
    let written: BTreeSet<String> = written
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(walked, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_in_the_reference() {
    let plane = Plane::start().await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cwic.md");
    let manual = fs::read_to_string(docs).unwrap();
    let words: BTreeSet<&str> = manual
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .collect();
    for Page { path, help } in walk(&plane).await {
        if let Some(name) = path.last() {
            assert!(
                words.contains(name.as_str()),
                "{path:?} is not in docs/cwic.md"
            );
        }
        // So is every long option of the program itself.
        let options = help
            .split(['\n', ' '])
            .filter(|word| word.starts_with("--"));
        for option in options.filter(|_| path.is_empty()) {
            let option = option.trim_end_matches(['.', ',']);
            let is_there = manual.contains(option) || ["--help", "--version"].contains(&option);
            assert!(is_there, "{option} is not in docs/cwic.md");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_help_is_wider_than_a_terminal() {
    let plane = Plane::start().await;
    for Page { path, help } in walk(&plane).await {
        let example = help.find("\nExample").unwrap_or(help.len());
        for line in help[..example].lines() {
            assert!(line.chars().count() <= 100, "{path:?}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_told() {
    let plane = Plane::start().await;
    let version = plane.bare("--version").run().await;
    assert_eq!(
        version.ok(),
        format!("cwic {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_at_all_is_a_usage_error_with_help() {
    let plane = Plane::start().await;
    let ran = plane.bare("").run().await;
    assert!(ran.failed(64).contains("Usage: cwic"), "{}", ran.stderr);
}
