//! Reading documents: from a file or standard input, within bounds, into what
//! the server is sent.
//!
//! What can be checked without the server is, so that mistakes are told with
//! line and column.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use palisade_model::name::RunnerId;
use palisade_wire::Source;
use palisade_wire::document::{self, BYTES_MAX, Format, Node};
use palisade_wire::profile_document::{read_profile_draft, read_profile_edit};
use palisade_wire::runner_document::{read_runner_draft, read_runner_edit};
use palisade_wire::spelling::{Dialect, Finding, PROFILE, RUNNER, Shape, to_wire, translate};
use serde_json::Value;

use crate::error::{CliError, Exit};

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
}

impl Kind<'_> {
    fn shape(self) -> &'static Shape {
        match self {
            Self::NewProfile | Self::ProfileChange => &PROFILE,
            Self::NewRunner(_) | Self::RunnerChange => &RUNNER,
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
        };
        checked.err().unwrap_or_default()
    }
}

/// Reads all documents of a file, spelled as the wire spells them.
pub(crate) fn read_all(path: &Path, kind: Kind<'_>) -> Result<Vec<Value>, CliError> {
    let name = name_of(path);
    let bytes = read_bytes(path, &name)?;
    let nodes = document::parse_all(&bytes, Format::Either)
        .map_err(|fault| CliError::document(&name, &[fault.into()]))?;
    let findings: Vec<_> = nodes.iter().flat_map(|node| kind.findings(node)).collect();
    if !findings.is_empty() {
        return Err(CliError::document(&name, &findings));
    }
    Ok(nodes
        .iter()
        .map(|node| spelled(node, kind.shape()))
        .collect())
}

/// Reads the one document of a file.
pub(crate) fn read_one(path: &Path, kind: Kind<'_>) -> Result<Value, CliError> {
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

fn spelled(node: &Node, shape: &'static Shape) -> Value {
    let source = Source::whole(Dialect::Friendly);
    to_wire(
        &translate(node, shape, source.dialect, &source.at).value,
        shape,
    )
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
