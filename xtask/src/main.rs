//! Checks that hold the shape of this workspace: `cargo xtask check`.
//!
//! What the compiler and clippy cannot see: which crate may name which, that
//! every file says what it is for, and that no file grows past reading.

use std::process::ExitCode;

mod edges;
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
        Some("tidy") => tidy::check(),
        Some("check") | None => {
            let mut problems = edges::check()?;
            problems.extend(tidy::check()?);
            Ok(problems)
        }
        Some(other) => anyhow::bail!("unknown command {other:?}; use check, check-deps or tidy"),
    }
}

#[expect(clippy::print_stderr, reason = "telling is what this program is for")]
fn report(problems: &[String]) {
    for problem in problems {
        eprintln!("xtask: {problem}");
    }
}
