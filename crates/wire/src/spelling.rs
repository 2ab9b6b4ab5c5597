//! Field names in the spellings that callers use, to and from the canonical one.
//!
//! The domain knows one spelling, which is that of friendly YAML. JSON on the
//! wire names fields in camel case and holds some blocks as JSON in a string.
//! Any field may be given in either spelling in any document, once. What was
//! read keeps the way back: a violation at a canonical path is reported at the
//! place and in the spelling of whoever wrote the document. What values mean is
//! not known here.

use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};

use crate::document::{Fault, Place};

mod case;
mod origin;
mod path;
mod reading;
mod schema;
mod writing;

pub(crate) use case::snake;
pub use origin::Origin;
pub use path::{BadPath, parse_path};
pub use reading::{Translated, translate};
pub use schema::{Field, PROFILE, RUNNER, SPEC, START_REQUEST, Shape};
pub use writing::to_wire;

/// The way in which a document names fields that it could also name otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As people write YAML: `container_image`, `network`.
    Friendly,
    /// As JSON on the wire: `containerImage`, `networkConfigJson`.
    Wire,
}

/// A violation in the spelling of the caller, at a place of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub violation: Violation,
    /// Where, if the document is a text.
    pub place: Option<Place>,
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        Self {
            violation: fault.to_violation(),
            place: fault.place,
        }
    }
}

impl Finding {
    fn new(
        path: FieldPath,
        kind: ViolationKind,
        description: impl Into<String>,
        place: Option<Place>,
    ) -> Self {
        Self {
            violation: Violation::new(path, kind, description),
            place,
        }
    }
}

/// The steps of a path in another spelling.
fn join(path: &FieldPath, step: Step) -> FieldPath {
    match step {
        Step::Key(key) => path.key(key),
        Step::Index(index) => path.index(index),
    }
}

#[cfg(test)]
mod tests;
