//! Pages that lead where they say.
//!
//! A link of a page to a file, and a path of this repository that it names, must
//! exist; a decision must be found from the list of decisions. What is outside of
//! the repository is not looked at, so that a check needs no network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where pages are, beside those at the top.
const FOLDERS: [&str; 2] = ["docs", "examples"];

/// How a path of this repository begins where it is written as code.
const BEGINNINGS: [&str; 6] = [
    "crates/",
    "docs/",
    "examples/",
    "scripts/",
    "tests/",
    "xtask/",
];

const DECISIONS: &str = "docs/adr";

/// Returns what leads nowhere.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut pages = pages_in(root, false)?;
    for folder in FOLDERS {
        pages.extend(pages_in(&root.join(folder), true)?);
    }
    let mut problems = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let name = page.strip_prefix(root).unwrap_or(page).display();
        let folder = page.parent().unwrap_or(root);
        let links = links(&text).map(|link| (link, folder));
        let paths = paths(&text).map(|path| (path, root));
        for (target, from) in links.chain(paths) {
            if !from.join(target).exists() {
                problems.push(format!("{name}: leads to {target}, which is not there"));
            }
        }
    }
    problems.extend(unlisted(root)?);
    Ok(problems)
}

fn pages_in(folder: &Path, with_folders: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    if !folder.exists() {
        return Ok(pages);
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && with_folders {
            pages.extend(pages_in(&path, true)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// The files that `[text](file#part)` leads to.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let (file, _) = target.split_once('#').unwrap_or((target, ""));
        let is_here =
            !file.is_empty() && !file.contains(':') && !file.contains(char::is_whitespace);
        is_here.then_some(file)
    })
}

/// The paths of this repository that are written as code.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|code| {
        let is_ours = BEGINNINGS
            .iter()
            .any(|beginning| code.starts_with(beginning));
        // Patterns and commands with arguments are no paths.
        is_ours && !code.contains(|c: char| c.is_whitespace() || "*<{…".contains(c))
    })
}

/// Decisions that the list of decisions does not lead to.
fn unlisted(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join(DECISIONS);
    let list =
        fs::read_to_string(folder.join("README.md")).context("read the list of decisions")?;
    let listed: BTreeSet<&str> = links(&list).collect();
    let pages = pages_in(&folder, false)?;
    let names = pages.iter().filter_map(|page| page.file_name()?.to_str());
    Ok(names
        .filter(|name| *name != "README.md" && !listed.contains(name))
        .map(|name| format!("{DECISIONS}/README.md: does not list {name}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_files_of_ours_count() {
        let text = "[a](docs/a.md), [b](b.md#part), [c](https://example.org/c), [d](#part), [e]";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md", "b.md"]);
    }

    #[test]
    fn only_code_that_is_a_path_of_ours_counts() {
        let text =
            "`docs/a.md`, docs/b.md, `cargo run`, `scripts/x.sh ARG`, `crates/*/src`, `crates/a`";
        assert_eq!(paths(text).collect::<Vec<_>>(), ["docs/a.md", "crates/a"]);
    }

    #[test]
    fn a_page_that_leads_nowhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join(DECISIONS)).unwrap();
        fs::write(root.join("README.md"), "[a](LICENSE) and `docs/adr/one.md`").unwrap();
        fs::write(root.join("docs/adr/README.md"), "nothing").unwrap();
        fs::write(root.join("docs/adr/one.md"), "[up](../../README.md)").unwrap();
        let expected = [
            "README.md: leads to LICENSE, which is not there",
            "docs/adr/README.md: does not list one.md",
        ];
        assert_eq!(check(root).unwrap(), expected);
    }
}
