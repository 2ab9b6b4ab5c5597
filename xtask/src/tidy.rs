//! What every source file owes its readers.
//!
//! A header that says what it is for, a length that can be read at one sitting,
//! a `mod` for every test file, and no word that only its author understands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The most lines of a file, its tests apart.
const LINES_MAX: usize = 600;

/// Marks of work that was not finished.
const UNFINISHED: [&str; 3] = ["todo!(", "unimplemented!(", "XXX"];

/// Returns what is untidy.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        collect(&root.join(folder), &mut files)?;
    }
    let mut problems = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let name = file
            .strip_prefix(root)
            .unwrap_or(file)
            .display()
            .to_string();
        problems.extend(problems_of(&name, &text));
        problems.extend(unreachable_tests(file, &name)?);
    }
    Ok(problems)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let is_build_output = path.file_name().is_some_and(|name| name == "target");
        if path.is_dir() && !is_build_output {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn problems_of(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let is_test_module = name.ends_with("/tests.rs") || name.contains("/tests/");
    if !text.starts_with("//!") && !is_test_module {
        problems.push(format!("{name}: has no header that says what it is for"));
    }
    let lines = text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .count();
    if lines > LINES_MAX && !is_test_module {
        problems.push(format!(
            "{name}: has {lines} lines; at most {LINES_MAX} can be read"
        ));
    }
    let is_this_list = name.ends_with("xtask/src/tidy.rs");
    for mark in UNFINISHED.iter().filter(|_| !is_this_list) {
        if text.contains(mark) {
            problems.push(format!("{name}: holds {mark}"));
        }
    }
    problems
}

/// A file `x/tests.rs` that `x.rs` does not declare is never run.
fn unreachable_tests(file: &Path, name: &str) -> anyhow::Result<Option<String>> {
    if file.file_name().is_none_or(|file| file != "tests.rs") {
        return Ok(None);
    }
    let Some(folder) = file.parent() else {
        return Ok(None);
    };
    let declaring = [
        folder.with_extension("rs"),
        folder.join("mod.rs"),
        folder.join("lib.rs"),
        folder.join("main.rs"),
    ];
    for candidate in declaring.iter().filter(|path| path.exists()) {
        if fs::read_to_string(candidate)?.contains("mod tests;") {
            return Ok(None);
        }
    }
    Ok(Some(format!("{name}: no file declares this module")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! What it is for.\n";

    fn untidy(text: &str) -> Vec<String> {
        problems_of("crates/a/src/b.rs", text)
    }

    #[test]
    fn a_file_without_a_header_is_untidy() {
        assert_eq!(untidy(HEADER), [""; 0]);
        assert!(untidy("use a::b;\n")[0].contains("no header"));
    }

    #[test]
    fn the_lines_of_tests_do_not_count() {
        let long = "//\n".repeat(LINES_MAX);
        assert!(untidy(&format!("{HEADER}{long}"))[0].contains("601 lines"));
        assert_eq!(untidy(&format!("{HEADER}#[cfg(test)]\n{long}")), [""; 0]);
    }

    #[test]
    fn work_that_was_not_finished_is_untidy() {
        let unfinished = format!("{HEADER}fn a() {{ {}) }}\n", UNFINISHED[0]);
        assert!(untidy(&unfinished)[0].contains(UNFINISHED[0]));
    }
}
