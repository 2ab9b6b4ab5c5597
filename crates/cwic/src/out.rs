//! What is written for people and programs.
//!
//! Results go to standard output, everything else to standard error. Colour
//! never carries meaning alone. A reader that went away is no failure. Nothing
//! that others wrote can harm a terminal.

use std::env;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::cli::{Color, ErrorFormat};
use crate::error::{CliError, Exit};
use crate::escape;

mod progress;
mod table;

pub(crate) use table::{Column, Layout};

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
    is_closed: bool,
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
            is_closed: false,
        }
    }

    /// Whether what people read is coloured.
    pub(crate) fn has_color(&self) -> bool {
        self.has_color
    }

    /// Writes one line of the result for people: nothing in it can harm a
    /// terminal.
    pub(crate) fn line(&mut self, line: impl Display) {
        self.text(&format!("{}\n", escape::visible(&line.to_string())));
    }

    /// Writes a text of the result for programs: exact, unless a terminal
    /// would take it for more than text.
    pub(crate) fn exact(&mut self, text: &str) {
        if self.stdout.is_terminal() {
            self.text(&escape::visible(text));
        } else {
            self.text(text);
        }
    }

    /// Writes a part of the result as it is.
    pub(crate) fn text(&mut self, text: &str) {
        let written = self.stdout.write_all(text.as_bytes());
        match written.and_then(|()| self.stdout.flush()) {
            Ok(()) => {}
            // Whoever closed the pipe has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.is_closed = true,
            Err(error) => {
                self.lost.get_or_insert(error);
            }
        }
    }

    /// Whether nobody reads results any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed || self.lost.is_some()
    }

    /// Why a part of the result did not get to where it should.
    pub(crate) fn lost(&mut self) -> Option<CliError> {
        let error = self.lost.take()?;
        let what = "the result could not be written in full";
        let failure = CliError::new(Exit::Failure, what);
        let next = "make room, or write it elsewhere; the command itself was carried out";
        Some(failure.because(error.to_string()).next(next))
    }

    /// Writes a result for programs on one line.
    pub(crate) fn json_line(&mut self, value: &Value) {
        self.text(&escape::json(&format!("{value}\n")));
    }

    /// Writes a result for programs.
    pub(crate) fn json(&mut self, value: &Value) {
        self.text(&escape::json(&format!("{value:#}\n")));
    }

    /// Writes a result as people write documents.
    pub(crate) fn yaml(&mut self, value: &Value) {
        self.text(&palisade_wire::document::to_yaml(value));
    }

    /// Writes rows under a heading, each column as wide as it must be.
    pub(crate) fn table<const N: usize>(
        &mut self,
        heading: [&'static str; N],
        rows: &[[String; N]],
    ) {
        let columns = heading.map(|name| Column::soft(name, 0));
        let rows: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
        let layout = Layout::of(&columns, &rows, self.width());
        self.line(layout.heading(&columns));
        for row in &rows {
            self.line(layout.row(row));
        }
    }

    /// How wide the terminal is that shows results, if one does.
    pub(crate) fn width(&self) -> Option<usize> {
        if !self.stdout.is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(&self.stdout).ok()?;
        // A terminal that does not know its size says 0.
        Some(usize::from(size.ws_col)).filter(|width| *width > 0)
    }

    /// Tells a person something that is no part of the result.
    pub(crate) fn note(&mut self, text: impl Display) {
        let text = text.to_string();
        let _ = writeln!(self.stderr, "{}", escape::visible(&text));
    }

    /// Writes a failure.
    pub(crate) fn error(&mut self, error: &CliError) {
        match self.error_format {
            ErrorFormat::Json => {
                let text = error.to_json().to_string();
                let _ = writeln!(self.stderr, "{}", escape::json(&text));
            }
            ErrorFormat::Text => self.error_text(error),
        }
    }

    fn error_text(&mut self, error: &CliError) {
        let (red, dim, plain) = if self.has_color {
            (RED, DIM, PLAIN)
        } else {
            ("", "", "")
        };
        let mut text = format!("{red}error:{plain} {}\n", escape::visible(&error.what));
        let reason = error.reason.as_deref().map(|reason| format!("{reason}: "));
        let mut reason = reason.unwrap_or_default();
        for why in &error.why {
            let why = escape::visible(why);
            let _ = writeln!(text, "  why:  {}{why}", escape::visible(&reason));
            // It stands for all of them, and is told once.
            reason.clear();
        }
        if let Some(next) = &error.next {
            let _ = writeln!(text, "  next: {}", escape::visible(next));
        }
        if let Some(id) = &error.request_id {
            let _ = writeln!(text, "  {dim}request {}{plain}", escape::visible(id));
        }
        let _ = self.stderr.write_all(text.as_bytes());
    }
}
