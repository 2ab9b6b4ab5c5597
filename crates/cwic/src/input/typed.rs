//! Documents that were typed: every mistake as a finding, which an editor can
//! show at its line.

use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};
use palisade_wire::Source;
use palisade_wire::document::{self, Format};
use palisade_wire::spelling::{Dialect, Finding, parse_path, to_wire, translate};
use palisade_wire::status::FieldViolation;
use serde_json::Value;

use super::{AROUND, Document, Kind, sent};

/// A typed document that is right as far as that can be told here.
#[derive(Debug)]
pub(crate) struct Typed {
    /// As the server is sent it.
    pub(crate) document: Document,
    /// As people write it.
    pub(crate) friendly: Value,
}

impl Typed {
    /// Reads the one document of a text.
    pub(crate) fn read(text: &str, kind: Kind<'_>) -> Result<Self, Vec<Finding>> {
        let node = document::parse(text.as_bytes(), Format::Either)
            .map_err(|fault| vec![Finding::from(fault)])?;
        let findings = kind.findings(&node);
        if !findings.is_empty() {
            return Err(findings);
        }
        let source = Source::whole(Dialect::Friendly);
        let friendly = translate(&node, kind.shape(), source.dialect, &source.at).value;
        Ok(Self {
            document: sent(&node, kind.shape(), "what you typed"),
            friendly,
        })
    }

    /// The place of what the server found wrong.
    pub(crate) fn find(&self, found: &FieldViolation) -> Finding {
        let Document { origin, shape, .. } = &self.document;
        let path = parse_path(&found.field).unwrap_or_else(|_| FieldPath::root());
        let inside = match path.steps().split_first() {
            Some((Step::Key(around), inside)) if AROUND.contains(&around.as_str()) => {
                inside.iter().cloned().collect()
            }
            Some(_) | None => path,
        };
        let kind = if found.reason == ViolationKind::Required.as_str() {
            ViolationKind::Required
        } else {
            ViolationKind::Invalid
        };
        origin.locate(Violation::new(
            shape.canonical(&inside),
            kind,
            found.description.clone(),
        ))
    }

    /// A part of the document, written as people write it, as the server is
    /// sent it.
    pub(crate) fn to_wire(&self, friendly: &Value) -> Value {
        to_wire(friendly, self.document.shape)
    }

    /// A finding about a field that is named as people write it.
    pub(crate) fn find_at(&self, path: FieldPath, what: impl Into<String>) -> Finding {
        let violation = Violation::new(path, ViolationKind::Required, what.into());
        self.document.origin.locate(violation)
    }
}
