//! What commands that change things did, thing by thing.
//!
//! A person reads a line as soon as it is true. A program reads one JSON object
//! at the end, which is written whatever the end is: what was done before a
//! failure is told all the same.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use crate::cli::OutcomeFormat;
use crate::error::{CliError, Exit};
use crate::out::Out;

/// What became of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Outcome(Map<String, Value>);

impl Outcome {
    /// What became of a thing of this kind, by the name that the caller used.
    pub(crate) fn of(kind: &'static str, name: &str, result: &'static str) -> Self {
        let fields = [
            ("kind", json!(kind)),
            ("name", json!(name)),
            ("result", json!(result)),
        ];
        let fields = fields.map(|(key, value)| (key.to_owned(), value));
        Self(fields.into_iter().collect())
    }

    /// Adds a fact about it.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Says that it was only tried, if it was.
    #[must_use]
    pub(crate) fn tried(self, is_dry_run: bool) -> Self {
        self.with("dryRun", is_dry_run)
    }
}

/// Tells what was done, in the form that was asked for.
#[derive(Debug)]
pub(crate) struct Report {
    format: OutcomeFormat,
    items: Vec<Value>,
}

impl Report {
    /// A report of nothing yet.
    pub(crate) fn new(format: OutcomeFormat) -> Self {
        Self {
            format,
            items: Vec::new(),
        }
    }

    /// Refuses a report for programs where a person is asked.
    pub(crate) fn check_file(&self) -> Result<(), CliError> {
        if !self.is_for_programs() {
            return Ok(());
        }
        Err(CliError::new(Exit::Usage, "a wizard does not write JSON")
            .because("-o json is for programs, and -f is not given")
            .next("give a file, or - for standard input: -f FILE"))
    }

    /// Whether a program reads it.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.format == OutcomeFormat::Json
    }

    /// Tells what became of one thing: people read the line.
    pub(crate) fn tell(&mut self, outcome: Outcome, line: impl Display, out: &mut Out) {
        match self.format {
            OutcomeFormat::Text => out.line(line),
            OutcomeFormat::Json => self.items.push(Value::Object(outcome.0)),
        }
    }

    /// The same, where the line is no result for people.
    pub(crate) fn tell_aside(&mut self, outcome: Outcome, line: impl Display, out: &mut Out) {
        match self.format {
            OutcomeFormat::Text => out.note(line),
            OutcomeFormat::Json => self.items.push(Value::Object(outcome.0)),
        }
    }

    /// Tells of a failure with one thing, on standard error for everybody.
    pub(crate) fn fail(&mut self, outcome: Outcome, error: &CliError, out: &mut Out) {
        out.error(error);
        self.note_failure(outcome, error);
    }

    /// Keeps a failure that is told elsewhere.
    pub(crate) fn note_failure(&mut self, outcome: Outcome, error: &CliError) {
        if self.is_for_programs() {
            let outcome = outcome.with("error", error.to_json());
            self.items.push(Value::Object(outcome.0));
        }
    }

    /// More lines for people about what was told last.
    pub(crate) fn line(&self, line: impl Display, out: &mut Out) {
        if !self.is_for_programs() {
            out.line(line);
        }
    }

    /// Writes what a program reads.
    pub(crate) fn finish(self, out: &mut Out) {
        if self.is_for_programs() {
            out.json(&json!({ "items": self.items }));
        }
    }
}
