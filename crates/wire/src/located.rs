//! What a document means, together with the way back to its text.
//!
//! Reading is one pass: names, shapes and values are all looked at, and
//! everything that is wrong is reported at once, in the order of the text.

use palisade_model::document::{Fields, Node as Place, Reader};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::document::Node;
use crate::spelling::{Dialect, Finding, Origin, Shape, Translated, translate};

/// What was read, and how it was written.
#[derive(Debug)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    /// The way back to what the caller wrote.
    pub origin: Origin,
}

/// Where a document came from, as far as its paths are concerned.
#[derive(Clone, Debug)]
pub struct Source {
    /// How it names fields that it could name otherwise.
    pub dialect: Dialect,
    /// Where it stands in what the caller sent.
    pub at: FieldPath,
}

impl Source {
    /// A document of its own.
    pub fn whole(dialect: Dialect) -> Self {
        Self {
            dialect,
            at: FieldPath::root(),
        }
    }
}

/// Reads a document with `read`, which returns what it could make of it.
pub(crate) fn read<T>(
    node: &Node,
    shape: &'static Shape,
    source: &Source,
    read: impl FnOnce(&Place<'_>, &mut Reader) -> Option<T>,
) -> Result<Located<T>, Vec<Finding>> {
    let Translated {
        value,
        origin,
        mut findings,
    } = translate(node, shape, source.dialect, &source.at);
    let mut reader = Reader::default();
    let made = read(&Place::root(&value), &mut reader);
    findings.extend(origin.locate_all(reader.finish()));
    match made {
        Some(value) if findings.is_empty() => Ok(Located { value, origin }),
        _ => {
            findings.sort_by_key(|finding| finding.place);
            Err(findings)
        }
    }
}

/// Notes violations of a part that was read on its own, at the place of it.
pub(crate) fn refuse_all(reader: &mut Reader, at: &FieldPath, violations: Vec<Violation>) {
    for violation in violations {
        let Violation {
            path,
            kind,
            description,
        } = violation;
        reader.refuse_at(at.join(&path), kind, description);
    }
}

/// A field that must be there; notes that it is not.
pub(crate) fn required<'n>(
    fields: &Fields<'n>,
    key: &'n str,
    reader: &mut Reader,
    what: &str,
) -> Option<Place<'n>> {
    let node = fields.get(key);
    if node.is_none() {
        require(reader, fields.path_of(key), what);
    }
    node
}

/// Notes that a field which must be there is not.
pub(crate) fn require(reader: &mut Reader, path: FieldPath, what: &str) {
    reader.refuse_at(path, ViolationKind::Required, what);
}
