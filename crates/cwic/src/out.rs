//! What is written for people and programs.
//!
//! Results go to standard output, everything else to standard error. Colour
//! never carries meaning alone. A reader that went away is no failure.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::cli::{Color, ErrorFormat};
use crate::error::{CliError, Exit};

const RED: &str = "\u{1b}[1;31m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// Where results and failures go.
#[derive(Debug)]
pub(crate) struct Out {
    stdout: io::Stdout,
    stderr: io::Stderr,
    has_color: bool,
    error_format: ErrorFormat,
    lost: Option<io::Error>,
}

impl Out {
    /// The streams of this process.
    pub(crate) fn standard(color: Color, error_format: ErrorFormat) -> Self {
        let has_color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none(),
        };
        Self {
            stdout: io::stdout(),
            stderr: io::stderr(),
            has_color,
            error_format,
            lost: None,
        }
    }

    /// Whether what people read is coloured.
    pub(crate) fn has_color(&self) -> bool {
        self.has_color
    }

    /// Writes one line of the result.
    pub(crate) fn line(&mut self, line: impl Display) {
        self.text(&format!("{line}\n"));
    }

    /// Writes a part of the result as it is.
    pub(crate) fn text(&mut self, text: &str) {
        let written = self.stdout.write_all(text.as_bytes());
        if let Err(error) = written.and_then(|()| self.stdout.flush())
            // Whoever closed the pipe has read enough.
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
    }

    /// Why a part of the result did not get to where it should.
    pub(crate) fn lost(&mut self) -> Option<CliError> {
        let error = self.lost.take()?;
        let what = "the result could not be written in full";
        let failure = CliError::new(Exit::Failure, what);
        Some(failure.because(error.to_string()))
    }

    /// Writes a result for programs.
    pub(crate) fn json(&mut self, value: &Value) {
        self.line(format_args!("{value:#}"));
    }

    /// Writes a result as people write documents.
    pub(crate) fn yaml(&mut self, value: &Value) {
        self.text(&palisade_wire::document::to_yaml(value));
    }

    /// Writes rows under a heading, each column as wide as it must be.
    pub(crate) fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) {
        let heading = heading.map(str::to_owned);
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = std::iter::once(&heading).chain(rows);
            let widths = cells.map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        });
        for row in std::iter::once(&heading).chain(rows) {
            let cells = row.iter().zip(widths);
            let line = cells.map(|(cell, width)| format!("{cell:width$}   "));
            self.line(line.collect::<String>().trim_end());
        }
    }

    /// Tells a person something that is no part of the result.
    pub(crate) fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.stderr, "{text}");
    }

    /// Writes a failure.
    pub(crate) fn error(&mut self, error: &CliError) {
        match self.error_format {
            ErrorFormat::Json => self.note(error.to_json()),
            ErrorFormat::Text => self.error_text(error),
        }
    }

    fn error_text(&mut self, error: &CliError) {
        let (red, dim, plain) = if self.has_color {
            (RED, DIM, PLAIN)
        } else {
            ("", "", "")
        };
        self.note(format_args!("{red}error:{plain} {}", error.what));
        let reason = error.reason.as_deref().map(|reason| format!("{reason}: "));
        let mut reason = reason.unwrap_or_default();
        for why in &error.why {
            self.note(format_args!("  why:  {reason}{why}"));
            // It stands for all of them, and is told once.
            reason.clear();
        }
        if let Some(next) = &error.next {
            self.note(format_args!("  next: {next}"));
        }
        if let Some(id) = &error.request_id {
            self.note(format_args!("  {dim}request {id}{plain}"));
        }
    }
}
