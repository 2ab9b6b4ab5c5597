//! Checks that hold the shape of this workspace: `cargo xtask check`.
//!
//! What the compiler and clippy cannot see: which crate may name which, that
//! every file says what it is for, that no file grows past reading, and that
//! pages lead where they say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod edges;
mod links;
mod tidy;

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            report(&problems);
            ExitCode::FAILURE
        }
        Err(error) => {
            report(&[format!("{error:#}")]);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<&str>) -> anyhow::Result<Vec<String>> {
    match command {
        Some("check-deps") => edges::check(),
        Some("tidy") => tidy::check(&root()),
        Some("links") => links::check(&root()),
        Some("check") | None => {
            let mut problems = edges::check()?;
            problems.extend(tidy::check(&root())?);
            problems.extend(links::check(&root())?);
            Ok(problems)
        }
        Some(other) => {
            anyhow::bail!("unknown command {other:?}; use check, check-deps, tidy or links")
        }
    }
}

/// The top of this repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

#[expect(clippy::print_stderr, reason = "telling is what this program is for")]
fn report(problems: &[String]) {
    for problem in problems {
        eprintln!("xtask: {problem}");
    }
}
