//! What is written for people and scripts: data to standard output, failures to
//! standard error. A reader that went away is no failure.

use std::fmt::Display;
use std::io::{self, Write as _};

use anyhow::Context as _;

/// Where results go.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: io::Stdout,
    stderr: io::Stderr,
    lost: Option<io::Error>,
}

impl Out {
    /// The streams of this process.
    pub(crate) fn standard() -> Self {
        Self {
            stdout: io::stdout(),
            stderr: io::stderr(),
            lost: None,
        }
    }

    /// Writes one line of the result.
    pub(crate) fn line(&mut self, line: impl Display) {
        let written = writeln!(self.stdout, "{line}");
        if let Err(error) = written.and_then(|()| self.stdout.flush())
            // Whoever closed the pipe has read enough.
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
    }

    /// Fails if a part of the result did not get to where it should.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        match self.lost.take() {
            Some(error) => Err(error).context("the result could not be written in full"),
            None => Ok(()),
        }
    }

    /// Tells a person something that is no part of the result.
    pub(crate) fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.stderr, "{text}");
    }

    /// Writes rows with a heading, each column as wide as it must be.
    pub(crate) fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) {
        let heading = heading.map(str::to_owned);
        let width = |column: usize| {
            let cells = std::iter::once(&heading).chain(rows);
            cells
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        for row in std::iter::once(&heading).chain(rows) {
            let cells = row.iter().zip(widths);
            let line: String = cells
                .map(|(cell, width)| format!("{cell:width$}  "))
                .collect();
            self.line(line.trim_end());
        }
    }

    /// Writes a failure with everything that led to it.
    pub(crate) fn error(&mut self, error: &anyhow::Error) {
        let _ = writeln!(self.stderr, "error: {error}");
        for cause in error.chain().skip(1) {
            let _ = writeln!(self.stderr, "  because: {cause}");
        }
    }
}
