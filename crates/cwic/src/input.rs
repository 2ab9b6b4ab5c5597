//! Reading documents: from files or standard input, within bounds, into what
//! the server is sent.
//!
//! What can be checked without the server is, so that mistakes are told with
//! file, document, line and column. Each document stands for itself: a mistake
//! in one leaves the others readable.

use std::path::PathBuf;

use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};
use palisade_wire::Source;
use palisade_wire::document::{self, Data, Fault, FaultKind, Node, Place};
use palisade_wire::spelling::{
    Dialect, Finding, Origin, RUNNER, START_REQUEST, Shape, parse_path, to_wire, translate,
};
use serde_json::Value;

use crate::error::{CliError, Exit};

mod kind;
mod sources;
pub(crate) mod typed;

pub(crate) use kind::Kind;
use sources::Text;

/// Under which names documents are sent.
const AROUND: [&str; 2] = ["profileTemplate", "runner"];

/// A document that is right as far as that can be told here.
#[derive(Debug)]
pub(crate) struct Document {
    /// What the server is sent, spelled as the wire spells it.
    pub(crate) value: Value,
    origin: Origin,
    shape: &'static Shape,
    /// The state that it was made from, if it says one; kept beside, as only
    /// answers of the server have it among what they say.
    pub(crate) etag: Option<String>,
    source: String,
    /// Which of several in its file, counted from 1.
    number: Option<usize>,
    place: Option<Place>,
}

/// What is wrong with one document.
#[derive(Debug)]
pub(crate) struct Mistakes {
    /// The file.
    pub(crate) source: String,
    /// Which of several in its file, counted from 1.
    pub(crate) number: Option<usize>,
    /// What is wrong.
    pub(crate) findings: Vec<Finding>,
}

/// All documents that were named.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Those that are right as far as that can be told here.
    pub(crate) documents: Vec<Document>,
    /// Those that are not.
    pub(crate) mistakes: Vec<Mistakes>,
}

impl Document {
    /// Where its writer finds a field that the server calls `field`, and what
    /// it is called there.
    pub(crate) fn locate(&self, field: &str) -> Option<String> {
        let path = parse_path(field).ok()?;
        // The server was sent the document inside another one, but for requests.
        let inside = if std::ptr::eq(self.shape, &raw const START_REQUEST) {
            path.steps()
        } else {
            let (Step::Key(around), inside) = path.steps().split_first()? else {
                return None;
            };
            if !AROUND.contains(&around.as_str()) {
                return None;
            }
            inside
        };
        let inside = self.shape.canonical(&inside.iter().cloned().collect());
        let found = self
            .origin
            .locate(Violation::new(inside, ViolationKind::Invalid, ""));
        let at = at(&self.source, found.place, self.number);
        Some(format!("{at}: {}", found.violation.path))
    }

    /// The file, and which document in it.
    pub(crate) fn whereabouts(&self) -> String {
        at(&self.source, self.place, self.number)
    }

    /// What it says, as people write it.
    pub(crate) fn friendly(&self) -> Value {
        let node = Node::from_value(&self.value);
        translate(&node, self.shape, Dialect::Wire, &FieldPath::root()).value
    }

    /// Whether it is about a runner, and not about a profile.
    pub(crate) fn is_runner(&self) -> bool {
        std::ptr::eq(self.shape, &raw const RUNNER)
    }

    /// The name of what it is about; empty if it says none.
    pub(crate) fn name(&self) -> &str {
        let path = if self.is_runner() {
            "/identity/runnerId"
        } else {
            "/displayName"
        };
        self.value
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Mistakes {
    /// The file, and which document in it.
    pub(crate) fn whereabouts(&self) -> String {
        let place = self.findings.first().and_then(|finding| finding.place);
        at(&self.source, place, self.number)
    }

    /// Each mistake with its place.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.findings.iter().map(|finding| {
            let at = at(&self.source, finding.place, self.number);
            format!("{at}: {}", finding.violation)
        })
    }
}

