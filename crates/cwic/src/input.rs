//! Reading documents: from a file or standard input, within bounds, into what
//! the server is sent.
//!
//! What can be checked without the server is, so that mistakes are told with
//! line and column.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use palisade_model::name::RunnerId;
use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};
use palisade_wire::Source;
use palisade_wire::document::{self, BYTES_MAX, Format, Node};
use palisade_wire::profile_document::{read_profile_draft, read_profile_edit};
use palisade_wire::runner_document::{read_runner_draft, read_runner_edit};
use palisade_wire::spelling::{
    Dialect, Finding, Origin, PROFILE, RUNNER, START_REQUEST, Shape, parse_path, to_wire, translate,
};
use palisade_wire::start_document::read_start_request;
use serde_json::Value;

use crate::error::{CliError, Exit};

pub(crate) mod typed;

/// Under which names documents are sent.
const AROUND: [&str; 2] = ["profileTemplate", "runner"];

/// What a document is about, and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// A profile that is to be made.
    NewProfile,
    /// A change of a profile.
    ProfileChange,
    /// A runner that is to be made, with an id that was given beside.
    NewRunner(Option<&'a RunnerId>),
    /// A change of a runner.
    RunnerChange,
    /// A request for a sandbox.
    StartRequest,
}

impl Kind<'_> {
    fn shape(self) -> &'static Shape {
        match self {
            Self::NewProfile | Self::ProfileChange => &PROFILE,
            Self::NewRunner(_) | Self::RunnerChange => &RUNNER,
            Self::StartRequest => &START_REQUEST,
        }
    }

    /// Everything that is wrong with a document.
    fn findings(self, node: &Node) -> Vec<Finding> {
        let source = Source::whole(Dialect::Friendly);
        let checked = match self {
            Self::NewProfile => read_profile_draft(node, &source).map(drop),
            Self::ProfileChange => read_profile_edit(node, &source).map(drop),
            Self::NewRunner(id) => read_runner_draft(node, &source, id).map(drop),
            Self::RunnerChange => read_runner_edit(node, &source).map(drop),
            Self::StartRequest => read_start_request(node, &source).map(drop),
        };
        checked.err().unwrap_or_default()
    }
}

/// A document that is right as far as that can be told here.
#[derive(Debug)]
pub(crate) struct Document {
    /// What the server is sent, spelled as the wire spells it.
    pub(crate) value: Value,
    origin: Origin,
    shape: &'static Shape,
    source: String,
}

impl Document {
    /// A top field as people write it.
    pub(crate) fn friendly(&self, field: &str) -> Option<Value> {
        let node = Node::from_value(&self.value);
        let around = FieldPath::root();
        let friendly = translate(&node, self.shape, Dialect::Wire, &around).value;
        friendly.get(field).cloned()
    }

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
        let (source, path) = (&self.source, found.violation.path);
        Some(match found.place {
            Some(place) => format!("{source}:{}:{}: {path}", place.line, place.column),
            None => format!("{source}: {path}"),
        })
    }
}

/// Reads all documents of a file.
pub(crate) fn read_all(path: &Path, kind: Kind<'_>) -> Result<Vec<Document>, CliError> {
    let name = name_of(path);
    let bytes = read_bytes(path, &name)?;
    let nodes = document::parse_all(&bytes, Format::Either)
        .map_err(|fault| CliError::document(&name, &[fault.into()]))?;
    let findings: Vec<_> = nodes.iter().flat_map(|node| kind.findings(node)).collect();
    if !findings.is_empty() {
        return Err(CliError::document(&name, &findings));
    }
    let documents = nodes.iter().map(|node| sent(node, kind.shape(), &name));
    Ok(documents.collect())
}

/// Reads the one document of a file.
pub(crate) fn read_one(path: &Path, kind: Kind<'_>) -> Result<Document, CliError> {
    let mut documents = read_all(path, kind)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(CliError::new(
            Exit::Usage,
            format!("{} holds several documents", name_of(path)),
        )
        .because("only one is expected here")
        .next("split it into a file for each")),
    }
}

fn sent(node: &Node, shape: &'static Shape, name: &str) -> Document {
    let source = Source::whole(Dialect::Friendly);
    let translated = translate(node, shape, source.dialect, &source.at);
    Document {
        value: to_wire(&translated.value, shape),
        origin: translated.origin,
        shape,
        source: name.to_owned(),
    }
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn read_bytes(path: &Path, name: &str) -> Result<Vec<u8>, CliError> {
    let read = if is_stdin(path) {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    read.map_err(|error| {
        CliError::new(Exit::Usage, format!("{name} cannot be read"))
            .because(error.to_string())
            .next("check the path, or use - for standard input")
    })
}

/// Reads one byte more than is allowed at most, so that too much is noticed.
fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
