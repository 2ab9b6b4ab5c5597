//! YAML and JSON text from outside, read into trees that know their places.
//!
//! Text is hostile: its size, depth and number of nodes are bounded, aliases
//! are counted as what they stand for, a key can be given once only, and every
//! fault names line and column. What a field means is not known here; that is
//! [`crate::spelling`]'s work.

use std::str;

use palisade_model::violation::{FieldPath, Violation, ViolationKind};

mod budget;
mod json;
mod node;
mod part;
mod print;
mod yaml;

pub use node::{Data, Entry, Node, Number, Place};
pub use part::{Part, STREAM_BYTES_MAX, split};
pub use print::to_yaml;

/// The largest document, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// How deep lists and maps may nest.
pub const DEPTH_MAX: usize = 64;

/// The language that a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// Any number of YAML documents.
    Yaml,
    /// JSON if the text opens like it and parses as such, else YAML.
    Either,
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    /// Where it was found.
    pub place: Option<Place>,
    /// What it is.
    pub kind: FaultKind,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// More bytes than are read.
    #[error("the document has {len} bytes; at most {BYTES_MAX} are read")]
    TooLarge {
        /// How many there are.
        len: usize,
    },
    /// More bytes than are read of many documents.
    #[error("the documents have {len} bytes; at most {STREAM_BYTES_MAX} are read")]
    StreamTooLarge {
        /// How many there are.
        len: usize,
    },
    /// The bytes are no text.
    #[error("the document is not UTF-8 text")]
    NotUtf8,
    /// There is nothing in it.
    #[error("the document is empty")]
    Empty,
    /// One document was expected.
    #[error("holds a second document; only one is expected here")]
    SecondDocument,
    /// Lists and maps nest too deep.
    #[error("nests more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// Too many values, or aliases that stand for too much.
    #[error(
        "holds more than {} values, counting what aliases stand for",
        budget::NODES_MAX
    )]
    TooManyNodes,
    /// Aliases make too much text out of little.
    #[error("grows beyond {} bytes by its aliases", budget::TEXT_BYTES_MAX)]
    TooMuchText,
    /// A key is given twice in one map.
    #[error("the key {key:?} is given twice; it is already at {first}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was given first.
        first: Place,
    },
    /// An alias stands inside of what it stands for.
    #[error("an alias cannot stand inside of its own anchor")]
    CyclicAlias,
    /// A tag that is not understood.
    #[error("the tag {tag} is not supported; leave it out")]
    Tag {
        /// The tag as it was written.
        tag: String,
    },
    /// A key that is a list or a map.
    #[error("a key must be plain text")]
    ComplexKey,
    /// A merge key of older YAML.
    #[error("merge keys (<<) are not supported; write the fields out")]
    MergeKey,
    /// A number that JSON cannot hold exactly.
    #[error("the number {text} cannot be held exactly; write it in quotes if it is text")]
    BadNumber {
        /// The number as it was written.
        text: String,
    },
    /// The text breaks the grammar.
    #[error("{0}")]
    Syntax(String),
}

impl Fault {
    fn new(place: Place, kind: FaultKind) -> Self {
        Self {
            place: Some(place),
            kind,
        }
    }

    fn nowhere(kind: FaultKind) -> Self {
        Self { place: None, kind }
    }

    /// The fault as a violation of the document as a whole.
    pub fn to_violation(&self) -> Violation {
        let kind = match self.kind {
            FaultKind::DuplicateKey { .. } => ViolationKind::Duplicate,
            FaultKind::TooLarge { .. }
            | FaultKind::StreamTooLarge { .. }
            | FaultKind::TooDeep
            | FaultKind::TooManyNodes
            | FaultKind::TooMuchText => ViolationKind::TooMany,
            FaultKind::Empty => ViolationKind::Required,
            FaultKind::NotUtf8
            | FaultKind::SecondDocument
            | FaultKind::CyclicAlias
            | FaultKind::Tag { .. }
            | FaultKind::ComplexKey
            | FaultKind::MergeKey
            | FaultKind::BadNumber { .. }
            | FaultKind::Syntax(_) => ViolationKind::Invalid,
        };
        Violation::new(FieldPath::root(), kind, self.to_string())
    }
}

/// Reads all documents of a text, at least one.
///
/// This is the way in for hostile bytes, and what the fuzzer calls.
pub fn parse_all(bytes: &[u8], format: Format) -> Result<Vec<Node>, Fault> {
    if bytes.len() > BYTES_MAX {
        let len = bytes.len();
        return Err(Fault::nowhere(FaultKind::TooLarge { len }));
    }
    let text = utf8(bytes)?;
    let documents = match format {
        Format::Json => vec![json::parse(text)?],
        Format::Yaml => yaml::parse(text)?,
        Format::Either => either(text)?,
    };
    if documents.is_empty() {
        return Err(Fault::nowhere(FaultKind::Empty));
    }
    Ok(documents)
}

/// Reads a text that must hold exactly one document.
pub fn parse(bytes: &[u8], format: Format) -> Result<Node, Fault> {
    let mut documents = parse_all(bytes, format)?.into_iter();
    let first = documents
        .next()
        .ok_or_else(|| Fault::nowhere(FaultKind::Empty))?;
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(Fault {
            place: second.place,
            kind: FaultKind::SecondDocument,
        }),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let before = str::from_utf8(valid).unwrap_or_default();
        Fault::new(Place::after(before), FaultKind::NotUtf8)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A text that opens like JSON may still be YAML in its flow style, so a fault
/// of grammar gives YAML a chance; any other fault is the same in both.
fn either(text: &str) -> Result<Vec<Node>, Fault> {
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml::parse(text);
    }
    match json::parse(text) {
        Ok(document) => Ok(vec![document]),
        Err(
            fault @ Fault {
                kind: FaultKind::Syntax(_),
                ..
            },
        ) => yaml::parse(text).map_err(|_| fault),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests;