/// A place in a file.
fn at(source: &str, place: Option<Place>, number: Option<usize>) -> String {
    let place = place.map(|place| format!(":{}:{}", place.line, place.column));
    let number = number.map(|number| format!(": document {number}"));
    let (place, number) = (place.unwrap_or_default(), number.unwrap_or_default());
    format!("{source}{place}{number}")
}

/// Reads all documents that were named.
pub(crate) fn read_all(paths: &[PathBuf], kind: Kind<'_>) -> Result<Batch, CliError> {
    let mut batch = Batch::default();
    for text in sources::read(paths)? {
        batch.read(&text, kind);
    }
    Ok(batch)
}

/// Reads the one document that was named.
pub(crate) fn read_one(paths: &[PathBuf], kind: Kind<'_>) -> Result<Document, CliError> {
    let mut batch = read_all(paths, kind)?;
    batch.check()?;
    match (batch.documents.pop(), batch.documents.len()) {
        (Some(document), 0) => Ok(document),
        (_, before) => {
            let what = format!("{} documents are given", before + 1);
            Err(CliError::new(Exit::Usage, what)
                .because("only one is expected here")
                .next("name a file that holds it alone, or use apply -f for all of them"))
        }
    }
}

impl Batch {
    /// Refuses everything if there is any mistake.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        if self.mistakes.is_empty() {
            return Ok(());
        }
        let count = self.documents.len() + self.mistakes.len();
        Err(CliError::mistakes(&self.mistakes, count))
    }

    fn read(&mut self, text: &Text, kind: Kind<'_>) {
        let mut found: Vec<Result<Node, Finding>> = Vec::new();
        match document::split(&text.bytes) {
            Ok(parts) => {
                for part in parts {
                    match part.parse() {
                        Ok(nodes) => found.extend(nodes.into_iter().flat_map(expand).map(Ok)),
                        Err(fault) => found.push(Err(fault.into())),
                    }
                }
            }
            Err(fault) => found.push(Err(fault.into())),
        }
        if found.is_empty() {
            let kind = FaultKind::Empty;
            found.push(Err(Fault { place: None, kind }.into()));
        }
        let has_many = found.len() > 1;
        for (number, node) in (1..).zip(found) {
            let number = has_many.then_some(number);
            let checked = node
                .and_then(|node| kind.of(node))
                .map_err(|finding| vec![finding])
                .and_then(|read| check(&read.node, read.kind).map(|()| read));
            match checked {
                Ok(kind::Read { kind, node, etag }) => {
                    let document = sent(&node, kind.shape(), &text.name);
                    self.documents.push(Document {
                        etag,
                        number,
                        ..document
                    });
                }
                Err(findings) => self.mistakes.push(Mistakes {
                    source: text.name.clone(),
                    number,
                    findings,
                }),
            }
        }
    }
}

fn check(node: &Node, kind: Kind<'_>) -> Result<(), Vec<Finding>> {
    let findings = kind.findings(node);
    if findings.is_empty() {
        Ok(())
    } else {
        Err(findings)
    }
}

/// A list, by itself or as `-o json` writes it, stands for what is in it.
fn expand(mut node: Node) -> Vec<Node> {
    match &mut node.data {
        Data::List(items) if !items.is_empty() => std::mem::take(items),
        Data::Map(entries) if is_list(entries) => match &mut entries[0].value.data {
            Data::List(items) => std::mem::take(items),
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::Map(_) => {
                vec![node]
            }
        },
        Data::Null
        | Data::Bool(_)
        | Data::Number(_)
        | Data::String(_)
        | Data::List(_)
        | Data::Map(_) => vec![node],
    }
}

fn is_list(entries: &[document::Entry]) -> bool {
    match entries {
        [one] => one.key == "items" && matches!(one.value.data, Data::List(_)),
        _ => false,
    }
}

fn sent(node: &Node, shape: &'static Shape, name: &str) -> Document {
    let source = Source::whole(Dialect::Friendly);
    let translated = translate(node, shape, source.dialect, &source.at);
    Document {
        value: to_wire(&translated.value, shape),
        origin: translated.origin,
        shape,
        etag: None,
        source: name.to_owned(),
        number: None,
        place: node.place,
    }
}
